from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    default = True
    name = "catalog.audit"
    label = "audit"
    verbose_name = _("Audit")


class RecordingAdminConfig(admin.AdminConfig):
    """Django's admin, on a site that records who looks at what (:mod:`catalog.audit.site`)."""

    default = False
    default_site = "catalog.audit.site.RecordingSite"
