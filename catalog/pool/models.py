"""Hardware: zones, hosts, what they have, what they are, and the evidence that they are clean."""

import uuid

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from catalog.common.data import PROTECTED, check_data_classes, ordinary
from catalog.common.isolation import Isolation
from catalog.common.models import AbstractEvent, Stateful, UUIDModel
from catalog.pool.states import HostState
from catalog.tenancy.models import SLUG, Tenant, User

RESOURCE_CLASS = RegexValidator(r"\A[A-Z][A-Z0-9_]{1,39}\Z", _("Capital letters, digits and _, such as VCPU."))
HOST_NAME = RegexValidator(r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z", _("A host name of a–z, 0–9 and -."))

VCPU, MEMORY_MB, DISK_GB = "VCPU", "MEMORY_MB", "DISK_GB"

# In ``Inventory.open_to``: whoever asks first; and every affiliate, beside the others' slices.
ANYONE = uuid.UUID(int=0)
GROUP = uuid.UUID(int=1)


class WorkerState(models.TextChoices):
    """Whether somebody works in a zone, as last looked up (:mod:`catalog.pool.workers`)."""

    UNKNOWN = "unknown", _("not looked up yet")
    LIVE = "live", _("at work")
    SILENT = "silent", _("silent")


class Zone(UUIDModel):
    """Where hardware stands; served by a Prefect work pool of the same name.

    Who may place there: in a local zone its affiliate and the ``admitted`` ones; elsewhere everybody, or the ``admitted`` ones,
    as ``admission`` says. What may be placed there: services whose data :meth:`holds` allows, and nothing new while it is closed.
    """

    class Kind(models.TextChoices):
        SHARED = "shared", _("shared")
        LOCAL = "local", _("local to one affiliate")
        EXTERNAL = "external", _("external")

    class Admission(models.TextChoices):
        ALL = "all", _("all affiliates")
        CHOSEN = "chosen", _("chosen affiliates")

    slug = models.CharField(max_length=40, unique=True, validators=[SLUG])
    name_ko = models.CharField(max_length=100)
    name_en = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.SHARED)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="local_zones")
    admission = models.CharField(
        max_length=10, choices=Admission.choices, default=Admission.ALL, help_text="of shared and external zones"
    )
    admitted = models.ManyToManyField(
        Tenant, blank=True, related_name="zones_as_guest", help_text="the chosen ones; in a local zone its guests"
    )
    data_classes = models.JSONField(
        default=ordinary, validators=[check_data_classes], help_text="kinds of data its services may hold"
    )
    protected_outside = models.BooleanField(
        default=False, help_text="an external zone may hold protected data; somebody answers for that"
    )
    closed_at = models.DateTimeField(null=True, blank=True, help_text="nothing new is placed here since then")
    closed_reason = models.CharField(max_length=300, blank=True, help_text="shown to people")
    worker_state = models.CharField(max_length=10, choices=WorkerState.choices, default=WorkerState.UNKNOWN)
    worker_seen_at = models.DateTimeField(null=True, blank=True, help_text="last sign of life of one of its workers")
    wipe_driver = models.CharField(max_length=40, default="rack", help_text="a file of playbooks/hosts/drivers")
    driver_options = models.JSONField(default=dict, blank=True, help_text="what the driver needs to reach the hardware")

    class Meta:
        verbose_name = _("zone")
        verbose_name_plural = _("zones")
        ordering = ("slug",)
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="local", tenant__isnull=False) | (~Q(kind="local") & Q(tenant__isnull=True)),
                name="zone_local_has_tenant",
                violation_error_message=_("A local zone needs its affiliate; any other zone must have none."),
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | ~Q(closed_reason=""),
                name="zone_closed_says_why",
                violation_error_message=_("A closed zone says why."),
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def holds(self, data_class: str) -> bool:
        """Whether services with such data may be placed here. An external zone holds protected data only by an express word."""
        leaves = self.kind == self.Kind.EXTERNAL and data_class in PROTECTED
        return data_class in self.data_classes and (self.protected_outside or not leaves)


