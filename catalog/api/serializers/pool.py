"""Zones and hosts."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from catalog.api.fields import FreeObject, Page, Strict, Text, Whole
from catalog.api.serializers.texts import Translated
from catalog.common.data import DataClass
from catalog.pool.models import Host as HostRow
from catalog.pool.models import WipeCertificate, WorkerState
from catalog.pool.models import Zone as ZoneRow
from catalog.pool.services import verify_certificate
from catalog.pool.states import HostState


class Zone(serializers.Serializer[Any]):
    """Where hardware stands. Since ``closed_at`` nothing new is placed there; orders wait while its worker is silent."""

    slug = serializers.CharField()
    name = Translated("name")
    kind = serializers.ChoiceField(choices=ZoneRow.Kind.choices)
    tenant = serializers.CharField(source="tenant.slug", allow_null=True, default=None)
    admission = serializers.ChoiceField(choices=ZoneRow.Admission.choices)
    data_classes = serializers.ListField(child=serializers.ChoiceField(choices=DataClass.choices))
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_reason = serializers.CharField()
    worker_state = serializers.ChoiceField(choices=WorkerState.choices)
    worker_seen_at = serializers.DateTimeField(allow_null=True)


class ZoneDetail(Zone):
    """With what only operators are told."""

    name_ko = serializers.CharField()
    name_en = serializers.CharField()
    admitted = serializers.SerializerMethodField(help_text=_("Affiliates let in by name."))
    protected_outside = serializers.BooleanField()
    wipe_driver = serializers.CharField()

    def get_admitted(self, zone: ZoneRow) -> list[str]:
        return sorted(zone.admitted.values_list("slug", flat=True))


class ChangeZone(Strict):
    """What is said of a zone; members left out stay as they are."""

    name_ko = Text(max_length=100, required=False)
    name_en = Text(max_length=100, required=False)
    kind = serializers.ChoiceField(choices=ZoneRow.Kind.choices, required=False)
    tenant = Text(max_length=40, required=False, allow_null=True, help_text=_("Of a local zone: its affiliate."))
    admission = serializers.ChoiceField(choices=ZoneRow.Admission.choices, required=False)
    admitted = serializers.ListField(
        child=Text(max_length=40), required=False, max_length=200, help_text=_("Affiliates let in by name.")
    )
    data_classes = serializers.ListField(
        child=serializers.ChoiceField(choices=DataClass.choices), required=False, min_length=1, max_length=4
    )
    protected_outside = serializers.BooleanField(
        required=False, help_text=_("Your word that an external zone may hold protected data.")
    )
    wipe_driver = serializers.RegexField(r"^[a-z][a-z0-9_-]{0,39}$", required=False)
    driver_options = FreeObject(required=False)


class CreateZone(ChangeZone):
    """A zone; its worker is started beside its hardware afterwards."""

    slug = Text(max_length=40, help_text=_("3 to 40 of a–z, 0–9 and -, starting with a letter."))
    name_ko = Text(max_length=100)
    name_en = Text(max_length=100)


class CloseZone(Strict):
    """Why, for people to read."""

    reason = Text(max_length=300)


class HostQuery(Page):
    """Which hosts to list."""

    state = serializers.ChoiceField(choices=HostState.choices, required=False)
    zone = serializers.SlugField(max_length=40, required=False)


class RegisterHost(Strict):
    """A machine for the pool. It is enrolled at once: its key is learnt and its capacity read from its own facts."""

    name = Text(max_length=63)
    zone = Text(max_length=40)
    address = Text(max_length=45, help_text=_("IPv4 or IPv6 address it answers on."))
    owner = Text(max_length=40, required=False, allow_null=True, help_text=_("The affiliate that bought it."))
    ssh_port = Whole(required=False, default=22, min_value=1, max_value=65535)
    ssh_user = serializers.RegexField(r"^[a-z_][a-z0-9_-]{0,31}$", required=False, default="ops")


class Because(Strict):
    """Why, for the record."""

    reason = Text(max_length=500, required=False, allow_blank=True, default="")


class Inventory(serializers.Serializer[Any]):
    """How much of one resource class there is; ``allocation_ratio`` in percent."""

    resource_class = serializers.CharField()
    total = serializers.IntegerField()
    reserved = serializers.IntegerField()
    allocation_ratio = serializers.IntegerField()
    used = serializers.IntegerField()
    free = serializers.IntegerField()


class Host(serializers.Serializer[Any]):
    """A machine of the pool."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    zone = serializers.CharField(source="zone.slug")
    address = serializers.IPAddressField()
    ssh_port = serializers.IntegerField()
    ssh_user = serializers.CharField()
    owner = serializers.CharField(source="owner.slug", allow_null=True, default=None)
    holder = serializers.CharField(source="holder.slug", allow_null=True, default=None)
    exclusive = serializers.BooleanField()
    sharing = serializers.CharField(
        help_text=_("`group` while several affiliates use it side by side, else `affiliate`.")
    )
    state = serializers.ChoiceField(choices=HostState.choices)
    state_reason = serializers.CharField()
    state_since = serializers.DateTimeField()
    deadline = serializers.DateTimeField(allow_null=True)
    proven_clean = serializers.BooleanField()
    generation = serializers.IntegerField()
    traits = serializers.SerializerMethodField()
    inventories = Inventory(many=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)
    failed_checks = serializers.IntegerField()
    failed_builds = serializers.IntegerField(help_text=_("Builds that failed on it one after the other."))
    enrolled_at = serializers.DateTimeField()

    def get_traits(self, host: HostRow) -> list[str]:
        return sorted(trait.name for trait in host.traits.all())


class HostDetail(Host):
    """With what the host said of itself."""

    facts = FreeObject()


class Certificate(serializers.Serializer[Any]):
    """Evidence that a life of the host began clean. ``valid``: this installation signed exactly this."""

    id = serializers.UUIDField()
    generation = serializers.IntegerField()
    previous_holder = serializers.CharField(source="previous_holder.slug", allow_null=True, default=None)
    method = serializers.CharField()
    evidence = FreeObject()
    issued_at = serializers.DateTimeField()
    signature = serializers.CharField()
    valid = serializers.SerializerMethodField()

    def get_valid(self, certificate: WipeCertificate) -> bool:
        return verify_certificate(certificate)
