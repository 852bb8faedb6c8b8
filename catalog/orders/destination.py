"""Where an order may go: the zone it names, or whether there is any for its data. Placement judges it again when it claims."""

from catalog.offerings.models import Plan
from catalog.offerings.services import check_data_class
from catalog.orders.errors import ZoneUnknown
from catalog.placement.selectors import why_no_zone
from catalog.pool.errors import ZoneClosed, ZoneNotOpen
from catalog.pool.models import Zone
from catalog.tenancy.models import Project


def destination(slug: str | None, project: Project, plan: Plan, data_class: str, *, waits: bool) -> Zone | None:
    """The zone an order names; None where it leaves that to the pool.

    :param waits: the order may stand in line, so a zone that is closed for now does not refuse it.
    :raises DataClassNotAllowed: the plan is not made for such data.
    :raises ZoneUnknown: no such zone, or it is local to another affiliate, whose guests the project's is not among.
    :raises ZoneNotOpen, ZoneDataClass, ZoneClosed: that zone, or every zone, refuses.
    """
    check_data_class(plan, data_class)
    zone = None if slug is None else Zone.objects.filter(slug=slug).first()
    if slug is not None and zone is None:
        raise ZoneUnknown(fields={"zone": ZoneUnknown.title})
    refusal = why_no_zone(project.tenant, zone, data_class)
    if zone is not None and zone.kind == Zone.Kind.LOCAL and isinstance(refusal, ZoneNotOpen):
        raise ZoneUnknown(fields={"zone": ZoneUnknown.title})
    if refusal is not None and not (waits and isinstance(refusal, ZoneClosed)):
        raise refusal
    return zone
