from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("demo", "0001_initial")]

    operations = [
        migrations.AlterField("demorun", "created_at", models.DateTimeField(db_default=Now(), editable=False)),
    ]
