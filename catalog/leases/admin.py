"""Leases in the admin: to be read; services extend and end them. Policies of their lengths."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog.audit.admin import AuditedAdmin
from catalog.common import clock, words
from catalog.common.errors import DomainError
from catalog.leases import holds, services
from catalog.leases.models import Lease, LeaseEvent, LeasePolicy
from catalog.tenancy.admin import PolicyAdmin, actor_of
from catalog.tenancy.confirmation import confirmed
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action, can


def _span(seconds: int | None) -> str:
    return "–" if seconds is None else words.span(timedelta(seconds=seconds))


@admin.register(LeasePolicy)
class LeasePolicyAdmin(AuditedAdmin):
    """How long services may stay. What a row leaves empty, the next wider one says, and in the end the settings."""

    writers, written_by_hand, deletable = Action.CURATE, True, True
    delegated, roads = Action.MANAGE_MEMBERS, ("tenant", None)
    list_display = (
        "__str__",
        "tenant",
        "offering",
        "default",
        "longest",
        "longest_extension",
        "most_extensions",
        "grace",
    )
    list_filter = ("tenant", "offering")
    list_select_related = ("tenant", "offering")
    search_fields = ("tenant__slug", "offering__slug")
    autocomplete_fields = ("tenant", "offering")

    @admin.display(description=_("default"), ordering="default_seconds")
    def default(self, policy: LeasePolicy) -> str:
        """In words."""
        return _span(policy.default_seconds)

    @admin.display(description=_("longest"), ordering="longest_seconds")
    def longest(self, policy: LeasePolicy) -> str:
        """In words."""
        return _span(policy.longest_seconds)

    @admin.display(description=_("longest extension"), ordering="longest_extension_seconds")
    def longest_extension(self, policy: LeasePolicy) -> str:
        """In words."""
        return _span(policy.longest_extension_seconds)

    @admin.display(description=_("grace"), ordering="grace_seconds")
    def grace(self, policy: LeasePolicy) -> str:
        """In words."""
        return str(_("none")) if policy.grace_seconds == 0 else _span(policy.grace_seconds)


class LeaseActionForm(ActionForm):
    """What the actions on leases ask beside the rows."""

    reason = forms.CharField(label=_("Reason"), max_length=300, required=False)
    until = forms.CharField(
        label=_("Until"), required=False, widget=forms.TextInput(attrs={"placeholder": "2027-01-31 18:00"})
    )


@admin.register(Lease)
class LeaseAdmin(PolicyAdmin):
    """How long services may stay. Auditors and group administrators hold; pool operators recall."""

    list_display = (
        "instance",
        "tenant",
        "state",
        "starts_at",
        "ends_at",
        "grace_ends_at",
        "held_at",
        "held_until",
        "recalled_at",
    )
    list_filter = (
        "state",
        ("held_at", admin.EmptyFieldListFilter),
        ("recalled_at", admin.EmptyFieldListFilter),
        "instance__tenant",
    )
    list_select_related = ("instance__tenant",)
    search_fields = ("instance__name", "instance__unit")
    quick = {"instance": ("name", "unit")}
    ordering = ("ends_at",)
    action_form = LeaseActionForm
    actions = ("hold", "lift_hold", "recall", "cancel_recall")

    @admin.display(ordering="instance__tenant")
    def tenant(self, lease: Lease) -> str:
        """Whose service it is."""
        return lease.instance.tenant.slug

    def has_hold_permission(self, request: HttpRequest) -> bool:
        """Who sets and lifts holds."""
        return can(actor_of(request), Action.HOLD)

    def has_recall_permission(self, request: HttpRequest) -> bool:
        """Who recalls and takes it back."""
        return can(actor_of(request), Action.OPERATE_POOL)

    @admin.action(description=_("Set a legal hold (reason; until, or empty)"), permissions=["hold"])
    @confirmed
    def hold(self, request: HttpRequest, queryset: "QuerySet[Lease]") -> None:
        """Keep services, whatever their leases say."""
        actor, reason, now = actor_of(request), _reason(request), clock.now()
        self._each(
            request, queryset, lambda lease, until: holds.hold(actor, lease, reason=reason, until=until, now=now)
        )

    @admin.action(description=_("Lift the legal hold (reason)"), permissions=["hold"])
    @confirmed
    def lift_hold(self, request: HttpRequest, queryset: "QuerySet[Lease]") -> None:
        """Let leases count again."""
        actor, reason, now = actor_of(request), _reason(request), clock.now()
        self._each(request, queryset, lambda lease, _until: holds.lift_hold(actor, lease, reason=reason, now=now))

    @admin.action(description=_("Recall (reason; until, or empty for the least notice)"), permissions=["recall"])
    @confirmed
    def recall(self, request: HttpRequest, queryset: "QuerySet[Lease]") -> None:
        """Bring ends forward, with notice."""
        actor, reason, now = actor_of(request), _reason(request), clock.now()
        self._each(
            request, queryset,
            lambda lease, until: services.recall(lease, ends_at=until or now, reason=reason, now=now, actor=actor),
        )  # fmt: skip

    @admin.action(description=_("Cancel the recall"), permissions=["recall"])
    @confirmed
    def cancel_recall(self, request: HttpRequest, queryset: "QuerySet[Lease]") -> None:
        """Give leases their ends back."""
        actor, now = actor_of(request), clock.now()
        self._each(request, queryset, lambda lease, _until: services.cancel_recall(lease, now=now, actor=actor))

    def _each(
        self, request: HttpRequest, queryset: "QuerySet[Lease]", deed: Callable[[Lease, datetime | None], Lease]
    ) -> None:
        """Do ``deed`` to each lease, and say of each what came of it."""
        try:
            until = forms.DateTimeField(required=False).clean(request.POST.get("until", ""))
        except ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return
        for lease in queryset.order_by("pk"):
            try:
                deed(lease, until)
            except DomainError as error:
                self.message_user(request, f"{lease.instance}: {error.detail}", messages.ERROR)
            else:
                said = {"name": lease.instance, "when": words.moment(lease.ends_at)}
                self.message_user(request, _("%(name)s: done; its lease ends on %(when)s.") % said)


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")


@admin.register(LeaseEvent)
class LeaseEventAdmin(PolicyAdmin):
    """What happened to leases."""

    list_display = ("at", "lease", "seq", "kind", "actor")
    list_filter = (listed("kind", _("kind"), ("state", "notice", "extended", "held", "hold-lifted", "recalled")),)
    list_select_related = ("lease",)
    ordering = ("-id",)
