from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "catalog.approvals"
    label = "approvals"
