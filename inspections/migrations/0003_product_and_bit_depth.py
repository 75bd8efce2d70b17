from typing import Any

from django.db import migrations, models
from django.db.models import Q

SHIPPED_PRODUCT = "bare-pcb"


def name_what_was_inspected(apps: Any, schema_editor: Any) -> None:
    """Until now every station was inspected with models for bare circuit boards."""
    apps.get_model("inspections", "Station").objects.update(product=SHIPPED_PRODUCT)


class Migration(migrations.Migration):
    dependencies = [("inspections", "0002_policy_change")]

    operations = [
        migrations.AddField(
            model_name="station",
            name="product",
            field=models.CharField(
                blank=True,
                default="",
                help_text="What it looks at, as models name it; while nobody has chosen, every frame is held",
                max_length=40,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="station",
            name="bit_depth",
            field=models.CharField(
                choices=[
                    ("auto", "tell by the picture"),
                    ("8", "8 bits only"),
                    ("10", "10 of 16 bits"),
                    ("12", "12 of 16 bits"),
                    ("14", "14 of 16 bits"),
                    ("16", "16 bits"),
                ],
                default="auto",
                help_text="Bits a camera uses of each 16-bit value; 'auto' holds a frame where they cannot be told",
                max_length=4,
            ),
        ),
        migrations.RunPython(name_what_was_inspected, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="decision",
            name="code",
            field=models.CharField(
                choices=[
                    ("clean", "no region reached its threshold"),
                    ("defect", "a region reached its threshold"),
                    ("late", "not decided before the deadline"),
                    ("failed", "could not be inspected"),
                    ("product", "no model here was trained for what the station looks at"),
                    ("unlike", "unlike anything known"),
                    ("unplaced", "a region cannot be placed on the frame"),
                    ("unscaled", "the picture's grey levels cannot be scaled with certainty"),
                ],
                max_length=10,
            ),
        ),
        migrations.RemoveConstraint(model_name="decision", name="decision_pass_only_when_clean"),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=Q(outcome="pass", code="clean")
                | Q(outcome="fail", code="defect")
                | (Q(outcome="hold") & ~Q(code__in=["clean", "defect"])),
                name="decision_pass_only_when_clean",
            ),
        ),
    ]
