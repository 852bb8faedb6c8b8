from django.apps import AppConfig


class InstancesConfig(AppConfig):
    name = "catalog.instances"
    label = "instances"
