"""A Step's kind is a stage of the registry, and a stage without rows of its own keeps its answer in the Step."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('inspections', '0008_appearance'),
    ]

    operations = [
        migrations.AddField(
            model_name='step',
            name='result',
            field=models.JSONField(blank=True, help_text='What the model answered, where the stage has no rows of its own; untrusted', null=True),
        ),
        migrations.AlterField(
            model_name='step',
            name='kind',
            field=models.CharField(help_text='The stage, as `inspections/pipeline/stages` names it', max_length=20),
        ),
    ]
