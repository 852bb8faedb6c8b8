"""Affiliates, their projects, and who may do what for whom."""

from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.common.models import UUIDModel

SLUG = RegexValidator(r"\A[a-z][a-z0-9-]{1,38}[a-z0-9]\Z", _("3 to 40 of a–z, 0–9 and -, starting with a letter."))


class User(AbstractUser):
    """A person. What they may do is said by their memberships, never by ``is_staff`` alone."""

    language = models.CharField(max_length=5, choices=[("ko", "한국어"), ("en", "English")], default="ko")

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")


class Tenant(UUIDModel):
    """An affiliate of the group. Owns quota, users and projects; may own hardware."""

    slug = models.CharField(max_length=40, unique=True, validators=[SLUG])
    name_ko = models.CharField(max_length=100)
    name_en = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("affiliate")
        verbose_name_plural = _("affiliates")
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug


class Environment(models.TextChoices):
    """What a project's services are for. What runs in production is changed and given back under stricter rules."""

    PRODUCTION = "production", _("production")
    OTHER = "other", _("development or test")


class Project(UUIDModel):
    """A tenant's undertaking; orders belong to one. After ``ends_on`` nothing new may be ordered for it."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="projects")
    slug = models.CharField(max_length=40, validators=[SLUG])
    name = models.CharField(max_length=100)
    environment = models.CharField(max_length=12, choices=Environment.choices, default=Environment.OTHER)
    ends_on = models.DateField(null=True, blank=True)

    class Meta:
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        ordering = ("tenant", "slug")
        constraints = [
            models.UniqueConstraint(
                fields=("tenant", "slug"),
                name="project_slug_per_tenant",
                violation_error_message=_("This affiliate already has a project of that name."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.tenant.slug}/{self.slug}"


class Role(models.TextChoices):
    """What a person is, for one tenant or one of its projects (``tenant`` set) or for the group (``tenant`` empty)."""

    DEVELOPER = "developer", _("developer")
    APPROVER = "approver", _("approver")
    TENANT_ADMIN = "tenant_admin", _("affiliate admin")
    CATALOG_ADMIN = "catalog_admin", _("catalog admin")
    OPERATOR = "operator", _("pool operator")
    FINANCE = "finance", _("finance")
    AUDITOR = "auditor", _("auditor")
    GROUP_ADMIN = "group_admin", _("group admin")


TENANT_ROLES = frozenset({Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN})
GROUP_ROLES = frozenset({Role.CATALOG_ADMIN, Role.OPERATOR, Role.FINANCE, Role.AUDITOR, Role.GROUP_ADMIN})


class Membership(models.Model):
    """A role granted to a person, for a tenant as a whole, for one of its projects, or for the group, until ``ends_at``."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        ordering = ("user", "tenant", "role")
        constraints = [
            models.UniqueConstraint(
                fields=("user", "tenant", "role"),
                condition=models.Q(tenant__isnull=False, project__isnull=True),
                name="membership_once_per_tenant",
            ),
            models.UniqueConstraint(
                fields=("user", "project", "role"),
                condition=models.Q(project__isnull=False),
                name="membership_once_per_project",
            ),
            models.UniqueConstraint(
                fields=("user", "role"), condition=models.Q(tenant__isnull=True), name="membership_once_in_group"
            ),
            models.CheckConstraint(
                condition=models.Q(tenant__isnull=False, role__in=sorted(TENANT_ROLES))
                | models.Q(tenant__isnull=True, project__isnull=True, role__in=sorted(GROUP_ROLES)),
                name="membership_role_fits_scope",
                violation_error_message=_("An affiliate role needs an affiliate; a group role must have none."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.role} @ {self.project or self.tenant or 'group'}"
