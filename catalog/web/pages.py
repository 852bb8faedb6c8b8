"""What every page of the portal shares: who asks, what the frame shows, and how a refusal is told."""

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import structlog
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from catalog.approvals import selectors as approvals
from catalog.audit import looks
from catalog.common import clock
from catalog.common.errors import DomainError, Forbidden, NotFound
from catalog.orders.selectors import waiting_for
from catalog.tenancy.models import User
from catalog.tenancy.policy import Action, Actor, actor_for, can, may_anywhere, scope

PAGE_SIZE = 50
UNPROCESSABLE = 422
_BOUND = ("order_id", "instance_id", "host_id")

P = ParamSpec("P")
M = TypeVar("M", bound=Model)


class PortalRequest(HttpRequest):
    """A request of a person who has signed in."""

    user: User
    actor: Actor
    htmx: HtmxDetails


View = Callable[Concatenate[PortalRequest, P], HttpResponseBase]


def portal(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """A page for people who have signed in; others are sent to the sign-in page and come back.

    What the actor may not see answers 404, what they may not do 403. Nothing of it is kept by any cache.
    """

    @wraps(view)
    def page(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _sign_in_first(request)
        structlog.contextvars.bind_contextvars(**{name: str(kwargs[name]) for name in _BOUND if name in kwargs})
        known = cast(PortalRequest, request)
        known.actor = actor_for(known.user, now=clock.now(), source=request.META.get("REMOTE_ADDR", ""))
        try:
            response = view(known, *args, **kwargs)
        except NotFound as error:
            raise Http404(str(error.detail)) from error
        except Forbidden as error:
            raise PermissionDenied(str(error.detail)) from error
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return page


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    asked = cast(PortalRequest, request).htmx
    if asked:
        # A fragment must not be replaced by the sign-in page: the whole window goes there.
        return HttpResponseClientRedirect(f"{reverse('web:login')}?next={asked.current_url_abs_path or '/'}")
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")


def looked(request: PortalRequest, kind: str, row: Any) -> None:
    """Record that the actor looks at this one thing of a project, where only a role of the group lets them."""
    looks.look(
        request.actor, kind, now=clock.now(), subject_id=str(row.pk), tenant_id=row.tenant_id, project_id=row.project_id,
        via="portal",
    )  # fmt: skip


def looked_at_list(request: PortalRequest, kind: str, **asked: str) -> None:
    """The same of a list that goes over affiliates."""
    looks.look_at_list(
        request.actor, kind, now=clock.now(), sees_all=scope(request.actor).everything, via="portal",
        asked={name: value for name, value in asked.items() if value},
    )  # fmt: skip


def show(request: PortalRequest, template: str, here: str, /, *, status: int = 200, **context: Any) -> HttpResponse:
    """A whole page inside the frame.

    :param here: which entry of the navigation is current.
    :param context: also ``waiting``, how many orders wait for this person, where the page has counted them already.
    """
    now = clock.now()
    decides = approvals.decides(request.actor, now=now)
    frame = {
        "here": here,
        "now": now,
        "decides": decides,
        "waiting": context.pop("waiting", None),
        "sees_pool": can(request.actor, Action.VIEW_POOL),
        "orders_things": may_anywhere(request.actor, Action.ORDER),
    }
    if frame["waiting"] is None:
        frame["waiting"] = waiting_for(request.actor, now=now).count() if decides else 0
    return render(request, f"web/{template}", {**frame, **context}, status=status)


def sentence(error: DomainError) -> str:
    """A refusal in words: what happened, and what it says about single fields where that adds something."""
    said = str(error.detail)
    more = [str(text) for text in error.fields.values() if str(text) not in said]
    return " ".join([said, *more])


def attempt(
    request: PortalRequest, deed: Callable[[], Any], *, done: str | Callable[[], str], then: str
) -> HttpResponse:
    """Do something and go to the page ``then``, which tells what came of it. A refusal has changed nothing.

    :param done: what is said afterwards; asked for then where it depends on what came of it.
    """
    try:
        deed()
    except (NotFound, Forbidden):
        raise
    except DomainError as error:
        messages.error(request, sentence(error))
    else:
        messages.success(request, done if isinstance(done, str) else done())
    return redirect(then)


def window(rows: "QuerySet[M]", before: str, *, at: str = "created_at") -> tuple[list[M], str]:
    """Up to 50 rows, newest first, older than the mark ``before``; and the mark of the page after (empty: the last).

    Costs the same on the first page and on the thousandth. A mark that makes no sense shows the first page.
    """
    rows = rows.order_by(f"-{at}", "-pk")
    if mark := _mark(before):
        when, pk = mark
        rows = rows.filter(Q(**{f"{at}__lt": when}) | Q(**{at: when}, pk__lt=pk))
    found = list(rows[: PAGE_SIZE + 1])
    if len(found) <= PAGE_SIZE:
        return found, ""
    last = found[PAGE_SIZE - 1]
    return found[:PAGE_SIZE], f"{getattr(last, at).isoformat()}_{last.pk}"


def _mark(text: str) -> tuple[datetime, uuid.UUID] | None:
    when, _line, pk = text.rpartition("_")
    try:
        parsed = parse_datetime(when)
        return (parsed, uuid.UUID(pk)) if parsed is not None and parsed.tzinfo is not None else None
    except ValueError:
        return None
