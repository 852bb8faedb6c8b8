"""Every row lock of the product, in the order in which a transaction may take them.

A transaction that needs several takes them in the order of their numbers, and rows of one kind by ascending primary key;
so no two transactions can wait for each other.

0. tenancy.User, tenancy.Tenant, tenancy.Project (by who manages people and what they belong to, or says who stands in for whom;
   two people by their keys); pool.Zone, only by whoever changes a zone, who takes nothing else but the audit chain
1. orders.Order, and after it its approvals.Request   2. instances.ServiceInstance   3. quotas.Quota   4. pool.Host
5. pool.Inventory (and after every Inventory: placement.Holding, then the lock of those that borrow, then quotas.Loan;
quotas.Capacity and quotas.Memory only by whoever counts, who takes nothing else)
6. ipam.IPAddress   7. leases.Lease   8. dispatch.Job   9. health.Health   10. audit chain

Who registers or retires networks takes a lock of its own, then one ipam.Vlan or ipam.Prefix, and nothing else.

The locks exclude each other, not rows that merely refer to a locked one: PostgreSQL checks such references when it likes (when
a transaction writes to a row twice, even long after), which no order of locks could foresee.

SQLite has one writer at a time (``transaction_mode=IMMEDIATE``); there the same calls lock nothing and need not.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


def lock(queryset: "QuerySet[M]", *, skip_locked: bool = False) -> "QuerySet[M]":
    """``queryset`` in primary key order, its own rows locked until the transaction ends.

    :param skip_locked: leave out rows another transaction holds, instead of waiting for them.
    """
    if not connection.features.has_select_for_update:
        return queryset.order_by("pk")
    return queryset.order_by("pk").select_for_update(skip_locked=skip_locked, of=("self",), no_key=True)


def lock_one(model: type[M], pk: Any) -> M:
    """One row, locked. Raises ``model.DoesNotExist``."""
    return lock(model._default_manager.filter(pk=pk)).get()


def lock_all(model: type[M], pks: Iterable[Any]) -> list[M]:
    """The rows of these primary keys, locked in order; missing ones are left out."""
    return list(lock(model._default_manager.filter(pk__in=list(pks))))


def wait_for(key: int) -> None:
    """Take a lock that belongs to no row until the transaction ends, waiting for whoever holds it. Nothing to do on SQLite."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def advisory_lock(key: int) -> bool:
    """Take a lock that belongs to no row until the transaction ends; False when another transaction holds it.

    Always True on SQLite, whose transactions exclude each other.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
        row = cursor.fetchone()
    return bool(row and row[0])
