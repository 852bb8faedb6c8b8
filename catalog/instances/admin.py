"""Services in the admin: to be read; orders change them."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from catalog.instances.models import InstanceEvent, ServiceBinding, ServiceInstance, ServiceLink
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action


@admin.register(ServiceInstance)
class ServiceInstanceAdmin(PolicyAdmin):
    """Services."""

    delegated = Action.MANAGE_MEMBERS
    list_display = (
        "name", "unit", "tenant", "project", "plan", "state", "zone", "responsible", "created_at", "state_reason",
    )  # fmt: skip
    list_filter = ("state", "tenant", "zone")
    list_select_related = ("tenant", "project__tenant", "plan__offering", "zone", "responsible")
    search_fields = ("name", "unit", "tenant__slug", "responsible__username")
    quick = {"": ("name", "unit"), "tenant": ("=slug",), "responsible": ("=username",)}
    heavy = ("parameters", "outputs")


@admin.register(ServiceBinding)
class ServiceBindingAdmin(PolicyAdmin):
    """That there are credentials, and who was shown them; never the credentials."""

    list_display = ("instance", "created_at", "shown_at", "shown_to", "revoked_at")
    list_select_related = ("instance", "shown_to")
    search_fields = ("instance__name", "instance__unit")
    quick = {"instance": ("name", "unit")}
    exclude = ("secret",)
    ordering = ("-created_at",)


@admin.register(ServiceLink)
class ServiceLinkAdmin(PolicyAdmin):
    """Which service uses which."""

    list_display = ("consumer", "alias", "provider", "created_at")
    list_select_related = ("consumer", "provider")
    search_fields = ("consumer__name", "provider__name")
    quick = {"consumer": ("name", "unit"), "provider": ("name", "unit")}
    ordering = ("-created_at",)


@admin.register(InstanceEvent)
class InstanceEventAdmin(PolicyAdmin):
    """What happened to services."""

    list_display = ("at", "instance", "seq", "kind", "actor")
    list_filter = (listed("kind", _("kind"), ("state", "handed-over", "problem")),)
    list_select_related = ("instance",)
    search_fields = ("instance__name", "instance__unit")
    quick = {"instance": ("name", "unit")}
    ordering = ("-id",)
