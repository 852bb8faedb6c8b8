"""Rules of what must be approved, what was asked and decided, who stands in for whom, and when changes are frozen."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from catalog.approvals.calendar import Recurrence
from catalog.approvals.rules import Deed, Step, Who
from catalog.common.data import DataClass
from catalog.common.models import UUIDModel
from catalog.instances.models import ServiceInstance
from catalog.offerings.models import Offering, Plan
from catalog.pool.models import Zone
from catalog.tenancy.models import Project, Tenant, User

DEAREST = 10**12
_RULED = [(each.value, each.label) for each in Deed if each is not Deed.RECLAIM]


class ApprovalRule(models.Model):
    """What must be approved by whom. What is left empty is not asked. The first that holds decides, by ``priority``.

    ``steps`` are its levels in order, ``[{"who": …, "people": …}]``; none: nobody has to approve.
    """

    name = models.CharField(max_length=100, unique=True)
    active = models.BooleanField(default=True)
    priority = models.PositiveIntegerField(
        default=100, validators=[MaxValueValidator(10_000)], help_text=_("the lowest number comes first")
    )
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="approval_rules")
    offering = models.ForeignKey(Offering, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    plan = models.ForeignKey(Plan, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    zone = models.ForeignKey(Zone, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    price_over_krw = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(DEAREST)],
        help_text=_("costs more than this a month (KRW)"),
    )
    data_class = models.CharField(
        max_length=20,
        blank=True,
        choices=DataClass.choices,
        help_text=_("data of this class or of a more protected one"),
    )
    deed = models.CharField(max_length=12, blank=True, choices=_RULED)
    production = models.BooleanField(null=True, blank=True, help_text=_("only projects in production, or only others"))
    steps = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name = _("approval rule")
        verbose_name_plural = _("approval rules")
        ordering = ("priority", "name")
        constraints = [
            models.CheckConstraint(
                condition=Q(price_over_krw__isnull=True) | Q(price_over_krw__lte=DEAREST), name="approvalrule_price"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Outcome(models.TextChoices):
    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")
    EXPIRED = "expired", _("expired")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Request(UUIDModel):
    """One thing that waits, or waited, for people to agree: exactly what ``content_hash`` names.

    What is demanded was written down when it was asked: rules that change meanwhile change nothing here. ``level`` is the one
    that decides now, counted from 1, and ``who`` its deciders.
    """

    subject_type = models.CharField(max_length=40)
    subject_id = models.UUIDField()
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="approval_requests")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    instance = models.ForeignKey(
        ServiceInstance, null=True, blank=True, on_delete=models.SET_NULL, related_name="approval_requests",
        help_text=_("the service it is about: who answers for it does not decide"),
    )  # fmt: skip
    title = models.CharField(max_length=200, help_text="what it is about, in names")
    deed = models.CharField(max_length=12, choices=_RULED)
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of what the deciders are shown")
    steps = models.JSONField(help_text='[{"who": …, "people": …}]')
    reasons = models.JSONField(default=list, help_text='[{"rule": …, "conditions": [[kind, value]]}]')
    level = models.PositiveSmallIntegerField(default=1)
    who = models.CharField(max_length=20, choices=Who.choices)
    opened_at = models.DateTimeField()
    remind_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, blank=True, choices=Outcome.choices)

    class Meta:
        verbose_name = _("request for approval")
        verbose_name_plural = _("requests for approval")
        ordering = ("-opened_at",)
        indexes = [
            models.Index(fields=("subject_id", "-opened_at"), name="request_by_subject"),
            models.Index(fields=("opened_at",), condition=Q(closed_at__isnull=True), name="request_open"),
            models.Index(
                fields=("remind_at",),
                condition=Q(closed_at__isnull=True, remind_at__isnull=False),
                name="request_remind",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=("subject_type", "subject_id"), condition=Q(closed_at__isnull=True), name="request_one_open"
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) ^ ~Q(outcome=""), name="request_closed_has_outcome"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.deed} {self.title}"

    @property
    def owners(self) -> set[int]:
        """People whose own it is, so that they do not decide: who asked, and who answers for the service."""
        answers = self.instance.responsible_id if self.instance is not None else None
        return {each for each in (self.requested_by_id, answers) if each is not None}

    @property
    def demanded(self) -> tuple[Step, ...]:
        """The levels, in order."""
        return tuple(Step(each["who"], each["people"]) for each in self.steps)


class Decision(models.Model):
    """What one person decided on one level, perhaps for another who was away. The same person never counts twice."""

    class Verdict(models.TextChoices):
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")

    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="decisions")
    level = models.PositiveSmallIntegerField()
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    content_hash = models.CharField(max_length=64)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    on_behalf_of = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField()
    comment = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        ordering = ("decided_at", "pk")
        constraints = [
            models.UniqueConstraint(fields=("request", "decided_by"), name="decision_once_a_person"),
            models.UniqueConstraint(fields=("request", "on_behalf_of"), name="decision_once_for_a_person"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.level} {self.verdict}"


class Delegation(UUIDModel):
    """From ``starts_at`` until ``ends_at`` ``delegate`` decides for ``person``, for one affiliate or (none) for the group."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="delegations_given")
    delegate = models.ForeignKey(User, on_delete=models.CASCADE, related_name="delegations_held")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="brought forward when it is ended early")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("delegation")
        verbose_name_plural = _("delegations")
        ordering = ("-starts_at",)
        constraints = [
            models.CheckConstraint(condition=~Q(person=F("delegate")), name="delegation_to_another"),
            models.CheckConstraint(condition=Q(ends_at__gte=F("starts_at")), name="delegation_forward"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} → {self.delegate_id}"


class FreezeWindow(models.Model):
    """A time in which approved changes wait: once, or again and again. ``deeds`` are what waits."""

    reason = models.CharField(max_length=200, help_text=_("what everybody who waits reads"))
    active = models.BooleanField(default=True)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="freeze_windows")
    deeds = models.JSONField(default=list)
    recurrence = models.CharField(max_length=10, choices=Recurrence.choices, default=Recurrence.ONCE)
    starts_at = models.DateTimeField(help_text=_("from then on the recurrence counts, where it recurs"))
    ends_at = models.DateTimeField(null=True, blank=True)
    weekday = models.PositiveSmallIntegerField(
        null=True, blank=True, choices=list(enumerate(
            (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))
        )), help_text=_("of the day it begins on, every week"),
    )  # fmt: skip
    time_from = models.TimeField(null=True, blank=True)
    time_until = models.TimeField(null=True, blank=True, help_text=_("of the next day where it is not later"))
    working_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text=_("so many last working days of the month, to its end"),
    )  # fmt: skip

    class Meta:
        verbose_name = _("change freeze")
        verbose_name_plural = _("change freezes")
        ordering = ("starts_at", "pk")
        constraints = [
            models.CheckConstraint(
                condition=Q(recurrence="once", ends_at__isnull=False)
                | Q(recurrence="weekly", weekday__isnull=False, time_from__isnull=False, time_until__isnull=False)
                | Q(recurrence="month_end", working_days__isnull=False),
                name="freezewindow_has_its_times",
                violation_error_message=_("This freeze has no time or nothing that waits. Correct the named fields."),
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="freezewindow_forward",
                violation_error_message=_("The end lies before the beginning."),
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class Holiday(models.Model):
    """A day that is no working day, for the last working days of a month."""

    day = models.DateField(unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        verbose_name = _("holiday")
        verbose_name_plural = _("holidays")
        ordering = ("day",)

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
