"""Choosing, in the order form, the services that a new one uses."""

from collections.abc import Callable

from django.test import Client

from catalog.instances.models import ServiceLink
from catalog.offerings.models import OfferingVersion
from catalog.tenancy.models import User
from tests.web.story import Story

AsUser = Callable[[User], Client]
TYPED = {
    "plan": "shared-small", "project": "capital/loan", "name": "loan-app", "data_class": "internal", "zone": "", "lease": "",
    "allow_from": "", "p-database": "appdb", "p-max_connections": "20", "p-shared_buffers_percent": "25",
    "p-timezone": "Asia/Seoul", "p-locale": "C.UTF-8", "p-comment": "",
}  # fmt: skip


def may_use(most: int) -> None:
    """PostgreSQL of this story may use so many others."""
    version = OfferingVersion.objects.get(offering__slug="postgresql")
    version.manifest["links"] = most
    version.save(update_fields=["manifest"])


def test_what_it_uses_is_ticked_and_stands_on_both_pages(story: Story, as_user: AsUser) -> None:
    database = story.built(name="loan-pg").instance
    assert database is not None
    client = as_user(story.dana)
    assert 'name="links"' not in client.get("/catalog/postgresql/").content.decode()
    may_use(2)
    page = client.get("/catalog/postgresql/?links=loan-pg").content.decode()
    assert "<legend" in page
    assert 'value="loan-pg" class="form-check-input"' in page.replace(" checked", "")
    assert "checked" in page
    assert "LOAN_PG_…" in page
    answer = client.post("/catalog/postgresql/", {**TYPED, "links": ["loan-pg"]})
    assert answer.status_code == 302, answer.content.decode()
    link = ServiceLink.objects.get()
    assert (link.alias, link.provider_id) == ("LOAN_PG", database.pk)
    shown = client.get(f"/services/{link.consumer_id}/").content.decode()
    assert f'href="/services/{database.pk}/">loan-pg</a>' in shown
    assert "Uses, as LOAN_PG" in shown
    assert "Used by" in client.get(f"/services/{database.pk}/").content.decode()
    refused = client.post(f"/services/{database.pk}/give-back/", {"typed": "loan-pg"})
    assert refused.status_code == 409
    assert "Other services use this one. Give them back first. (loan-app)" in refused.content.decode()


def test_only_services_of_the_project_can_be_ticked(story: Story, as_user: AsUser) -> None:
    may_use(1)
    story.built(name="loan-pg")
    answer = as_user(story.dana).post("/catalog/postgresql/", {**TYPED, "links": ["nobody"]})
    assert answer.status_code == 422
    assert "nobody is not one of the available choices" in answer.content.decode()
    assert not ServiceLink.objects.exists()
