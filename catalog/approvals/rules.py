"""What must be approved, and by whom: small frozen rules over plain facts. Nothing here reads the database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from django.db import models
from django.utils.formats import number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.common.data import DataClass

MOST_LEVELS, MOST_PEOPLE = 4, 5


class Deed(models.TextChoices):
    """What is to be done. ``RECLAIM`` is the platform's own: taking back what is due. It needs nobody's approval."""

    CREATE = "create", _("create")
    UPDATE = "update", _("change")
    OPERATE = "operate", _("operate")
    DECOMMISSION = "decommission", _("give back")
    RECLAIM = "reclaim", _("take back what is due")


class Who(models.TextChoices):
    """Who decides on a level: two on the side of the affiliate that asks, three on the side that provides."""

    APPROVER = "approver", _("an approver of the affiliate")
    TENANT_ADMIN = "tenant_admin", _("an administrator of the affiliate")
    OPERATOR = "operator", _("a pool operator")
    CATALOG_ADMIN = "catalog_admin", _("a catalog administrator")
    GROUP_ADMIN = "group_admin", _("a group administrator")


CONSUMER = frozenset({Who.APPROVER, Who.TENANT_ADMIN})


@dataclass(frozen=True)
class Facts:
    """What is known of the thing to be approved.

    :param tenant, offering, plan, zone: by name; ``zone`` None: it may come to stand in any that is open to the affiliate.
    :param price_krw_month: what the service costs a month.
    """

    tenant: str
    offering: str
    plan: str
    price_krw_month: int
    data_class: str
    zone: str | None
    deed: str
    production: bool


@dataclass(frozen=True)
class Step:
    """One level: how many people of a kind must agree."""

    who: str
    people: int = 1


class Condition(Protocol):
    """One thing a rule asks about; ``value`` is what it is compared with, as JSON keeps it."""

    kind: ClassVar[str]

    @property
    def value(self) -> Any: ...

    def holds(self, facts: Facts) -> bool: ...

    def words(self) -> str: ...


@dataclass(frozen=True)
class OfAffiliate:
    kind: ClassVar[str] = "affiliate"
    value: str

    def holds(self, facts: Facts) -> bool:
        return facts.tenant == self.value

    def words(self) -> str:
        return gettext("it is for the affiliate %s") % self.value


@dataclass(frozen=True)
class OfOffering:
    kind: ClassVar[str] = "offering"
    value: str

    def holds(self, facts: Facts) -> bool:
        return facts.offering == self.value

    def words(self) -> str:
        return gettext("the offering is %s") % self.value


@dataclass(frozen=True)
class OfPlan:
    """``value`` is ``offering/plan``."""

    kind: ClassVar[str] = "plan"
    value: str

    def holds(self, facts: Facts) -> bool:
        return f"{facts.offering}/{facts.plan}" == self.value

    def words(self) -> str:
        return gettext("the plan is %s") % self.value


@dataclass(frozen=True)
class InZone:
    kind: ClassVar[str] = "zone"
    value: str

    def holds(self, facts: Facts) -> bool:
        return facts.zone == self.value

    def words(self) -> str:
        return gettext("it may come to stand in the zone %s") % self.value


@dataclass(frozen=True)
class CostsMoreThan:
    """``value`` in KRW a month."""

    kind: ClassVar[str] = "price_over_krw"
    value: int

    def holds(self, facts: Facts) -> bool:
        return facts.price_krw_month > self.value

    def words(self) -> str:
        return gettext("it costs more than ₩%s a month") % number_format(self.value, decimal_pos=0, force_grouping=True)


@dataclass(frozen=True)
class HoldsData:
    """Data of the class ``value`` or of a more protected one."""

    kind: ClassVar[str] = "data_class"
    value: str

    def holds(self, facts: Facts) -> bool:
        order: list[str] = list(DataClass.values)
        return order.index(facts.data_class) >= order.index(self.value)

    def words(self) -> str:
        return gettext("its data are at least: %s") % DataClass(self.value).label


@dataclass(frozen=True)
class Does:
    kind: ClassVar[str] = "deed"
    value: str

    def holds(self, facts: Facts) -> bool:
        return facts.deed == self.value

    def words(self) -> str:
        return gettext("the action is: %s") % Deed(self.value).label


@dataclass(frozen=True)
class InProduction:
    kind: ClassVar[str] = "production"
    value: bool

    def holds(self, facts: Facts) -> bool:
        return facts.production == self.value

    def words(self) -> str:
        return gettext("the project is in production") if self.value else gettext("the project is not in production")


_KINDS: dict[str, type[Any]] = {
    kind.kind: kind
    for kind in (OfAffiliate, OfOffering, OfPlan, InZone, CostsMoreThan, HoldsData, Does, InProduction)
}  # fmt: skip


def condition(kind: str, value: Any) -> Condition:
    """The condition that was kept as ``[kind, value]``. Raises KeyError for a kind there is not."""
    made: Condition = _KINDS[kind](value)
    return made


@dataclass(frozen=True)
class Rule:
    """Where all ``conditions`` hold, these ``steps`` are demanded, one after the other; none: no approval.

    :param name: empty for what is built in.
    :param code: why, where no rule of that name says it.
    """

    name: str
    conditions: tuple[Condition, ...]
    steps: tuple[Step, ...]
    priority: int = 0
    code: str = "curated"

    def holds(self, facts: Facts) -> bool:
        return all(each.holds(facts) for each in self.conditions)

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sorts rules as they count: by priority, the one that asks more before the one that asks less, then by name."""
        return self.priority, -len(self.conditions), self.name


