"""What is on sale."""

from django.db.models import Prefetch, QuerySet

from catalog.common.errors import NotFound
from catalog.offerings.models import Offering, Plan, Publication


def on_sale() -> QuerySet[Offering]:
    """Published offerings with their published plans, in the order of display."""
    plans = Plan.objects.filter(publication=Publication.PUBLISHED).select_related("version", "offering")
    return (
        Offering.objects.filter(publication=Publication.PUBLISHED)
        .prefetch_related(Prefetch("plans", plans.order_by("display_order", "slug")))
        .order_by("display_order", "slug")
    )


def offering_on_sale(slug: str) -> Offering:
    """One published offering. Raises NotFound, also for one that is hidden."""
    offering = on_sale().filter(slug=slug).first()
    if offering is None:
        raise NotFound()
    return offering
