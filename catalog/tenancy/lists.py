"""Filters and search of admin lists that stay fast among a hundred thousand hosts and millions of rows."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, GenericIPAddressField, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MOST_FOUND = 500
"""So many related rows a search goes on from."""

OTHERS = "others"


def listed(column: str, title: str | Promise, values: Iterable[str]) -> type[admin.SimpleListFilter]:
    """A filter of a text column by the values one looks for, and by all others.

    Django's own asks the table which values there are: one look at every row, for every page.
    """
    known = tuple(values)

    class Listed(admin.SimpleListFilter):
        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
            return [*((value, value) for value in known), (OTHERS, _("others"))]

        def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
            value = self.value()
            if value == OTHERS:
                return queryset.exclude(**{f"{column}__in": known})
            return queryset.filter(**{column: value}) if value in known else queryset

    Listed.title, Listed.parameter_name = title, column  # type: ignore[assignment]  # the admin shows lazy texts too
    return Listed


def found_by(model: type[Model], where: Mapping[str, tuple[str, ...]], term: str) -> Q:
    """The condition on rows whose columns, or those of rows they refer to, begin with ``term``; each has its index.

    :param where: relation (empty: the row itself) → columns; with ``=`` before it a column equals, and so does an address.
    """
    found = Q(pk__in=[])
    for relation, columns in where.items():
        if not relation:
            found |= _begins(model, columns, term)
            continue
        field = model._meta.get_field(relation)
        assert isinstance(field, ForeignKey)
        related = field.related_model
        rows = related._default_manager.filter(_begins(related, columns, term)).order_by()
        found |= Q(**{f"{relation}__in": list(rows.values_list("pk", flat=True)[:MOST_FOUND])})
    return found


def _begins(model: type[Model], columns: tuple[str, ...], term: str) -> Q:
    condition = Q(pk__in=[])
    for column in columns:
        name = column.removeprefix("=")
        if isinstance(model._meta.get_field(name), GenericIPAddressField):
            if _is_address(term):
                condition |= Q(**{name: term})
        else:
            condition |= Q(**{name if column != name else f"{name}__startswith": term})
    return condition


def _is_address(term: str) -> bool:
    try:
        ipaddress.ip_address(term)
    except ValueError:
        return False
    return True
