"""Quotas in the admin."""

from django.contrib import admin

from catalog.audit.admin import AuditedAdmin
from catalog.quotas.models import Quota
from catalog.tenancy.policy import Action


@admin.register(Quota)
class QuotaAdmin(AuditedAdmin):
    """How much of the pool an affiliate may hold at once; operators set it."""

    writers, written_by_hand, deletable = Action.OPERATE_POOL, True, True
    list_display = ("tenant", "resource_class", "limit")
    list_filter = ("tenant", "resource_class")
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug",)
    autocomplete_fields = ("tenant",)
