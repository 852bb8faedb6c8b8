"""A page of the admin that asks before an action is taken."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

SHOWN = 50

Act = Callable[[Any, HttpRequest, "QuerySet[Any]"], HttpResponseBase | None]


def sent(request: HttpRequest, *but: str) -> Iterator[tuple[str, str]]:
    """What the form of the list sent, to be sent once more."""
    for name, values in request.POST.lists():
        if name not in {"csrfmiddlewaretoken", "confirmed", *but}:
            yield from ((name, value) for value in values)


def confirmed(act: Act) -> Act:
    """An action that shows what it would be done to, and is taken when that page is confirmed. Stands below ``admin.action``."""

    @wraps(act)
    def asking(page: admin.ModelAdmin, request: HttpRequest, queryset: "QuerySet[Any]") -> HttpResponseBase | None:
        if request.POST.get("confirmed") == "yes":
            return act(page, request, queryset)
        name = request.POST.get("action", "")
        title = str(dict(page.get_action_choices(request)).get(name, name))
        rows = [str(row) for row in queryset[: SHOWN + 1]]
        more = queryset.count() - SHOWN if len(rows) > SHOWN else 0
        context = {
            **page.admin_site.each_context(request),
            "title": title,
            "question": _("“%(action)s” is going to be done to:") % {"action": title},
            "rows": rows[:SHOWN],
            "more": more,
            "sent": list(sent(request)),
            "opts": page.model._meta,
        }
        return TemplateResponse(request, "admin/confirm.html", context)

    return asking
