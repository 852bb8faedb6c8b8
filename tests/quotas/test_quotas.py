"""What an affiliate may hold at once; and whether the books balance."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from catalog.ipam.services import claim_endpoint
from catalog.placement.models import Allocation, Holding
from catalog.placement.services import place
from catalog.pool.models import ANYONE, DISK_GB, MEMORY_MB, VCPU, Host, Inventory
from catalog.quotas import services as quotas
from catalog.quotas.books import drift, over_quota
from catalog.quotas.errors import QuotaExceeded
from catalog.quotas.models import Quota
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, TenantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def placed(db: None) -> Any:
    """An instance of 2 VCPU and 1000 MB with a port, on one of two hosts."""
    HostFactory.create_batch(2)
    instance = InstanceFactory()
    host = place(
        instance,
        resources={VCPU: 2, MEMORY_MB: 1000},
        exclusive=False,
        tenant=instance.tenant,
        zone=None,
        now=NOW,
        actor=TESTER,
    ).host
    claim_endpoint(instance, host, port_range=(20000, 20001), now=NOW)
    return instance


def test_what_fits_passes_and_what_does_not_names_every_class(placed: Any) -> None:
    tenant = placed.tenant
    Quota.objects.filter(tenant=tenant, resource_class=VCPU).update(guaranteed=4)
    with transaction.atomic():
        quotas.check_and_lock(tenant, {VCPU: 2, MEMORY_MB: 1000}, now=NOW)
    with pytest.raises(QuotaExceeded) as refused, transaction.atomic():
        quotas.check_and_lock(tenant, {VCPU: 3, "GPU": 1, MEMORY_MB: 1000}, now=NOW)
    assert refused.value.fields == {"GPU": "limit 0, used 0, wanted 1", "VCPU": "limit 4, used 2, wanted 3"}
    assert refused.value.context["classes"]["VCPU"] == {"limit": 4, "used": 2, "wanted": 3}
    assert quotas.usage(tenant) == {DISK_GB: (0, 100_000), MEMORY_MB: (1000, 1_000_000), VCPU: (2, 4)}


def test_no_quota_means_nothing_at_all() -> None:
    tenant = TenantFactory(quota={})
    Quota.objects.filter(tenant=tenant).delete()
    with pytest.raises(QuotaExceeded), transaction.atomic():
        quotas.check_and_lock(tenant, {VCPU: 1}, now=NOW)
    assert quotas.usage(tenant) == {}


def test_what_is_held_after_a_claim_is_checked_too(placed: Any) -> None:
    """A whole host holds more than was wanted."""
    Quota.objects.filter(tenant=placed.tenant, resource_class=VCPU).update(guaranteed=4)
    whole = InstanceFactory(project=placed.project, plan=placed.plan)
    with pytest.raises(QuotaExceeded) as refused, transaction.atomic():
        checked = quotas.check_and_lock(placed.tenant, {VCPU: 2}, now=NOW)
        found = place(
            whole, resources={VCPU: 2}, exclusive=True, tenant=placed.tenant, zone=None, now=NOW, actor=TESTER
        )
        assert found.amounts == {VCPU: 8, MEMORY_MB: 16384, DISK_GB: 200}
        quotas.borrow(whole, found.amounts, zone=found.host.zone_id, checked=checked, now=NOW)
    assert refused.value.fields == {"VCPU": "limit 4, used 10, wanted 0"}
    Quota.objects.filter(tenant=placed.tenant, resource_class=VCPU).update(guaranteed=1)
    assert over_quota() == [f"{placed.tenant.slug} holds 2 VCPU, its quota is 1"]
    assert [str(each) for each in drift()] == [f"VCPU borrowed by {placed.tenant.slug}: expected 1, found 0"]


def books() -> tuple[int | str | None, str]:
    out = StringIO()
    try:
        call_command("books", stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def test_books_that_balance(placed: Any) -> None:
    assert books() == (0, "The books balance.\n")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda instance: Inventory.objects.filter(used=2).update(used=3),
        lambda instance: Inventory.objects.filter(used=0, resource_class=VCPU).update(used=1),
        lambda instance: Holding.objects.filter(resource_class=VCPU).update(used=7),
        lambda instance: Holding.objects.all().delete(),
        lambda instance: Allocation.objects.filter(resource_class=VCPU).update(released_at=NOW),
        lambda instance: Allocation.objects.update(released_at=NOW),
        lambda instance: Host.objects.filter(holder__isnull=False).update(holder=TenantFactory()),
        lambda instance: Inventory.objects.filter(used__gt=0).update(open_to=ANYONE),
        lambda instance: Inventory.objects.filter(open_to=ANYONE).update(open_to=None),
        lambda instance: instance.endpoints.update(instance=InstanceFactory(plan=instance.plan)),
    ],
)
def test_books_that_do_not_balance_are_found(placed: Any, spoil: Any) -> None:
    assert spoil(placed)
    status, said = books()
    assert status == 1
    assert said.startswith("drift: ")
    assert said.endswith(" disagreements.\n")
