"""A Review says of the part what it is; what it says of the machine stays in `verdict`. Its key makes twice once."""

from django.db import migrations, models
from django.db.models import Q

# What an earlier verdict meant for the part. Of a frame that was held it said nothing.
NAME_THE_PART = """
UPDATE inspections_review AS review SET part = CASE
    WHEN (decision.outcome = 'pass') = (review.verdict = 'accept') THEN 'good' ELSE 'defective' END
FROM inspections_decision AS decision
WHERE decision.frame_id = review.frame_id AND decision.outcome IN ('pass', 'fail')
  AND review.verdict IN ('accept', 'reject')
  AND NOT ((decision.outcome = 'pass') = (review.verdict = 'accept')
           AND EXISTS (SELECT 1 FROM inspections_mark AS mark WHERE mark.review_id = review.id))
"""


class Migration(migrations.Migration):
    dependencies = [("inspections", "0005_clocks_and_captured_at")]

    operations = [
        migrations.AddField(
            model_name="review",
            name="part",
            field=models.CharField(
                blank=True,
                choices=[("good", "Good"), ("defective", "Defective")],
                default="",
                help_text="Empty where nothing was said of it",
                max_length=10,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="review",
            name="client_key",
            field=models.CharField(
                blank=True, default="", help_text="Idempotency-Key: sent twice is said once", max_length=180
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="review",
            name="verdict",
            field=models.CharField(
                choices=[
                    ("accept", "the machine's decision is right"),
                    ("reject", "the machine's decision is wrong"),
                    ("unsure", "somebody else should look"),
                    ("settle", "the machine had not judged; the person did"),
                ],
                max_length=8,
            ),
        ),
        migrations.RunSQL(NAME_THE_PART, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.UniqueConstraint(
                condition=~Q(client_key=""), fields=("reviewer", "client_key"), name="review_once_per_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=Q(verdict="unsure", part="")
                | Q(verdict="settle", part__in=["good", "defective"])
                | Q(verdict__in=["accept", "reject"]),
                name="review_part_fits_verdict",
            ),
        ),
    ]
