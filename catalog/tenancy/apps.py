from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "catalog.tenancy"
    label = "tenancy"
