from django.apps import AppConfig


class PoolConfig(AppConfig):
    name = "catalog.pool"
    label = "pool"
