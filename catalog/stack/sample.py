"""Sample data: three affiliates, their people and projects, two zones, and what is on sale. Made once; again changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.core.management import call_command
from django.db import transaction

from catalog.common.data import DataClass, ordinary
from catalog.ipam import networks
from catalog.ipam.networks import NameServer
from catalog.leases.models import LeasePolicy
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Zone
from catalog.quotas.models import Quota
from catalog.stack.environment import secret
from catalog.stack.rack import Names, Place
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import system

SAMPLE = system("sample")
QUOTA = {VCPU: (2, 6), MEMORY_MB: (2048, 6144), DISK_GB: (15, 45)}
"""Of each affiliate: guaranteed, of which all may be lent while it is idle, and how much it may borrow."""


@dataclass(frozen=True)
class Person:
    """Somebody of the sample; ``tenant`` is empty for a role of the group."""

    username: str
    family: str
    given: str
    tenant: str
    role: Role
    says: str


TENANTS = {
    "capital": ("품앗이캐피탈", "Pumasi Capital", "loan", "대출 심사 개편"),
    "card": ("품앗이카드", "Pumasi Card", "points", "포인트 적립"),
    "life": ("품앗이생명", "Pumasi Life", "claims", "보험금 청구"),
}
SHORT_LIVED = ("capital", "card")
"""Affiliates without grace: in the demo a lease of seconds ends, and the next affiliate gets the host while one watches."""
PEOPLE = (
    Person("minji", "김", "민지", "capital", Role.DEVELOPER, "developer of Pumasi Capital"),
    Person("junho", "이", "준호", "capital", Role.APPROVER, "approver of Pumasi Capital"),
    Person("seoyeon", "박", "서연", "card", Role.DEVELOPER, "developer of Pumasi Card"),
    Person("doyun", "최", "도윤", "card", Role.APPROVER, "approver of Pumasi Card"),
    Person(
        "haeun", "정", "하은", "life", Role.DEVELOPER, "developer of Pumasi Life, who must see nothing of the others"
    ),
    Person("jihun", "강", "지훈", "", Role.OPERATOR, "pool operator"),
    Person("yuna", "한", "유나", "", Role.OPERATOR, "second pool operator"),
    Person("sua", "윤", "수아", "", Role.CATALOG_ADMIN, "catalog admin"),
    Person("taeho", "임", "태호", "", Role.AUDITOR, "auditor"),
)
ADMIN = "admin"
ZONES = {
    "zone-a": ("서울 존 A", "Zone A", [each.value for each in DataClass]),
    "zone-b": ("서울 존 B", "Zone B", ordinary()),
}
"""Names, and what data may stand there: the first is the one for customers' data."""


def password_of(state: Path, username: str) -> str:
    """The password of a person of the sample: random, made once per state directory."""
    return secret(state, f"password-{username}", strength=12)


def _person(state: Path, person: Person, tenants: dict[str, Tenant]) -> None:
    if User.objects.filter(username=person.username).exists():
        return
    user = User.objects.create_user(
        person.username, password=password_of(state, person.username), last_name=person.family, first_name=person.given
    )
    if person.role == Role.CATALOG_ADMIN:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    Membership.objects.create(user=user, tenant=tenants.get(person.tenant), role=person.role)


def _name_server(names: Names | None) -> NameServer | None:
    if names is None:
        return None
    return NameServer(
        domain=names.domain,
        address=names.server,
        port=names.port,
        key_name=names.key_name,
        algorithm=names.algorithm,
        secret=names.key_file.read_text(encoding="ascii").strip(),
    )


def load(
    state: Path, *, rack_state: Path | None, places: Iterable[Place], names: Names | None = None, now: datetime
) -> None:
    """Make the sample data, in one transaction, and load and publish the offerings.

    :param rack_state: the state directory of the rack that the zones' wipe driver needs; None without a rack.
    :param names: the rack's name server, which serves both zones; None: services have addresses only.
    :param places: hosts whose addresses the zones must have. The hosts themselves are registered through the API.
    """
    with transaction.atomic():
        tenants = {}
        for slug, (name_ko, name_en, project, title) in TENANTS.items():
            tenants[slug], _new = Tenant.objects.get_or_create(
                slug=slug, defaults={"name_ko": name_ko, "name_en": name_en}
            )
            Project.objects.get_or_create(tenant=tenants[slug], slug=project, defaults={"name": title})
            if slug in SHORT_LIVED:
                LeasePolicy.objects.get_or_create(tenant=tenants[slug], offering=None, defaults={"grace_seconds": 0})
            for resource_class, (own, more) in QUOTA.items():
                Quota.objects.get_or_create(
                    tenant=tenants[slug],
                    resource_class=resource_class,
                    zone=None,
                    defaults={"guaranteed": own, "borrow_limit": more, "lend_limit": own},
                )
        for person in PEOPLE:
            _person(state, person, tenants)
        if not User.objects.filter(username=ADMIN).exists():
            User.objects.create_superuser(ADMIN, password=password_of(state, ADMIN))
        options = {"state": str(rack_state)} if rack_state else {}
        zones = {}
        for slug, (name_ko, name_en, data_classes) in ZONES.items():
            zones[slug], _new = Zone.objects.update_or_create(
                slug=slug,
                defaults={"driver_options": options},
                create_defaults={
                    "name_ko": name_ko, "name_en": name_en, "data_classes": data_classes, "driver_options": options,
                },
            )  # fmt: skip
        for zone in zones.values() if names is not None else ():
            networks.set_zone_network(SAMPLE, zone, open_to_anyone=False, names=_name_server(names), now=now)
        for place in places:
            # Both zones of the rack share one network, so each host's address is a prefix of its zone.
            networks.register_prefix(SAMPLE, zone=zones[place.zone], cidr=f"{place.address}/32", now=now)
    call_command("offerings", "load", "--publish", verbosity=0)
