"""The catalog."""

from typing import Any

from rest_framework import serializers

from catalog.api.serializers.texts import Translated
from catalog.offerings import services
from catalog.offerings.models import Plan as PlanRow


class Plan(serializers.Serializer[Any]):
    """A size and price. ``resources`` are amounts of one host; times are in seconds."""

    slug = serializers.CharField()
    name = Translated("name")
    topology = serializers.ChoiceField(choices=PlanRow.Topology.choices)
    resources = serializers.DictField(child=serializers.IntegerField())
    price_krw_month = serializers.IntegerField()
    usual_seconds = serializers.SerializerMethodField(help_text="from the order to a verified service, as a rule")
    needs_approval = serializers.SerializerMethodField(help_text="whether somebody has to approve the order")

    def get_usual_seconds(self, plan: PlanRow) -> int:
        return services.usual_seconds(plan)

    def get_needs_approval(self, plan: PlanRow) -> bool:
        needed: bool = self.context["needs_approval"](plan)
        return needed


class PlanDetail(Plan):
    """With the JSON Schema that the parameters of an order must meet."""

    parameters = serializers.SerializerMethodField()

    def get_parameters(self, plan: PlanRow) -> dict[str, Any]:
        return services.parameter_schema(plan)


class Offering(serializers.Serializer[Any]):
    """A product on sale."""

    slug = serializers.CharField()
    name = Translated("name")
    summary = Translated("summary")
    category = serializers.CharField()
    icon = serializers.CharField()
    plans = Plan(many=True)


class OfferingDetail(Offering):
    """With everything an order form needs."""

    plans = PlanDetail(many=True)
