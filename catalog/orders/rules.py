"""When an order needs a person."""

from django.conf import settings


def needs_approval(price_krw_month: int) -> bool:
    """Whether an order of this monthly price waits for somebody's approval."""
    return price_krw_month > settings.APPROVAL_THRESHOLD_KRW
