"""What is on sale: offerings and plans, and the manifest versions they are built from."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.common.data import check_data_classes
from catalog.common.isolation import Isolation
from catalog.common.models import UUIDModel


class Publication(models.TextChoices):
    DRAFT = "draft", _("draft")
    PUBLISHED = "published", _("published")
    HIDDEN = "hidden", _("hidden")


class Offering(UUIDModel):
    """A product on sale. Texts and order of display are curated in the admin; what it does is said by its manifest."""

    slug = models.CharField(max_length=40, unique=True)
    name_en = models.CharField(max_length=100)
    name_ko = models.CharField(max_length=100)
    summary_en = models.CharField(max_length=300, blank=True)
    summary_ko = models.CharField(max_length=300, blank=True)
    category = models.CharField(max_length=40)
    icon = models.CharField(max_length=40, default="box")
    publication = models.CharField(max_length=10, choices=Publication.choices, default=Publication.DRAFT)
    display_order = models.PositiveIntegerField(default=100)

    class Meta:
        verbose_name = _("offering")
        verbose_name_plural = _("offerings")
        ordering = ("display_order", "slug")

    def __str__(self) -> str:
        return self.slug


class OfferingVersion(UUIDModel):
    """An offering's folder exactly as it was loaded, unchanged once anything was ordered from it.

    A service is operated, and given back, with the version that built it, also when newer ones are on sale.
    """

    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="versions")
    version = models.CharField(max_length=40)
    git_revision = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the folder's files")
    manifest = models.JSONField()
    loaded_at = models.DateTimeField()

    class Meta:
        verbose_name = _("offering version")
        verbose_name_plural = _("offering versions")
        ordering = ("offering", "-loaded_at")
        constraints = [models.UniqueConstraint(fields=("offering", "version"), name="offering_version_once")]

    def __str__(self) -> str:
        return f"{self.offering.slug} {self.version}"


class OfferingFolder(models.Model):
    """The files a version was loaded from. Apart from it, so that they are read only by who builds."""

    version = models.OneToOneField(
        OfferingVersion, on_delete=models.CASCADE, primary_key=True, related_name="folder"
    )  # fmt: skip
    archive = models.BinaryField(help_text="ZIP")

    class Meta:
        verbose_name = _("folder of an offering")
        verbose_name_plural = _("folders of offerings")

    def __str__(self) -> str:
        return str(self.version)


class Plan(UUIDModel):
    """A size and price of an offering. Price, texts, publication and narrowing are curated; the rest follows the manifest.

    A plan with ``roles`` is built of several members; each entry says, as in the manifest, the role's name, how many members it
    has, what each needs of one host, and how far apart they stand.
    """

    class Topology(models.TextChoices):
        SLICE = "slice", _("slice of a host")
        DEDICATED = "dedicated", _("whole host")

    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="plans")
    version = models.ForeignKey(OfferingVersion, on_delete=models.PROTECT, related_name="plans")
    slug = models.CharField(max_length=40)
    name_en = models.CharField(max_length=100)
    name_ko = models.CharField(max_length=100)
    publication = models.CharField(max_length=10, choices=Publication.choices, default=Publication.DRAFT)
    topology = models.CharField(max_length=10, choices=Topology.choices)
    isolation = models.CharField(max_length=10, choices=Isolation.choices, default=Isolation.AFFILIATE)
    resources = models.JSONField(help_text="resource class → amount; of all members together")
    roles = models.JSONField(default=list, blank=True, help_text="empty: one member on one host")
    traits = models.JSONField(default=list, blank=True)
    price_krw_month = models.PositiveIntegerField()
    data_classes = models.JSONField(
        default=list,
        blank=True,
        validators=[check_data_classes],
        help_text="kinds of data it may hold, among those of the manifest; empty: all of them",
    )
    narrowing = models.JSONField(default=dict, blank=True, help_text="parameter → JSON Schema keywords that narrow it")
    display_order = models.PositiveIntegerField(default=100)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ("offering", "display_order", "slug")
        constraints = [
            models.UniqueConstraint(fields=("offering", "slug"), name="plan_once_per_offering"),
            models.CheckConstraint(
                condition=Q(topology="dedicated", isolation="dedicated")
                | (Q(topology="slice") & ~Q(isolation="dedicated")),
                name="plan_whole_host_is_dedicated",
                violation_error_message=_("A whole host is a dedicated one, and a slice is not."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.offering.slug}/{self.slug}"
