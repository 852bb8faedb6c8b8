"""The Celery application: seconds and rows. Minutes and machines belong to Prefect."""

import os

from celery import Celery
from django.conf import settings
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalog.settings")

app = Celery("catalog")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)
app.conf.beat_schedule = {
    "relay": {"task": "dispatch.relay", "schedule": float(settings.RELAY_SECONDS)},
    "reconcile": {"task": "orders.reconcile", "schedule": float(settings.RECONCILE_SECONDS)},
    "workers": {"task": "orders.workers", "schedule": float(settings.WORKERS_SECONDS)},
    "notices": {"task": "leases.notices", "schedule": 60.0},
    "reminders": {"task": "approvals.remind", "schedule": 60.0},
    "mail": {"task": "mail.send", "schedule": 15.0},
    "prices": {"task": "placement.prices", "schedule": float(settings.PRICES_SECONDS)},
    "seal": {"task": "audit.seal", "schedule": 5.0},
}
