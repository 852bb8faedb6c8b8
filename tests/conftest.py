"""The named cast. Capital and Card are affiliates; Mallory belongs to a third and must never see anything of theirs."""

import gc
import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.utils import translation

from catalog.pool.models import Zone
from catalog.tenancy.models import Project, Role, Tenant, User
from tests.factories import ProjectFactory, TenantFactory, UserFactory, ZoneFactory
from tests.harness import templates


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests about PostgreSQL are skipped only where ``DATABASE_URL`` names none."""
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return
    elsewhere = pytest.mark.skip(reason="DATABASE_URL names no PostgreSQL database")
    for item in items:
        if item.get_closest_marker("postgresql"):
            item.add_marker(elsewhere)


def pytest_collection_finish() -> None:
    """What was imported stays to the end, so nobody need look again and again for garbage in it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings: None, request: pytest.FixtureRequest) -> bool:
    """A database copied from the run's template is kept as it was found, which spares making all tables again."""
    return templates.use(settings.DATABASES["default"]["TEST"]) or bool(request.config.getvalue("reuse_db"))


@pytest.fixture(autouse=True)
def speaks_english() -> Iterator[None]:
    """A page asked for in Korean leaves its thread speaking Korean; the next test must not hear it."""
    with translation.override(settings.LANGUAGE_CODE):
        yield


@pytest.fixture
def capital(db: None) -> Tenant:
    return TenantFactory(slug="capital")


@pytest.fixture
def card(db: None) -> Tenant:
    return TenantFactory(slug="card")


@pytest.fixture
def loan(capital: Tenant) -> Project:
    """Capital's project."""
    return ProjectFactory(tenant=capital, slug="loan")


@pytest.fixture
def points(card: Tenant) -> Project:
    """Card's project."""
    return ProjectFactory(tenant=card, slug="points")


@pytest.fixture
def zone_a(db: None) -> Zone:
    return ZoneFactory(slug="zone-a")


@pytest.fixture
def developer(capital: Tenant) -> User:
    return UserFactory(username="dana", roles=[(Role.DEVELOPER, capital)])


@pytest.fixture
def approver(capital: Tenant) -> User:
    return UserFactory(username="arun", roles=[(Role.APPROVER, capital)])


@pytest.fixture
def tenant_admin(capital: Tenant) -> User:
    return UserFactory(username="tara", roles=[(Role.TENANT_ADMIN, capital)])


@pytest.fixture
def card_developer(card: Tenant) -> User:
    return UserFactory(username="cho", roles=[(Role.DEVELOPER, card)])


@pytest.fixture
def catalog_admin(db: None) -> User:
    return UserFactory(username="cate", is_staff=True, roles=[(Role.CATALOG_ADMIN, None)])


@pytest.fixture
def operator(db: None) -> User:
    return UserFactory(username="otto", is_staff=True, roles=[(Role.OPERATOR, None)])


@pytest.fixture
def second_operator(db: None) -> User:
    return UserFactory(username="olga", is_staff=True, roles=[(Role.OPERATOR, None)])


@pytest.fixture
def auditor(db: None) -> User:
    return UserFactory(username="audrey", roles=[(Role.AUDITOR, None)])


@pytest.fixture
def finance(db: None) -> User:
    return UserFactory(username="fini", roles=[(Role.FINANCE, None)])


@pytest.fixture
def mallory(db: None) -> User:
    """Everything one can be in an affiliate, in another one."""
    insurance = TenantFactory(slug="insurance")
    roles = [(role, insurance) for role in (Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN)]
    return UserFactory(username="mallory", roles=roles)
