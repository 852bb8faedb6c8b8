"""The base every admin page of ours stands on.

What somebody may see and change here is said by their memberships, as everywhere; ``is_staff`` only opens the door. A
superuser may see everything and change what is meant to be changed by hand. Pages of affiliates, projects, roles and people are
in :mod:`catalog.people.admin`, above the services they call.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import cached_property

from catalog.common import clock
from catalog.common.errors import DomainError
from catalog.tenancy.lists import found_by
from catalog.tenancy.models import Role, User
from catalog.tenancy.policy import Action, Actor, Grant, actor_for, can, may_anywhere, scope

MOST_COUNTED = 10_000
"""Rows a list counts, and can be paged through; beyond that one filters or searches."""


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


def manager_of(request: HttpRequest) -> Actor:
    """The same where people and what they belong to are managed: a superuser counts as a group admin there, or nobody could
    ever make the first one.
    """
    actor = actor_of(request)
    return replace(actor, grants=actor.grants | {Grant(Role.GROUP_ADMIN)}) if request.user.is_superuser else actor


def operator_of(request: HttpRequest) -> Actor:
    """The same where the pool is kept: a superuser does there what a pool operator does, under their own name."""
    actor = actor_of(request)
    return replace(actor, grants=actor.grants | {Grant(Role.OPERATOR)}) if request.user.is_superuser else actor


class BoundedPaginator(Paginator):
    """Pages of a list that may be huge: it counts no further than :data:`MOST_COUNTED` rows, whatever there are."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return int(rows.order_by()[:MOST_COUNTED].count())
        return len(rows)


class PolicyAdmin(admin.ModelAdmin):
    """A page whose permissions come from the one matrix of :mod:`catalog.tenancy.policy`.

    :cvar readers: the action of the group that opens the page.
    :cvar writers: the one that may change; None: nobody but a superuser.
    :cvar delegated: the one that opens it, held for an affiliate or a project, for the rows of that affiliate or project; and
        where it is that of ``writers`` too, lets them be changed. None: the page is for the group.
    :cvar roads: from a row to its affiliate and its project.
    :cvar quick: what a search looks at where there may be very many rows (:func:`catalog.tenancy.lists.found_by`), instead of
        ``search_fields``.
    :cvar heavy: columns a list does not need, and does not read.
    :cvar written_by_hand: False where only services and flows may write; then not even a superuser does it here.
    :cvar addable, deletable: whether rows are made or removed by hand.
    """

    readers: ClassVar[Action] = Action.VIEW
    writers: ClassVar[Action | None] = None
    delegated: ClassVar[Action | None] = None
    roads: ClassVar[tuple[str, str | None]] = ("tenant", "project")
    quick: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    heavy: ClassVar[tuple[str, ...]] = ()
    written_by_hand: ClassVar[bool] = False
    addable: ClassVar[bool] = True
    deletable: ClassVar[bool] = False
    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    paginator = BoundedPaginator

    def sees_all(self, request: HttpRequest) -> bool:
        """Whether the person sees every row there is."""
        actor = actor_of(request)
        return (
            request.user.is_superuser
            or can(actor, self.readers)
            or (self.written_by_hand and self.writers is not None and can(actor, self.writers))
        )

    def _reads(self, request: HttpRequest) -> bool:
        if not request.user.is_active or not request.user.is_staff:
            return False
        return self.sees_all(request) or (
            self.delegated is not None and may_anywhere(actor_of(request), self.delegated)
        )

    def _writes(self, request: HttpRequest) -> bool:
        user = request.user
        if not self.written_by_hand or not user.is_active or not user.is_staff:
            return False
        if user.is_superuser or self.writers is None:
            return user.is_superuser
        actor = actor_of(request)
        return can(actor, self.writers) or (self.delegated == self.writers and may_anywhere(actor, self.writers))

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows = super().get_queryset(request)
        if (
            self.heavy
            and request.resolver_match is not None
            and (request.resolver_match.url_name or "").endswith("_changelist")
        ):
            rows = rows.defer(*self.heavy)
        if self.delegated is None or self.sees_all(request):
            return rows
        return scope(actor_of(request), self.delegated).rows(rows, *self.roads)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        term = search_term.strip()
        if not self.quick or not term or "\x00" in term:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(found_by(self.model, self.quick, term)), False

    def get_list_filter(self, request: HttpRequest) -> Any:
        filters = super().get_list_filter(request)
        # Names of other affiliates are not for everybody, and of one's own there is little to filter.
        return (
            filters
            if self.sees_all(request)
            else [each for each in filters if each not in {"tenant", "project", "zone"}]
        )

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


class ToldAdmin(PolicyAdmin):
    """A page that saves through services: where one refuses, nothing has changed and the page says why."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, lambda: super(ToldAdmin, self).changeform_view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, lambda: super(ToldAdmin, self).delete_view(request, *args, **kwargs))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, lambda: super(ToldAdmin, self).changelist_view(request, *args, **kwargs))

    def _told(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            return view()
        except DomainError as error:
            messages.error(request, told(error))
            return HttpResponseRedirect(request.get_full_path())


def told(error: DomainError) -> str:
    """A refusal in one line, with what it says of single fields where that adds something."""
    detail = str(error.detail)
    said = [f"{name}: {text}" for name, text in error.fields.items() if str(text) not in detail]
    return " ".join([detail, "; ".join(said)]).strip()
