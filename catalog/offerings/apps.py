from importlib import import_module

from django.apps import AppConfig


class OfferingsConfig(AppConfig):
    name = "catalog.offerings"
    label = "offerings"

    def ready(self) -> None:
        """Register the system checks; only now may models be imported."""
        import_module("catalog.offerings.checks")
