from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("finetune", "0003_previews_and_gates"),
        ("inspections", "0012_versions"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="shadowtrial", name="shadow_trial_agreed_of_seen"),
        migrations.RemoveField(model_name="shadowtrial", name="agreed"),
        migrations.RemoveField(model_name="shadowtrial", name="latency_ms_total"),
        migrations.RemoveField(model_name="shadowtrial", name="seen"),
        migrations.AlterField(
            model_name="modelversion",
            name="digest",
            field=models.CharField(
                help_text="sha256 of the weights file; of an adapter, the digest over its files", max_length=64
            ),
        ),
    ]
