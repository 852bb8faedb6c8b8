"""The record in the admin, and the base of every page whose changes are recorded."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from knox.models import get_token_model

from catalog.audit.models import AuditEntry
from catalog.audit.services import record
from catalog.common import clock
from catalog.tenancy.admin import PolicyAdmin, actor_of
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action


def _plain(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What may be written down: passwords never, anything that is no JSON by its text."""
    plain: dict[str, Any] = {}
    for name in sorted(names):
        if "password" in name:
            plain[name] = "…"
        else:
            value = values.get(name)
            plain[name] = value if isinstance(value, str | int | bool | dict | list | None) else str(value)
    return plain


class AuditedAdmin(PolicyAdmin):
    """A page that writes an audit entry for everything it adds, changes and deletes, in the transaction of the deed."""

    def write_down(
        self, request: HttpRequest, obj: Model, deed: str, *, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        """One entry: ``curation.<deed>`` of this row."""
        record(
            actor_of(request),
            f"curation.{deed}",
            subject_type=obj._meta.label_lower[:40],
            subject_id=str(obj.pk),
            tenant_id=getattr(obj, "tenant_id", None),
            before=before,
            after=after,
            now=clock.now(),
        )

    def save_model(self, request: HttpRequest, obj: Model, form: "ModelForm[Any]", change: bool) -> None:
        super().save_model(request, obj, form, change)
        before = _plain(form.initial, form.changed_data) if change else {}
        after = _plain(form.cleaned_data, form.changed_data)
        self.write_down(request, obj, "change" if change else "add", before=before, after=after)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self.write_down(request, obj, "delete", before={"was": str(obj)}, after={})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        for obj in queryset:
            self.delete_model(request, obj)


# Roles come from memberships, tokens from the API: neither has a page to be changed on.
admin.site.unregister(Group)
admin.site.unregister(get_token_model())


@admin.register(AuditEntry)
class AuditEntryAdmin(PolicyAdmin):
    """The record itself: to be read."""

    readers = Action.AUDIT
    list_display = ("at", "actor", "action", "subject_type", "subject_id", "source", "chain_day", "chain_seq")
    list_filter = (
        listed(
            "subject_type",
            _("subject"),
            ("order", "instance", "lease", "host", "quota", "membership", "person", "audit"),
        ),
        "at",
        listed("action", _("action"), ("look", "audit.read", "binding.reveal", "person.handover", "person.sign-in")),
    )
    search_fields = ("actor", "action", "subject_id")
    quick = {"": ("=actor", "=action", "=subject_id")}
    heavy = ("before", "after")
    ordering = ("-id",)
