"""Statements find what their querysets find, and put few different ones together."""

import uuid
from datetime import timedelta

import pytest
from django.db.models import Q

from catalog.common.statements import Statement
from catalog.pool.models import Host, Zone
from tests.factories import NOW, HostFactory

pytestmark = pytest.mark.django_db

SEEN = Statement(
    lambda zone, hosts, names, since, failures: Host.objects.filter(
        Q(last_seen_at__isnull=True) | Q(last_seen_at__gt=since), zone=zone, pk__in=hosts, name__in=names,
        failed_builds__lte=failures, exclusive=False,
    ).order_by("name").values_list("pk", "name", "last_seen_at", "failed_builds")
)  # fmt: skip


def test_it_finds_what_its_queryset_finds(zone_a: Zone) -> None:
    old, new, never, failing, left_out = (
        HostFactory.create(name=name, zone=zone_a) for name in ("old", "new", "never", "failing", "out")
    )
    Host.objects.update(last_seen_at=NOW)
    Host.objects.filter(pk=old.pk).update(last_seen_at=NOW - timedelta(hours=1))
    Host.objects.filter(pk=never.pk).update(last_seen_at=None)
    Host.objects.filter(pk=new.pk).update(failed_builds=2)
    Host.objects.filter(pk=failing.pk).update(failed_builds=3)
    elsewhere = HostFactory.create(name="elsewhere")
    every = [old.pk, new.pk, never.pk, failing.pk, elsewhere.pk]
    names = ["elsewhere", "failing", "never", "new", "old", "out"]
    since = NOW - timedelta(minutes=1)
    never_row, new_row = (never.pk, "never", None, 0), (new.pk, "new", NOW, 2)
    assert SEEN.ask(zone_a.pk, every, names, since, 2) == [never_row, new_row]
    assert SEEN.ask(zone_a.pk, [new.pk], names, since, 2) == [new_row]
    assert SEEN.ask(elsewhere.zone_id, every, names, since, 2) == [
        (elsewhere.pk, "elsewhere", elsewhere.last_seen_at, 0)
    ]
    assert SEEN.ask(zone_a.pk, every, ["never", "failing"], since, 2) == [never_row]
    assert SEEN.ask(zone_a.pk, every, names, NOW, 9) == [never_row]
    assert SEEN.ask(zone_a.pk, {left_out.pk: "any collection"}, names, since, 2) == [(left_out.pk, "out", NOW, 0)]
    assert SEEN.ask(zone_a.pk, [], names, since, 2) == []


@pytest.mark.postgresql
def test_lists_of_like_length_share_a_statement() -> None:
    statement = Statement(lambda hosts: Host.objects.filter(pk__in=hosts).values_list("pk", "name"))
    mine = [HostFactory.create(name=f"host-{number}") for number in range(9)]
    for count in range(1, 10):
        assert set(statement.ask([host.pk for host in mine[:count]])) == {(host.pk, host.name) for host in mine[:count]}
    assert len(statement._known) == len([1, 2, 4, 8, 16])


@pytest.mark.postgresql
def test_what_it_cannot_stand_for_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 16384"):
        Statement(lambda hosts: Host.objects.filter(pk__in=hosts).values_list("pk", "name")).ask(
            [uuid.uuid4() for _ in range(16385)]
        )
    unused = Statement(lambda name: Host.objects.filter(name="other").values_list("pk", "name"))
    changed = Statement(lambda name: Host.objects.filter(name=name.upper()).values_list("pk", "name"))
    for statement in (unused, changed):
        with pytest.raises(ValueError, match="every value must stand in the statement as it is"):
            statement.ask("x")
