"""Every pair of states of every table, through the one gate, against the real tables."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q

from catalog.audit.gate import Happening, append_events, move
from catalog.audit.models import AuditEntry
from catalog.common.errors import StateConflict
from catalog.common.models import AbstractEvent, Stateful
from catalog.common.states import StateTable
from catalog.instances.models import InstanceEvent, ServiceInstance
from catalog.instances.states import INSTANCE
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.states import LEASE
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import ORDER, OrderKind
from catalog.pool.models import Host, HostEvent
from catalog.pool.states import HOST, HostState
from catalog.tenancy.models import Tenant
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, LeaseFactory

CLAIMED = {HostState.RESERVED, HostState.IN_USE}
LATER = NOW + timedelta(hours=1)


def host_values(state: str, tenant: Tenant) -> dict[str, Any]:
    """What the database demands of a host in this state."""
    if state == HostState.AVAILABLE:
        return {"proven_clean": True, "holder": None, "exclusive": False}
    return {"holder": tenant} if state in CLAIMED else {}


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Stateful:
    if request.param is Host:
        return HostFactory(to=None)
    instance = InstanceFactory()
    if request.param is ServiceInstance:
        return instance
    if request.param is Lease:
        return LeaseFactory(instance=instance, ends_at=LATER, grace_ends_at=LATER)
    return Order.objects.create(
        kind=OrderKind.CREATE, tenant=instance.tenant, project=instance.project, plan=instance.plan,
        version=instance.version, slug="postgresql", manifest_version="1.0.0", git_revision="", name="db",
        content_hash="", created_at=NOW, state_since=NOW,
    )  # fmt: skip


TABLES = [
    (Host, HOST, HostEvent),
    (ServiceInstance, INSTANCE, InstanceEvent),
    (Lease, LEASE, LeaseEvent),
    (Order, ORDER, OrderEvent),
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("subject", "table", "event_model"), TABLES, indirect=["subject"], ids=lambda value: getattr(value, "name", "")
)
def test_every_pair_of_states_moves_or_is_refused_and_changes_nothing(
    subject: Stateful, table: StateTable, event_model: type[AbstractEvent], capital: Tenant
) -> None:
    manager = type(subject)._default_manager
    pairs = [(frm, to) for frm in table.moves for to in table.moves]
    for frm, to in pairs:
        values = host_values(frm, capital) if table is HOST else {}
        manager.filter(pk=subject.pk).update(state=frm, state_since=NOW, deadline=None, **values)
        subject.refresh_from_db()
        before = manager.filter(pk=subject.pk).values().get()
        events = event_model._default_manager.filter(**{event_model.subject_field: subject})
        numbers, entries = list(events.values_list("seq", flat=True)), AuditEntry.objects.count()
        changes = host_values(to, capital) if table is HOST else {}
        arguments: dict[str, Any] = {
            "table": table, "event_model": event_model, "actor": TESTER, "now": LATER, "tenant_id": capital.pk, **changes,
        }  # fmt: skip
        if to in table.moves[frm]:
            move(subject, to, **arguments)
            after = manager.filter(pk=subject.pk).values().get()
            assert (after["state"], after["state_since"]) == (to, LATER)
            limit = table.deadlines.get(to)
            assert after["deadline"] == (LATER + limit if limit else None)
            assert list(events.values_list("seq", flat=True)) == [*numbers, len(numbers) + 1]
            assert events.last().data == {"from": frm, "to": to}
            entry = AuditEntry.objects.latest("id")
            assert (entry.action, entry.before, entry.after) == (f"{table.name}.{to}", {"state": frm}, {"state": to})
        else:
            with pytest.raises(StateConflict):
                move(subject, to, **arguments)
            assert manager.filter(pk=subject.pk).values().get() == before
            assert list(events.values_list("seq", flat=True)) == numbers
            assert AuditEntry.objects.count() == entries


@pytest.mark.parametrize("table", [HOST, INSTANCE, LEASE, ORDER], ids=lambda table: table.name)
def test_every_state_can_be_reached_and_every_transitional_one_left(table: StateTable) -> None:
    first = next(iter(table.moves))
    reached, todo = {first}, [first]
    while todo:
        for to in table.moves[todo.pop()] - reached:
            reached.add(to)
            todo.append(to)
    assert reached == set(table.moves)
    assert all(table.moves[state] for state in table.deadlines)
    assert all(limit > timedelta(0) for limit in table.deadlines.values())


def test_a_quarantined_host_never_goes_straight_to_available() -> None:
    assert not HOST.allows(HostState.QUARANTINED, HostState.AVAILABLE)
    assert {frm for frm, to in HOST.moves.items() if HostState.AVAILABLE in to} == {
        HostState.INSPECTING, HostState.RESERVED, HostState.VERIFYING, HostState.MISSING,
    }  # fmt: skip


def test_a_table_refuses_states_it_does_not_list() -> None:
    with pytest.raises(ValueError, match=r"states named but not in the table: \['gone'\]"):
        StateTable(name="broken", moves={"here": frozenset({"gone"})})


@pytest.mark.django_db
def test_who_comes_second_is_refused_and_leaves_no_trace() -> None:
    host = HostFactory(to=None)
    stale = Host.objects.get(pk=host.pk)
    arguments: dict[str, Any] = {
        "table": HOST, "event_model": HostEvent, "actor": TESTER, "now": LATER, "tenant_id": None
    }  # fmt: skip
    move(host, HostState.INSPECTING, **arguments)
    events, entries = HostEvent.objects.count(), AuditEntry.objects.count()
    with pytest.raises(StateConflict):
        move(stale, HostState.RETIRED, **arguments)
    assert Host.objects.get(pk=host.pk).state == HostState.INSPECTING
    assert (HostEvent.objects.count(), AuditEntry.objects.count()) == (events, entries)
    assert stale.state == HostState.ENROLLED


@pytest.mark.django_db
def test_a_guard_that_is_not_met_refuses_the_move_and_the_event() -> None:
    host = HostFactory(to=None)
    events = HostEvent.objects.count()
    with pytest.raises(StateConflict):
        move(
            host, HostState.INSPECTING, table=HOST, event_model=HostEvent, actor=TESTER, now=LATER, tenant_id=None,
            guard=Q(attempt=7),
        )  # fmt: skip
    with pytest.raises(StateConflict):
        append_events(host, HostEvent, [Happening("log")], actor="test", now=LATER, guard=Q(attempt=7))
    host.refresh_from_db()
    assert (host.state, host.seq, HostEvent.objects.count()) == (HostState.ENROLLED, events, events)
