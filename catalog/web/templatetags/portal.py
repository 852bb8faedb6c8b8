"""Small things templates say in the reader's language."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext

from catalog.common import words as common_words
from catalog.instances.models import ServiceInstance
from catalog.orders.models import Order
from catalog.pool.models import Host
from catalog.web import badges, words

register = template.Library()

_LOOKS: tuple[tuple[type, Mapping[str, badges.Look]], ...] = (
    (Order, badges.ORDER),
    (ServiceInstance, badges.INSTANCE),
    (Host, badges.HOST),
)


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """A sign of the sprite, hidden from screen readers: the words beside it say the same."""
    address = static("web/vendor/tabler-icons/icons.svg")
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>', classes, address, name
    )


@register.simple_tag
def offering_icon(name: str) -> SafeString:
    """The sign an offering asks for; one the sprite does not have becomes a box."""
    return icon(name if name in words.OFFERING_ICONS else "box")


@register.simple_tag
def state(thing: Order | ServiceInstance | Host) -> SafeString:
    """The state of an order, a service or a host: a sign and the word."""
    looks = next(looks for kind, looks in _LOOKS if isinstance(thing, kind))
    look, word = looks[thing.state], capfirst(thing.get_state_display())
    return format_html('<span class="state state-{}">{}{}</span>', look.tone, icon(look.icon), word)


@register.filter
def deed(order: Order) -> str:
    """What an order does: the kind, or of an operation its name."""
    return words.operation(order.operation, order.version_id) if order.operation else capfirst(order.get_kind_display())


@register.filter
def tone(host: Host) -> str:
    """The colour group of a host's state."""
    return badges.HOST[host.state].tone


@register.filter
def in_language(thing: Any, prefix: str) -> str:
    """A text that is kept in two languages: ``plan|in_language:"name"``."""
    return words.of_two(thing, prefix)


@register.filter
def won(amount: int) -> str:
    """An amount of money."""
    return gettext("₩%s") % number_format(amount, decimal_pos=0, force_grouping=True)


@register.filter
def seconds(value: float | None) -> str:
    """A span of time in its two largest units: ``95`` → “1 min 35 s”."""
    return common_words.span(timedelta(seconds=value)) if value is not None else ""


@register.filter
def took(value: float) -> str:
    """How long a task took, to a tenth of a second."""
    return gettext("%s s") % number_format(value, decimal_pos=1)


@register.filter
def until(when: datetime, now: datetime) -> str:
    """How long from ``now`` until ``when``, in its two largest units."""
    return common_words.span(max(when - now, timedelta(0)))


@register.filter
def moment(when: datetime) -> str:
    """A date and time, to the minute."""
    return common_words.moment(when)


@register.filter
def day(when: datetime) -> str:
    """A date."""
    return common_words.day(when)


@register.filter
def resource(name: str) -> str:
    """The word for a resource class."""
    return words.resource(name)


@register.filter
def amount(value: int, name: str) -> str:
    """An amount of a resource class with its unit."""
    return words.amount(name, value)


@register.filter
def sizes(resources: Mapping[str, int]) -> str:
    """A plan's size in one line."""
    ordered = sorted(resources.items(), key=lambda each: words.rank(each[0]))
    return " · ".join(words.amount(name, value, named=True) for name, value in ordered)


@register.filter
def person(user: Any) -> str:
    """A person as others know them; the platform where there is none."""
    if user is None:
        return gettext("the platform")
    return words.full_name(user)
