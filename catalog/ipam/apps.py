from django.apps import AppConfig


class IpamConfig(AppConfig):
    name = "catalog.ipam"
    label = "ipam"
