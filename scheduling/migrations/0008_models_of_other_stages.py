"""A ServedModel may be neither a detector nor a describer: a stage that is added brings its own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('scheduling', '0007_served_model_products'),
    ]

    operations = [
        migrations.AlterField(
            model_name='placement',
            name='model',
            field=models.CharField(help_text="Triton's name of it, such as edge_detector", max_length=60),
        ),
        migrations.AlterField(
            model_name='servedmodel',
            name='kind',
            field=models.CharField(choices=[('detector', 'Detector'), ('describer', 'Describer'), ('other', 'Other')], max_length=12),
        ),
    ]
