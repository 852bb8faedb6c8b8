"""The admin's page of a version shows what it was loaded from."""

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from catalog.offerings.models import OfferingVersion
from catalog.offerings.services import load_manifests
from catalog.tenancy.models import User
from tests.factories import NOW, SERVICES, TESTER, OfferingVersionFactory


@pytest.mark.django_db
def test_the_files_of_a_version_are_listed(operator: User) -> None:
    load_manifests(SERVICES, git_revision="0" * 40, now=NOW, actor=TESTER)
    redis = OfferingVersion.objects.get(offering__slug="redis")
    client = Client()
    client.force_login(operator)

    def page(version: OfferingVersion) -> str:
        answer = client.get(reverse("admin:offerings_offeringversion_change", args=[version.pk]))
        assert answer.status_code == 200
        return answer.content.decode()

    size = Path(SERVICES / "redis" / "verify.yml").stat().st_size
    assert f"verify.yml ({size})" in page(redis)
    assert "roles/redis/tasks/main.yml" in page(redis)
    assert "verify.yml (" not in page(OfferingVersionFactory(offering=redis.offering, version="0.0.1"))
