from django.apps import AppConfig


class LeasesConfig(AppConfig):
    name = "catalog.leases"
    label = "leases"
