"""The catalog."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.serializers.texts import Translated
from catalog.common.data import DataClass
from catalog.common.isolation import Isolation
from catalog.offerings import services
from catalog.offerings.models import Plan as PlanRow


class Role(serializers.Serializer[Any]):
    """Members of a stack that are alike. ``spread`` says how far they stand from each other and from those of ``apart_from``."""

    name = serializers.CharField()
    count = serializers.IntegerField()
    resources = serializers.DictField(child=serializers.IntegerField(), help_text="of each member")
    traits = serializers.ListField(child=serializers.CharField(), default=list)
    spread = serializers.ChoiceField(choices=("none", "host", "zone"), default="none")
    apart_from = serializers.ListField(child=serializers.CharField(), default=list)
    together_with = serializers.CharField(
        default="", help_text="a role whose member of the same number shares its host"
    )


class Plan(serializers.Serializer[Any]):
    """A size and price. ``resources`` are amounts of all ``roles`` together; a plan without roles stands on one host.

    Times are in seconds.
    """

    slug = serializers.CharField()
    name = Translated("name")
    topology = serializers.ChoiceField(choices=PlanRow.Topology.choices)
    isolation = serializers.ChoiceField(choices=Isolation.choices, help_text="who may stand on the same host")
    roles = Role(many=True)
    resources = serializers.DictField(child=serializers.IntegerField())
    price_krw_month = serializers.IntegerField()
    data_classes = serializers.SerializerMethodField(help_text="kinds of data it may hold")
    usual_seconds = serializers.SerializerMethodField(help_text="from the order to a verified service, as a rule")
    needs_approval = serializers.SerializerMethodField(help_text="whether somebody has to approve the order")

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=DataClass.choices)))
    def get_data_classes(self, plan: PlanRow) -> list[str]:
        return services.data_classes(plan)

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
