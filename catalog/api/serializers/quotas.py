"""Quotas and loans."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from catalog.api.fields import Page, Text


class QuotaQuery(Page):
    """Which quotas to list."""

    tenant = Text(max_length=40, required=False, help_text=_("Of this affiliate only."))
    zone = Text(max_length=40, required=False, help_text=_("Of this zone only; `*` for those that count wherever."))


class Quota(serializers.Serializer[Any]):
    """What an affiliate may hold of one class, and how it stands. ``zone`` null: wherever it has no other quota for."""

    tenant = serializers.CharField(source="tenant.slug")
    resource_class = serializers.CharField()
    zone = serializers.CharField(source="zone.slug", allow_null=True, default=None)
    guaranteed = serializers.IntegerField()
    used = serializers.IntegerField(source="figures.used")
    borrow_limit = serializers.IntegerField()
    borrowed = serializers.IntegerField(source="figures.borrowed", help_text=_("Used beyond the guaranteed amount."))
    lend_limit = serializers.IntegerField()
    lent = serializers.IntegerField(source="figures.lent", help_text=_("Of its own, used by others."))


class Loan(serializers.Serializer[Any]):
    """Capacity of ``lender`` (null: nobody is guaranteed it) used by ``borrower``.

    With ``recalled_at`` its owner wants it back; the lease ends at ``due_at``. Another affiliate's ``instance`` is not shown.
    """

    id = serializers.IntegerField()
    lender = serializers.CharField(source="lender.slug", allow_null=True, default=None)
    borrower = serializers.CharField(source="borrower.slug")
    resource_class = serializers.CharField()
    amount = serializers.IntegerField()
    zone = serializers.CharField(source="zone.slug")
    instance = serializers.SerializerMethodField()
    began_at = serializers.DateTimeField()
    recalled_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)

    def get_instance(self, loan: Any) -> str | None:
        """The borrower's service, where the one who asks may see it."""
        seen = self.context["scope"].holds(loan.borrower_id, loan.instance.project_id)
        return str(loan.instance_id) if seen else None