class Trait(models.Model):
    """A fact a host has and a plan can require, such as ``ssd``."""

    name = models.CharField(max_length=40, unique=True, validators=[SLUG])

    class Meta:
        verbose_name = _("trait")
        verbose_name_plural = _("traits")

    def __str__(self) -> str:
        return self.name


class Baseline(models.Model):
    """What a pristine host looks like: the document the check after a wipe compares with. Shared by hosts of one image."""

    digest = models.CharField(max_length=64, unique=True)
    document = models.BinaryField(help_text="zlib-compressed canonical JSON")
    taken_at = models.DateTimeField()

    class Meta:
        verbose_name = _("baseline")
        verbose_name_plural = _("baselines")

    def __str__(self) -> str:
        return self.digest[:12]


class Host(UUIDModel, Stateful):
    """One machine of the pool.

    ``owner`` bought it; ``holder`` uses it now. While its ``sharing`` is ``group`` affiliates use it side by side, by plans that
    say so: it has no holder then, and is wiped when the last of them has left. ``failed_builds`` counts builds that failed on it
    one after the other. ``proven_clean`` is False from the first build on, until a passed check with a certificate.
    ``generation`` counts its lives: it grows with each wipe. ``attempt`` is the newest run of a host flow.
    """

    name = models.CharField(max_length=63, unique=True, validators=[HOST_NAME])
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="hosts")
    owner = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="owned_hosts")
    holder = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="held_hosts")
    exclusive = models.BooleanField(default=False, help_text="held as a whole by one instance")
    sharing = models.CharField(
        max_length=10,
        choices=[(each.value, each.label) for each in (Isolation.AFFILIATE, Isolation.GROUP)],
        default=Isolation.AFFILIATE,
        help_text="whose slices may stand on it side by side",
    )
    state = models.CharField(max_length=20, choices=HostState.choices, default=HostState.ENROLLED)
    proven_clean = models.BooleanField(default=False)
    generation = models.PositiveIntegerField(default=1)
    attempt = models.PositiveIntegerField(default=0)
    address = models.GenericIPAddressField(unique=True)
    ssh_port = models.PositiveIntegerField(default=22)
    ssh_user = models.CharField(max_length=32, default="ops")
    facts = models.JSONField(default=dict, blank=True)
    traits = models.ManyToManyField(Trait, blank=True, related_name="hosts")
    baseline = models.ForeignKey(Baseline, null=True, blank=True, on_delete=models.PROTECT)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    failed_checks = models.PositiveIntegerField(default=0)
    failed_builds = models.PositiveIntegerField(default=0)
    build_failed_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0, help_text="attempts at the present host flow")
    failure_code = models.CharField(max_length=60, blank=True)
    state_reason = models.CharField(max_length=500, blank=True)
    release_requested_by = models.ForeignKey(
        User,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="the first of the two people who let a host out of quarantine",
    )
    enrolled_at = models.DateTimeField()

    class Meta:
        verbose_name = _("host")
        verbose_name_plural = _("hosts")
        ordering = ("name",)
        indexes = [models.Index(fields=("zone", "state", "holder"), name="host_placeable")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="available")
                | Q(proven_clean=True, holder__isnull=True, exclusive=False, sharing="affiliate"),
                name="host_available_is_clean",
                violation_error_message=_("Only a clean host that nobody holds can be available."),
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("reserved", "in_use")) | Q(holder__isnull=False) | Q(sharing="group"),
                name="host_claimed_has_holder",
                violation_error_message=_("A claimed host must have a holder, unless affiliates share it."),
            ),
            models.CheckConstraint(
                condition=~Q(sharing="group") | Q(holder__isnull=True, exclusive=False),
                name="host_of_the_group_has_no_holder",
                violation_error_message=_("A host that affiliates share is held by none of them alone."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class HostKey(models.Model):
    """An ssh host key as it was learnt: once at enrolment, and again after each wipe."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="keys")
    generation = models.PositiveIntegerField()
    public_key = models.CharField(max_length=1000, help_text="as in known_hosts, without the host's name")
    fingerprint = models.CharField(max_length=60)
    learnt_at = models.DateTimeField()
    learnt_by = models.CharField(max_length=20, choices=[("enrolment", _("enrolment")), ("wipe", _("wipe"))])

    class Meta:
        verbose_name = _("host key")
        verbose_name_plural = _("host keys")
        constraints = [
            models.UniqueConstraint(fields=("host", "generation"), name="hostkey_once_per_generation"),
            # A wiped machine makes a new key; an old one seen again means that the wipe did not happen.
            models.UniqueConstraint(fields=("host", "fingerprint"), name="hostkey_never_again"),
        ]

    def __str__(self) -> str:
        return f"{self.host_id} {self.fingerprint}"


class Inventory(models.Model):
    """How much of one resource class a host has, and how much of it is claimed.

    ``free`` = ⌊(total − reserved) × allocation_ratio / 100⌋ − used, kept by the database, which refuses a
    negative one: whatever the code does, nothing is given twice. ``used`` equals the sum of the host's open
    allocations (``manage.py books`` proves it).

    ``zone`` and ``open_to`` repeat what the host row says, so that one index finds room among any number of hosts: ``open_to``
    is ``ANYONE`` on an available host, the holder's id beside its other slices, ``GROUP`` beside those of several affiliates, and
    empty where nothing may be placed.
    :func:`catalog.pool.services.move_host` keeps it; a claim checks the host row itself once it has locked it.
    """

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="inventories")
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="+", editable=False)
    open_to = models.UUIDField(null=True, blank=True, editable=False)
    resource_class = models.CharField(max_length=40, validators=[RESOURCE_CLASS])
    total = models.PositiveIntegerField()
    reserved = models.PositiveIntegerField(default=0)
    allocation_ratio = models.PositiveIntegerField(default=100, help_text="percent; above 100 sells more than there is")
    used = models.PositiveIntegerField(default=0)
    free = models.GeneratedField(
        expression=(F("total") - F("reserved")) * F("allocation_ratio") / 100 - F("used"),
        output_field=models.IntegerField(),
        db_persist=True,
    )

    class Meta:
        verbose_name = _("inventory")
        verbose_name_plural = _("inventories")
        constraints = [
            models.UniqueConstraint(fields=("host", "resource_class"), name="inventory_once_per_class"),
            models.CheckConstraint(condition=Q(reserved__lte=F("total")), name="inventory_reserved_within_total"),
            models.CheckConstraint(condition=Q(allocation_ratio__gt=0), name="inventory_ratio_positive"),
            models.CheckConstraint(condition=Q(free__gte=0), name="inventory_never_overcommitted"),
        ]
        indexes = [
            models.Index(
                fields=("resource_class", "open_to", "zone", "free"),
                condition=Q(open_to__isnull=False),
                name="inventory_best_fit",
            )
        ]

    def __str__(self) -> str:
        return f"{self.host_id} {self.resource_class} {self.used}/{self.total}"


class WipeCertificate(UUIDModel):
    """Signed evidence of what was erased, how, and what the check afterwards found.

    ``method`` ``enrolment`` certifies a host that came to the pool fresh: the baseline taken of it is the evidence.
    """

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="certificates")
    generation = models.PositiveIntegerField(help_text="the life that begins with this certificate")
    previous_holder = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    method = models.CharField(max_length=40)
    evidence = models.JSONField()
    issued_at = models.DateTimeField()
    signature = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("wipe certificate")
        verbose_name_plural = _("wipe certificates")
        ordering = ("-issued_at",)
        constraints = [models.UniqueConstraint(fields=("host", "generation"), name="certificate_once_per_generation")]

    def __str__(self) -> str:
        return f"{self.host_id} #{self.generation} {self.method}"


class HostEvent(AbstractEvent):
    """One thing that happened to a host."""

    subject_field = "host"
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="events")

    class Meta(AbstractEvent.Meta):
        verbose_name = _("host event")
        verbose_name_plural = _("host events")
        constraints = [models.UniqueConstraint(fields=("host", "seq"), name="hostevent_seq")]
