"""What affiliates hold, borrow and lend, over the wire."""

from collections.abc import Callable
from datetime import datetime

import pytest

from catalog.instances.models import ServiceInstance
from catalog.pool.models import VCPU, Zone
from catalog.quotas.agreements import set_quota
from catalog.quotas.models import Loan
from catalog.tenancy.models import Project, Tenant, User
from tests.api.conftest import Caller
from tests.factories import NOW, TESTER, InstanceFactory, TenantFactory


@pytest.fixture
def borrowed(loan: Project, zone_a: Zone) -> ServiceInstance:
    """Capital uses a VCPU of Life, which is to come back."""
    life = TenantFactory(slug="life", quota={})
    set_quota(TESTER, life, VCPU, zone_a, guaranteed=4, borrow_limit=1, lend_limit=3, now=NOW)
    instance = InstanceFactory(project=loan)
    Loan.objects.create(
        lender=life, borrower=loan.tenant, instance=instance, zone=zone_a, resource_class=VCPU, amount=2, began_at=NOW,
        recalled_at=NOW, due_at=NOW,
    )  # fmt: skip
    return instance


def test_own_quotas_and_for_operators_all(
    borrowed: ServiceInstance, developer: User, operator: User, call: Callable[..., Caller]
) -> None:
    mine = call(developer).get("/quotas").json()["results"]
    assert {row["tenant"] for row in mine} == {"capital"}
    rows = call(operator).get("/quotas?tenant=life").json()["results"]
    assert rows == [
        {
            "tenant": "life", "resource_class": "VCPU", "zone": "zone-a", "guaranteed": 4, "used": 0, "borrow_limit": 1,
            "borrowed": 0, "lend_limit": 3, "lent": 2,
        }
    ]  # fmt: skip
    assert call(operator).get("/quotas?zone=zone-a").json()["results"] == rows
    assert {row["zone"] for row in call(operator).get("/quotas?zone=*").json()["results"]} == {None}


def test_what_one_may_not_see_does_not_exist(
    borrowed: ServiceInstance, developer: User, call: Callable[..., Caller]
) -> None:
    answer = call(developer).get("/quotas?tenant=life")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")
    answer = call(developer).get("/quotas?zone=nowhere")
    assert answer.json()["code"] == "zone-unknown"


def test_both_sides_see_a_loan_and_the_lender_not_whose_service_it_is(
    borrowed: ServiceInstance, developer: User, mallory: User, call: Callable[..., Caller]
) -> None:
    said = call(developer).get("/loans").json()["results"]
    assert [(row["lender"], row["borrower"], row["amount"], row["instance"]) for row in said] == [
        ("life", "capital", 2, str(borrowed.pk))
    ]
    mallory.memberships.create(tenant=Tenant.objects.get(slug="life"), role="developer")
    seen = [row for row in call(mallory).get("/loans").json()["results"] if row["lender"] == "life"]
    assert [(row["borrower"], row["instance"], datetime.fromisoformat(row["due_at"])) for row in seen] == [
        ("capital", None, NOW)
    ]
