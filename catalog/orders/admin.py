"""Orders in the admin: to be read. Placing, deciding and cancelling are done where the rules are."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from catalog.orders.models import Order, OrderEvent, OrderFinding
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action


@admin.register(Order)
class OrderAdmin(PolicyAdmin):
    """Orders."""

    delegated = Action.MANAGE_MEMBERS
    list_display = (
        "created_at", "kind", "name", "tenant", "project", "plan", "state", "attempt", "requested_by", "failure_code",
    )  # fmt: skip
    list_filter = ("state", "kind", "tenant", "zone")
    list_select_related = ("tenant", "project__tenant", "plan__offering", "requested_by")
    search_fields = ("name", "tenant__slug", "requested_by__username")
    quick = {"instance": ("name", "unit"), "tenant": ("=slug",), "requested_by": ("=username",)}
    heavy = ("parameters", "explanation")


@admin.register(OrderEvent)
class OrderEventAdmin(PolicyAdmin):
    """What happened to orders."""

    list_display = ("at", "order", "seq", "kind", "actor")
    list_filter = (listed("kind", _("kind"), ("state", "placed", "waiting", "problem")),)
    list_select_related = ("order",)
    ordering = ("-id",)


@admin.register(OrderFinding)
class OrderFindingAdmin(PolicyAdmin):
    """That something was found; what it was is read with the order, by those who may see that."""

    list_display = ("order", "at")
    list_select_related = ("order",)
    search_fields = ("order__name",)
    quick = {"order": ("name",)}
    exclude = ("content",)
    heavy = ("content",)
    ordering = ("-at",)
