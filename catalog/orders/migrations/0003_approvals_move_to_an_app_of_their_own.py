"""What was decided moves to the app of approvals; what waits for a decision is asked for there."""

import hashlib
import json
from datetime import timedelta

from django.conf import settings
from django.db import migrations, models

ONE_APPROVER = [{"who": "approver", "people": 1}]


def _title(order):
    plan, project = order.plan, order.project
    return f"{order.name} ({plan.offering.slug}/{plan.slug}, {project.tenant.slug}/{project.slug})"[:200]


def _request(Request, order, **values):
    return Request(
        subject_type="order", subject_id=order.pk, tenant_id=order.tenant_id, project_id=order.project_id,
        requested_by_id=order.requested_by_id,
        title=_title(order), deed=order.kind, steps=ONE_APPROVER, reasons=[], who="approver", **values,
    )  # fmt: skip


def _hash(order):
    """What an approver of these orders is shown, as it was reckoned when this migration was written."""
    shown = {
        "kind": order.kind, "tenant": str(order.tenant_id), "project": str(order.project_id),
        "instance": str(order.instance_id), "plan": str(order.plan_id), "version": str(order.version_id),
        "name": order.name, "parameters": order.parameters, "lease_seconds": order.lease_seconds,
        "data_class": order.data_class, "price_krw_month": order.price_krw_month, "zone": str(order.zone_id),
        "reason": order.reason,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(shown, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def move(apps, schema_editor):
    Order, Approval = apps.get_model("orders", "Order"), apps.get_model("orders", "Approval")
    Request, Decision = apps.get_model("approvals", "Request"), apps.get_model("approvals", "Decision")
    related = ("plan__offering", "project__tenant")
    decided = Approval.objects.select_related(*(f"order__{name}" for name in related)).order_by("pk")
    for row in decided.iterator(chunk_size=2000):
        request = _request(
            Request, row.order, content_hash=row.content_hash, opened_at=row.decided_at, closed_at=row.decided_at,
            outcome=row.decision,
        )  # fmt: skip
        request.save(force_insert=True)
        Decision.objects.create(
            request=request, level=1, verdict=row.decision, content_hash=row.content_hash, decided_by_id=row.decided_by_id,
            decided_at=row.decided_at, comment=row.comment,
        )  # fmt: skip
    for order in Order.objects.filter(state="pending_approval").select_related(*related):
        order.content_hash = _hash(order)
        order.save(update_fields=["content_hash"])
        request = _request(
            Request, order, content_hash=order.content_hash, opened_at=order.state_since,
            remind_at=order.state_since + timedelta(hours=24),
        )  # fmt: skip
        request.save(force_insert=True)


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0001_initial_tables"),
        ("instances", "0001_initial_tables"),
        ("offerings", "0001_initial_tables"),
        ("orders", "0002_order_says_its_data_class"),
        ("pool", "0001_initial_tables"),
        ("tenancy", "0003_project_says_whether_it_is_production"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(move, migrations.RunPython.noop, elidable=True),
        migrations.AddField(
            model_name="order",
            name="not_before",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="a change freeze keeps it until then, approved and with its claim",
                null=True,
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("not_before__isnull", False)), fields=["not_before"], name="order_kept"
            ),
        ),
        migrations.DeleteModel(name="Approval"),
    ]
