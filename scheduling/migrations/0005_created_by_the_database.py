from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0004_recorded_decisions")]

    operations = [
        migrations.AlterField("replayrun", "created_at", models.DateTimeField(db_default=Now(), editable=False)),
    ]
