"""Services that were built."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.fields import FreeObject, Page, Strict, Text, Whole
from catalog.api.serializers.approvals import Freeze
from catalog.api.serializers.orders import LONGEST, Event
from catalog.api.serializers.texts import ProjectName
from catalog.common import clock
from catalog.common.data import DataClass
from catalog.health import selectors as health
from catalog.health.models import Outcome
from catalog.instances.links import dependents, links_of
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases.limits import extension_room
from catalog.leases.models import Lease as LeaseRow
from catalog.leases.states import LeaseState
from catalog.orders.frozen import keeping


class InstanceQuery(Page):
    """Which services to list."""

    state = serializers.ChoiceField(choices=InstanceState.choices, required=False)
    project = serializers.CharField(max_length=81, required=False, help_text="affiliate/project")


class ExtendLease(Strict):
    """How much longer."""

    extend_seconds = Whole(min_value=1, max_value=LONGEST)


class Hold(Strict):
    """Why, and for how long."""

    reason = Text(max_length=300)
    until = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text=_("Until it is lifted when left out.")
    )


class LiftHold(Strict):
    """Why."""

    reason = Text(max_length=300)


class GiveBack(Strict):
    """Why, for the record."""

    reason = Text(max_length=300, required=False, allow_blank=True, default="")


class Operate(Strict):
    """Which operation, and what it asks for."""

    operation = Text(max_length=40, help_text=_("One of `operations` of the service."))
    parameters = FreeObject(required=False)
    reason = Text(max_length=300, required=False, allow_blank=True, default="")


class Operation(serializers.Serializer[Any]):
    """Something that can be done to the service."""

    name = serializers.CharField()
    title = serializers.DictField(child=serializers.CharField(), help_text=_("Language → its name."))
    about = serializers.DictField(child=serializers.CharField(), help_text=_("Language → what it does."))
    parameters = FreeObject(help_text=_("JSON Schema of what it asks for."))
    usual_seconds = serializers.IntegerField(source="seconds", help_text=_("How long it usually takes."))
    possible = serializers.BooleanField(help_text=_("Whether it can be ordered now."))


class Ahead(serializers.Serializer[Any]):
    """What will happen to a service when nobody does anything."""

    at = serializers.DateTimeField()
    what = serializers.ChoiceField(choices=("stop", "erase"))


class Lease(serializers.Serializer[Any]):
    """How long it may stay; afterwards it is taken back. While it is held it is not.

    From ``ends_at`` to ``grace_ends_at`` it is stopped and its data kept; null: there is no grace. Grace begins when it is
    stopped, so ``grace_ends_at`` moves with that by seconds. ``ahead`` says what happens when, as things stand.
    ``held_at`` says since when; ``held_until`` null: until the hold is lifted. ``recalled_at`` says when its lender asked for
    it back; it cannot be extended then.
    """

    state = serializers.ChoiceField(choices=LeaseState.choices)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    grace_ends_at = serializers.DateTimeField(allow_null=True)
    ahead = serializers.SerializerMethodField(help_text=_("What happens when, if nobody does anything."))
    held_at = serializers.DateTimeField(allow_null=True)
    held_until = serializers.DateTimeField(allow_null=True)
    recalled_at = serializers.DateTimeField(allow_null=True)
    recall_reason = serializers.CharField()

    @extend_schema_field(Ahead(many=True))
    def get_ahead(self, lease: LeaseRow) -> Any:
        """In order; nothing once it has ended, and while it is held until it is lifted."""
        return Ahead([{"at": at, "what": what} for at, what in lease.ahead(clock.now())], many=True).data


class LeaseDetail(Lease):
    """With how far it could be extended, the next notice of its end, and what happened to it, notices included."""

    extensions = serializers.IntegerField(help_text=_("How often it was extended."))
    extension_room_seconds = serializers.SerializerMethodField(help_text=_("The furthest one extension may go now."))
    next_notice_at = serializers.DateTimeField(allow_null=True)
    freeze = serializers.SerializerMethodField(
        help_text=_("The change freeze that delays what its end brings; null: none does.")
    )
    events = serializers.SerializerMethodField(help_text=_("The last hundred, in order."))

    def get_extension_room_seconds(self, lease: LeaseRow) -> int:
        """Zero where it cannot be extended."""
        return extension_room(lease, clock.now())

    @extend_schema_field(Freeze(allow_null=True))
    def get_freeze(self, lease: LeaseRow) -> Any:
        found = keeping(lease, now=clock.now())
        return Freeze({"why": found.reason, "until": found.until}).data if found else None

    @extend_schema_field(Event(many=True))
    def get_events(self, lease: LeaseRow) -> Any:
        """The newest, the oldest of them first."""
        return Event(list(lease.events.order_by("-seq")[:100])[::-1], many=True).data


class Endpoint(serializers.Serializer[Any]):
    """Where a client connects: by the name, where the zone gives one."""

    name = serializers.CharField(
        source="name.name", allow_null=True, default=None, help_text=_("Full DNS name that leads to the address.")
    )
    address = serializers.IPAddressField(source="address.address")
    port = serializers.IntegerField()
    member = serializers.CharField(help_text=_("Which part of the service answers there."))


class Health(serializers.Serializer[Any]):
    """What the regular check of the service saw last. The last result stays while it cannot be checked."""

    outcome = serializers.ChoiceField(
        choices=[Outcome.HEALTHY.value, Outcome.FAILED.value, ""], help_text=_("Empty: there was no check yet.")
    )
    checked_at = serializers.DateTimeField(allow_null=True)
    failures = serializers.IntegerField(help_text=_("How many checks in a row have failed."))
    reason = serializers.CharField(help_text=_("Why the last check failed."))
    unknown_since = serializers.DateTimeField(allow_null=True)
    unknown_reason = serializers.CharField(help_text=_("Why it cannot be checked at the moment; empty where it can."))
    next_at = serializers.DateTimeField(allow_null=True)


class Spell(serializers.Serializer[Any]):
    """A stretch of checks that came to the same."""

    outcome = serializers.ChoiceField(choices=Outcome.choices)
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    checks = serializers.IntegerField()
    reason = serializers.CharField()


class Instance(serializers.Serializer[Any]):
    """A service."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    unit = serializers.CharField(help_text=_("Its name on hosts."))
    state = serializers.ChoiceField(choices=InstanceState.choices)
    state_reason = serializers.CharField()
    state_since = serializers.DateTimeField()
    tenant = serializers.CharField(source="tenant.slug")
    project = ProjectName()
    offering = serializers.CharField(source="plan.offering.slug")
    plan = serializers.CharField(source="plan.slug")
    zone = serializers.CharField(source="zone.slug", allow_null=True, default=None)
    data_class = serializers.ChoiceField(choices=DataClass.choices)
    responsible = serializers.CharField(
        source="responsible.username", allow_null=True, default=None, help_text=_("Who answers for it.")
    )
    endpoints = Endpoint(many=True)
    lease = Lease(allow_null=True, default=None)
    health = serializers.SerializerMethodField(help_text=_("Null: it is not checked as it is now."))
    created_at = serializers.DateTimeField()
    active_at = serializers.DateTimeField(allow_null=True)
    decommissioned_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(Health(allow_null=True))
    def get_health(self, instance: ServiceInstance) -> Any:
        found = health.shown(instance)
        return Health(found).data if found else None


