from django.apps import AppConfig


class ReclaimConfig(AppConfig):
    name = "catalog.reclaim"
    label = "reclaim"
