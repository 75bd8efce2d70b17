"""A sealed version is never changed: the database refuses it, whoever asks."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION finetune_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A sealed dataset version is not changed; seal a new one.' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER finetune_version_is_sealed BEFORE UPDATE ON finetune_datasetversion
    FOR EACH ROW EXECUTE FUNCTION finetune_refuse_change();
"""
ALLOW = """
DROP TRIGGER finetune_version_is_sealed ON finetune_datasetversion;
DROP FUNCTION finetune_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("finetune", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
