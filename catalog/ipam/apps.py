from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IpamConfig(AppConfig):
    name = "catalog.ipam"
    label = "ipam"
    verbose_name = _("Networks")
