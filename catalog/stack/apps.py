from django.apps import AppConfig


class StackConfig(AppConfig):
    name = "catalog.stack"
    label = "stack"
