from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OfferingsConfig(AppConfig):
    name = "catalog.offerings"
    label = "offerings"
    verbose_name = _("Catalog")

    def ready(self) -> None:
        """Register the system checks; only now may models be imported."""
        import_module("catalog.offerings.checks")
