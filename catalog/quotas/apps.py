from django.apps import AppConfig


class QuotasConfig(AppConfig):
    name = "catalog.quotas"
    label = "quotas"
