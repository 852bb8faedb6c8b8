from django.db import migrations
from django.db.models import F


def hand_on(apps, schema_editor):
    """Until somebody hands it on, who ordered a service answers for it."""
    instances = apps.get_model("instances", "ServiceInstance")
    instances.objects.filter(responsible__isnull=True, created_by__isnull=False).update(responsible=F("created_by"))


class Migration(migrations.Migration):
    dependencies = [("instances", "0003_somebody_answers_for_a_service")]

    operations = [migrations.RunPython(hand_on, migrations.RunPython.noop)]
