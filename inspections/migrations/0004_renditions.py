from typing import Any

from django.db import migrations, models

BROWSERS_AND_NODES = ("image/jpeg", "image/png")


def mark_what_needs_a_rendition(apps: Any, schema_editor: Any) -> None:
    """Of frames that came before. Their boxes stay as they are: measured in the rows of the stored file."""
    frames = apps.get_model("inspections", "Frame").objects.exclude(media_type__in=BROWSERS_AND_NODES)
    frames.update(has_rendition=True)


class Migration(migrations.Migration):
    dependencies = [("inspections", "0003_product_and_bit_depth")]

    operations = [
        migrations.AddField(
            model_name="frame",
            name="bit_depth",
            field=models.PositiveSmallIntegerField(
                default=8, help_text="Bits of its values that are used; 0 where that was not certain"
            ),
        ),
        migrations.AddField(
            model_name="frame",
            name="has_rendition",
            field=models.BooleanField(
                default=False, help_text="The bytes are not what people see; a picture made from them is"
            ),
        ),
        migrations.AlterField(
            model_name="frame",
            name="width",
            field=models.PositiveIntegerField(help_text="Of the upright picture, which all boxes are measured in"),
        ),
        migrations.AlterField(
            model_name="frame",
            name="height",
            field=models.PositiveIntegerField(help_text="Of the upright picture, which all boxes are measured in"),
        ),
        migrations.RunPython(mark_what_needs_a_rendition, migrations.RunPython.noop),
    ]