@dataclass(frozen=True)
class Demand:
    """What is demanded, and by which rules (more than one only where the zone is left open)."""

    steps: tuple[Step, ...]
    rules: tuple[Rule, ...]

    @property
    def code(self) -> str:
        """Why, in one word: that of the first rule."""
        return self.rules[0].code


def built_in(threshold: int) -> tuple[Rule, ...]:
    """What holds where no rule of the group does: what costs more than ``threshold`` KRW a month needs one approver.

    Giving back and operating need nobody.
    """
    dear, one = CostsMoreThan(threshold), (Step(Who.APPROVER),)
    return (
        Rule("", (Does(Deed.CREATE), dear), one, code="threshold"),
        Rule("", (Does(Deed.UPDATE), dear), one, code="threshold"),
        Rule("", (Does(Deed.DECOMMISSION),), (), code="give-back"),
        Rule("", (Does(Deed.OPERATE),), (), code="operate"),
        Rule("", (), (), code="under-threshold"),
    )


def demanded(rules: Iterable[Rule], facts: Facts, *, zones: Sequence[str], threshold: int) -> Demand:
    """What ``rules`` demand of a thing with these facts. The first rule that holds decides, in the order of their rank.

    Where the zone is left open, what each zone would demand is demanded together: nobody gets round a
    zone's rule by not naming it.

    :param zones: those it may come to stand in, as far as rules speak of them.
    """
    ordered = (*sorted(rules, key=lambda rule: rule.rank), *built_in(threshold))
    possible = [facts] if facts.zone is not None else [replace(facts, zone=zone) for zone in ("", *zones)]
    chosen: list[Rule] = []
    for each in possible:
        rule = next(rule for rule in ordered if rule.holds(each))
        if rule not in chosen:
            chosen.append(rule)
    people: dict[str, int] = {}
    for step in (step for rule in chosen for step in rule.steps):
        people[step.who] = max(step.people, people.get(step.who, 0))
    deciding = tuple(rule for rule in chosen if rule.steps) or (chosen[0],)
    if len(deciding) == 1:
        return Demand(deciding[0].steps, deciding)
    return Demand(tuple(Step(who, many) for who, many in people.items()), deciding)
