"""Say which line is the demo's: the one that the first start made keeps its button, a real line never shows it."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def mark_the_first_one(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    line = apps.get_model("inspections", "Line")
    line.objects.filter(site__name="Demo plant", name="Board line 1").update(is_demo=True)


class Migration(migrations.Migration):
    dependencies = [("inspections", "0006_desk")]

    operations = [
        migrations.AddField(
            model_name="line",
            name="is_demo",
            field=models.BooleanField(default=False, help_text="Live offers to send generated boards to it"),
        ),
        migrations.RunPython(mark_the_first_one, migrations.RunPython.noop),
    ]
