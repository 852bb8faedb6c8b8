from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "catalog.audit"
    label = "audit"