class InstanceDetail(Instance):
    """With what it was built from and what the build said."""

    version = serializers.CharField(source="version.version", help_text=_("Of the manifest."))
    parameters = FreeObject()
    allow_from = serializers.ListField(
        child=serializers.CharField(), help_text=_("Empty: the affiliate's networks and the zone's.")
    )
    links = serializers.SerializerMethodField(help_text=_("Services it uses: the word it knows one by, and its name."))
    used_by = serializers.SerializerMethodField(help_text=_("Services that use this one; they are given back first."))
    outputs = FreeObject()
    health_history = serializers.SerializerMethodField(help_text=_("The newest last; old ones are forgotten."))

    @extend_schema_field(Spell(many=True))
    def get_health_history(self, instance: ServiceInstance) -> Any:
        return Spell(health.history(instance), many=True).data

    def get_links(self, instance: ServiceInstance) -> dict[str, str]:
        return {link.alias: link.provider.name for link in links_of(instance)}

    def get_used_by(self, instance: ServiceInstance) -> list[str]:
        return dependents(instance)


class Credentials(serializers.Serializer[Any]):
    """Everything a client needs to connect. It is shown once."""

    credentials = FreeObject()
    connection = serializers.ListField(
        child=serializers.DictField(child=serializers.CharField()),
        help_text=_("Ready lines for common clients, without the password."),
    )
