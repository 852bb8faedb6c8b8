"""Leases in the admin: to be read; services extend and end them. Policies of their lengths, and the projects they follow."""

from datetime import date, timedelta

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.timezone import get_default_timezone, localdate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from catalog.audit.admin import AuditedAdmin
from catalog.common import clock, words
from catalog.leases.models import Lease, LeaseEvent, LeasePolicy
from catalog.leases.projects import follow_projects
from catalog.tenancy.admin import PolicyAdmin, ProjectPage, actor_of
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Action


def _span(seconds: int | None) -> str:
    return "–" if seconds is None else words.span(timedelta(seconds=seconds))


@admin.register(LeasePolicy)
class LeasePolicyAdmin(AuditedAdmin):
    """How long services may stay. What a row leaves empty, the next wider one says, and in the end the settings."""

    writers, written_by_hand, deletable = Action.CURATE, True, True
    list_display = ("__str__", "tenant", "offering", "default", "longest", "longest_extension", "most_extensions")
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


class ProjectForm(forms.ModelForm):
    """An end in the past would end everything of the project this minute; it is refused as a slip."""

    class Meta:
        model = Project
        fields = ("tenant", "slug", "name", "ends_on")

    def clean_ends_on(self) -> date | None:
        """Today or later, unless it is left as it was."""
        day: date | None = self.cleaned_data["ends_on"]
        if day is not None and "ends_on" in self.changed_data and day < localdate(clock.now(), get_default_timezone()):
            raise forms.ValidationError(_("This day is over. Choose today, which ends its services tonight, or later."))
        return day


@admin.register(Project)
class ProjectAdmin(AuditedAdmin, ProjectPage):
    """Projects, recorded. Leases that would outlive one whose end is brought forward are brought forward with it."""

    form = ProjectForm

    def save_model(self, request: HttpRequest, obj: Project, form: "forms.ModelForm[Project]", change: bool) -> None:
        super().save_model(request, obj, form, change)
        if brought := follow_projects(clock.now(), actor=actor_of(request), project=obj):
            said = ngettext("%d lease now ends with the project.", "%d leases now end with the project.", brought)
            messages.warning(request, said % brought)


@admin.register(Lease)
class LeaseAdmin(PolicyAdmin):
    """How long services may stay."""

    list_display = ("instance", "tenant", "state", "starts_at", "ends_at", "held_until")
    list_filter = ("state", "instance__tenant")
    list_select_related = ("instance__tenant",)
    search_fields = ("instance__name", "instance__tenant__slug")
    ordering = ("ends_at",)

    @admin.display(ordering="instance__tenant")
    def tenant(self, lease: Lease) -> str:
        """Whose service it is."""
        return lease.instance.tenant.slug


@admin.register(LeaseEvent)
class LeaseEventAdmin(PolicyAdmin):
    """What happened to leases."""

    list_display = ("at", "lease", "seq", "kind", "actor")
    list_filter = ("kind",)
    list_select_related = ("lease",)
    ordering = ("-id",)
