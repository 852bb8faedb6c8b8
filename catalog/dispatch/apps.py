from django.apps import AppConfig


class DispatchConfig(AppConfig):
    name = "catalog.dispatch"
    label = "dispatch"
