"""Hosts in the admin, with what operators do to them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.common import clock
from catalog.common.errors import DomainError
from catalog.pool.admin import HostPage
from catalog.pool.models import Host
from catalog.reclaim import services
from catalog.tenancy.admin import actor_of
from catalog.tenancy.confirmation import confirmed
from catalog.tenancy.policy import Action, can


@admin.register(Host)
class HostAdmin(HostPage):
    """States change only through the services; each says why it refuses."""

    actions = ("enrol", "wipe", "quarantine", "maintenance", "resume", "retire")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who is offered the actions."""
        return bool(request.user.is_superuser) or can(actor_of(request), Action.OPERATE_POOL)

    def _each(self, request: HttpRequest, hosts: "QuerySet[Host]", deed: Callable[..., Any], **more: Any) -> None:
        for host in hosts.order_by("name"):
            try:
                changed = deed(actor_of(request), host, now=clock.now(), **more)
            except DomainError as error:
                messages.error(request, f"{host.name}: {error.detail}")
                continue
            if changed.state == host.state:
                said = _("%(host)s: noted; a second operator has to confirm it.") % {"host": host.name}
            else:
                said = _("%(host)s is now %(state)s.") % {"host": host.name, "state": changed.get_state_display()}
            messages.success(request, said)

    def _reason(self, request: HttpRequest) -> str:
        return _("decided by %(who)s in the admin") % {"who": request.user.get_username()}

    @admin.action(description=gettext_lazy("Inspect and take into the pool"), permissions=["operate"])
    def enrol(self, request: HttpRequest, queryset: "QuerySet[Host]") -> None:
        """See :func:`catalog.reclaim.services.enrol`."""
        self._each(request, queryset, services.enrol)

    @admin.action(description=gettext_lazy("Wipe"), permissions=["operate"])
    @confirmed
    def wipe(self, request: HttpRequest, queryset: "QuerySet[Host]") -> None:
        """See :func:`catalog.reclaim.services.wipe`."""
        self._each(request, queryset, services.wipe)

    @admin.action(description=gettext_lazy("Quarantine"), permissions=["operate"])
    @confirmed
    def quarantine(self, request: HttpRequest, queryset: "QuerySet[Host]") -> None:
        """See :func:`catalog.reclaim.services.quarantine`."""
        self._each(request, queryset, services.quarantine, reason=self._reason(request))

    @admin.action(description=gettext_lazy("Set aside for maintenance"), permissions=["operate"])
    @confirmed
    def maintenance(self, request: HttpRequest, queryset: "QuerySet[Host]") -> None:
        """See :func:`catalog.reclaim.services.maintenance`."""
        self._each(request, queryset, services.maintenance, reason=self._reason(request))

    @admin.action(description=gettext_lazy("Back from maintenance, through a wipe"), permissions=["operate"])
    @confirmed
    def resume(self, request: HttpRequest, queryset: "QuerySet[Host]") -> None:
        """See :func:`catalog.reclaim.services.resume`."""
        self._each(request, queryset, services.resume)

    @admin.action(description=gettext_lazy("Retire for ever"), permissions=["operate"])
    @confirmed
    def retire(self, request: HttpRequest, queryset: "QuerySet[Host]") -> None:
        """See :func:`catalog.reclaim.services.retire`."""
        self._each(request, queryset, services.retire, reason=self._reason(request))
