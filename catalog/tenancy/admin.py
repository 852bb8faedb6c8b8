"""Affiliates, projects and people in the admin, and the base every admin page of ours stands on.

What somebody may see and change here is said by their memberships, as everywhere; ``is_staff`` only opens the door. A
superuser may see everything and change what is meant to be changed by hand. Pages of affiliates and people are registered
by :mod:`catalog.audit.admin`, which records every change (the audit layer lies above this one), and that of projects by
:mod:`catalog.leases.admin`, because leases follow them.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog.common import clock
from catalog.tenancy.models import User
from catalog.tenancy.policy import Action, Actor, actor_for, can


def actor_of(request: HttpRequest) -> Actor:
    """The person at the admin, with the roles in force now; read once a request."""
    known: Actor | None = getattr(request, "pumasi_actor", None)
    if known is None:
        user = request.user
        if not isinstance(user, User):
            return Actor(name="anonymous")
        known = actor_for(user, now=clock.now(), source=request.META.get("REMOTE_ADDR", ""))
        request.pumasi_actor = known  # type: ignore[attr-defined]
    return known


class PolicyAdmin(admin.ModelAdmin):
    """A page whose permissions come from the one matrix of :mod:`catalog.tenancy.policy`.

    :cvar readers: the action of the group that opens the page.
    :cvar writers: the one that may change; None: nobody but a superuser.
    :cvar written_by_hand: False where only services and flows may write; then not even a superuser does it here.
    :cvar addable, deletable: whether rows are made or removed by hand.
    """

    readers: ClassVar[Action] = Action.VIEW
    writers: ClassVar[Action | None] = None
    written_by_hand: ClassVar[bool] = False
    addable: ClassVar[bool] = True
    deletable: ClassVar[bool] = False
    list_per_page = 50
    show_full_result_count = False

    def _reads(self, request: HttpRequest) -> bool:
        user = request.user
        if not user.is_active or not user.is_staff:
            return False
        return user.is_superuser or can(actor_of(request), self.readers) or self._writes(request)

    def _writes(self, request: HttpRequest) -> bool:
        user = request.user
        if not self.written_by_hand or not user.is_active or not user.is_staff:
            return False
        return user.is_superuser or (self.writers is not None and can(actor_of(request), self.writers))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._reads(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._reads(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.addable and self._writes(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._writes(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.deletable and self._writes(request)

    def save_model(self, request: HttpRequest, obj: Model, form: "ModelForm[Any]", change: bool) -> None:
        if not change:
            obj.save(force_insert=True)
            return
        # Only what the person changed: the rest of the row may have moved on since the page was opened.
        columns = {field.name for field in obj._meta.concrete_fields}
        if changed := sorted(columns.intersection(form.changed_data)):
            obj.save(update_fields=changed)


class Person(PolicyAdmin, UserAdmin):
    """People. Roles are granted by memberships; the framework's own groups and permissions are not used."""

    written_by_hand = True
    list_display = ("username", "last_name", "first_name", "email", "language", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "language")
    search_fields = ("username", "first_name", "last_name", "email")
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("last_name", "first_name", "email", "language")}),
        (_("Access"), {"fields": ("is_active", "is_staff", "is_superuser")}),
        (_("Times"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "language", "password1", "password2")}),)

    def save_model(self, request: HttpRequest, obj: Model, form: "ModelForm[Any]", change: bool) -> None:
        # A new person's password is set on the object by the form, so the whole row is written.
        obj.save()


class AffiliatePage(PolicyAdmin):
    """Affiliates."""

    written_by_hand = True
    list_display = ("slug", "name_ko", "name_en", "created_at")
    search_fields = ("slug", "name_ko", "name_en")
    readonly_fields = ("created_at",)


class ProjectPage(PolicyAdmin):
    """Projects."""

    written_by_hand = True
    list_display = ("slug", "tenant", "name", "environment", "ends_on")
    list_filter = ("tenant", "environment")
    list_select_related = ("tenant",)
    search_fields = ("slug", "name", "tenant__slug")
    autocomplete_fields = ("tenant",)


class MembershipPage(PolicyAdmin):
    """Roles of people."""

    written_by_hand = True
    deletable = True
    list_display = ("user", "role", "tenant", "ends_at")
    list_filter = ("role", "tenant")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__last_name", "tenant__slug")
    autocomplete_fields = ("user", "tenant")
