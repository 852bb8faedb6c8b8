from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import OuterRef, Subquery


def name_services(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Requests made before they named their service get that of their order."""
    service = apps.get_model("orders", "Order").objects.filter(pk=OuterRef("subject_id")).values("instance")[:1]
    requests = apps.get_model("approvals", "Request").objects.filter(subject_type="order", instance__isnull=True)
    requests.update(instance=Subquery(service))


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0006_models_have_translated_names"),
        ("approvals", "0003_requests_name_their_service"),
    ]

    operations = [migrations.RunPython(name_services, migrations.RunPython.noop)]
