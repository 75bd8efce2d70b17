import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inspections", "0011_sureness"),
        ("scheduling", "0009_dispatch_quality"),
    ]

    operations = [
        migrations.AddField(
            model_name="line",
            name="describer",
            field=models.CharField(
                blank=True,
                default="",
                editable=False,
                help_text="Digest of the version that describes its regions; empty: the nodes' own model",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="line",
            name="shadow_describer",
            field=models.CharField(
                blank=True,
                default="",
                editable=False,
                help_text="Digest of a version that is tried beside it; nobody acts on what it says",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="line",
            name="shadow_share",
            field=models.FloatField(default=0.0, editable=False, help_text="Of the frames that are described"),
        ),
        migrations.AddField(
            model_name="step",
            name="beside",
            field=models.BooleanField(
                default=False, help_text="The frame is complete without it, and is not held where it fails"
            ),
        ),
        migrations.CreateModel(
            name="ShadowAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(help_text="Of the version that answered", max_length=64)),
                ("node", models.CharField(max_length=50)),
                ("answer", models.JSONField(default=dict)),
                ("valid", models.BooleanField()),
                ("latency_ms", models.FloatField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "detection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shadow_answers",
                        to="inspections.detection",
                    ),
                ),
                (
                    "served_model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="scheduling.servedmodel"
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.AddIndex(
            model_name="shadowanswer",
            index=models.Index(fields=["digest", "-id"], name="shadow_answer_digest"),
        ),
        migrations.AddConstraint(
            model_name="shadowanswer",
            constraint=models.UniqueConstraint(fields=("detection", "digest"), name="shadow_answer_once"),
        ),
    ]
