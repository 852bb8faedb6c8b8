from django.apps import AppConfig


class PlacementConfig(AppConfig):
    name = "catalog.placement"
    label = "placement"
