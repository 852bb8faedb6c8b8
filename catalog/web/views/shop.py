"""The catalog and its order form."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from catalog.approvals.rules import Deed
from catalog.common import clock
from catalog.common.data import DataClass
from catalog.common.errors import DomainError, Forbidden, NotFound
from catalog.instances.links import most_links, usable
from catalog.ipam.access import known_networks
from catalog.leases.limits import limits_for
from catalog.offerings import services as offerings
from catalog.offerings.models import Offering, Plan
from catalog.offerings.selectors import offering_on_sale, on_sale
from catalog.orders import services
from catalog.orders.preview import outlook
from catalog.pool.models import Zone
from catalog.pool.selectors import admitting, zones_for
from catalog.quotas.services import usage
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Action, can
from catalog.tenancy.projects import use_until
from catalog.tenancy.selectors import project_for, projects_for
from catalog.web.forms import OrderForm, order_choices
from catalog.web.pages import UNPROCESSABLE, PortalRequest, portal, show
from catalog.web.requests import in_advance
from catalog.web.words import CATEGORIES


def _card(offering: Offering, needed: Callable[[Plan], bool]) -> dict[str, Any] | None:
    plans = list(offering.plans.all())
    if not plans:
        return None
    cheapest = min(plans, key=lambda plan: plan.price_krw_month)
    return {
        "offering": offering,
        "engine": cheapest.version.manifest["engine"],
        "category": CATEGORIES.get(offering.category, offering.category),
        "plans": plans,
        "price": cheapest.price_krw_month,
        "usual": offerings.usual_seconds(cheapest),
        "at_once": not needed(cheapest),
    }


@require_safe
@portal
def catalog(request: PortalRequest) -> HttpResponse:
    """What is on sale, as cards."""
    needed = outlook(request.actor)
    cards = [card for each in on_sale() if (card := _card(each, needed))]
    return show(request, "catalog.html", "catalog", cards=cards)


def _mine(request: PortalRequest) -> list[Project]:
    """Projects this person may order for and that have not ended."""
    now = clock.now()
    return [
        each
        for each in projects_for(request.actor).order_by("tenant__slug", "slug")
        if can(request.actor, Action.ORDER, each.tenant_id, each.pk)
        and ((until := use_until(each)) is None or until > now)
    ]


def _lengths(project: Project | None, plan: Plan) -> list[tuple[str, Any]]:
    """How long a service of this plan may stay for this project."""
    if project is None:
        return []
    until = use_until(project)
    left = None if until is None else int((until - clock.now()).total_seconds())
    return order_choices(limits_for(project.tenant_id, plan.offering_id), left)


def _zones(request: PortalRequest, project: Project | None) -> list[Zone]:
    """Where a service of this project may stand; wherever the person sees, without one."""
    return list(zones_for(request.actor) if project is None else admitting([project.tenant_id]))


def _networks(project: Project | None, zones: list[Zone]) -> list[str]:
    """Whose clients may connect where the order says nothing."""
    return known_networks(project.tenant, zones) if project is not None else []


def _services(request: PortalRequest, project: Project | None, plan: Plan) -> list[str]:
    """What a service of this plan may be told to use."""
    if project is None or not most_links(plan.version.manifest):
        return []
    return list(usable(request.actor, project).values_list("name", flat=True)[:50])


def _quota(project: Project | None, plan: Plan) -> list[dict[str, Any]]:
    if project is None:
        return []
    have = usage(project.tenant)
    rows = []
    for name, wanted in plan.resources.items():
        used, limit = have.get(name, (0, 0))
        rows.append(
            {"name": name, "used": used, "after": used + wanted, "limit": limit, "short": used + wanted > limit}
        )
    return rows


@require_http_methods(["GET", "HEAD", "POST"])
@portal
def order_form(request: PortalRequest, slug: str) -> HttpResponse:
    """Fill in an order, and place it. The same form sent twice places one order."""
    offering = offering_on_sale(slug)
    plans = list(offering.plans.all())
    asked = request.POST.get("plan") or request.GET.get("plan") or ""
    plan = next((each for each in plans if each.slug == asked), plans[0] if plans and not asked else None)
    if plan is None:
        raise NotFound()
    projects = _mine(request)
    chosen = request.POST.get("project") or request.GET.get("project") or ""
    project = next((each for each in projects if str(each) == chosen), projects[0] if projects else None)
    zones = _zones(request, project)
    given: dict[str, Any] = {
        "schema": offerings.parameter_schema(plan), "projects": projects, "zones": zones,
        "leases": _lengths(project, plan), "data_classes": offerings.data_classes(plan), "networks": _networks(project, zones),
        "services": _services(request, project, plan),
    }  # fmt: skip
    if request.method == "POST":
        form = OrderForm(request.POST, **given)
        if form.is_valid() and (placed := _place(request, form, plan)):
            return placed
    else:
        form = OrderForm(initial=_typed(request), **given)
    return show(
        request,
        "order_form.html",
        "catalog",
        status=UNPROCESSABLE if form.is_bound else 200,
        offering=offering,
        engine=plan.version.manifest["engine"],
        plans=plans,
        plan=plan,
        form=form,
        project=project,
        quota=_quota(project, plan),
        usual=offerings.usual_seconds(plan),
        needs=_needs(request, project, plan),
    )


def _needs(request: PortalRequest, project: Project | None, plan: Plan) -> dict[str, Any] | None:
    if project is None:
        return None
    asked = request.POST.get("zone") or request.GET.get("zone") or ""
    zone = next((each for each in zones_for(request.actor) if each.slug == asked), None)
    return in_advance(project, plan, deed=Deed.CREATE, zone=zone)


def _typed(request: PortalRequest) -> dict[str, Any]:
    """What had been typed before another plan or project was chosen."""
    typed = {name: value for name, value in request.GET.items() if name not in {"key", "plan", "csrfmiddlewaretoken"}}
    return {**typed, "links": request.GET.getlist("links")}


def _place(request: PortalRequest, form: OrderForm, plan: Plan) -> HttpResponse | None:
    chosen = form.cleaned_data
    try:
        order = services.place(
            request.actor,
            project=project_for(request.actor, chosen["project"]),
            offering=plan.offering.slug,
            plan=plan.slug,
            name=chosen["name"],
            parameters=form.values(),
            zone=chosen["zone"] or None,
            allow_from=form.clients(),
            links=form.used(),
            lease_seconds=int(chosen["lease"]) if chosen["lease"] else None,
            idempotency_key=chosen["key"] or None,
            wait_for_capacity=chosen["wait"],
            data_class=chosen["data_class"] or DataClass.INTERNAL,
            now=clock.now(),
        )
    except Forbidden:
        raise
    except DomainError as error:
        form.tell(error)
        return None
    messages.success(request, _("Your order has been placed."))
    return redirect("web:order", order_id=order.pk)
