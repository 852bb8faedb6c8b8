"""Input exactly as it is meant: no number for a text, no text for a number, no name nobody asked for."""

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_DIGITS = re.compile(r"\A[0-9]{1,12}\Z")


class Text(serializers.CharField):
    """A JSON string; nothing else is turned into one, and no blank is cut off."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON integer."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class QueryWhole(serializers.IntegerField):
    """A whole number in a query string: ASCII digits only."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str) or not _DIGITS.match(data):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class FreeObject(serializers.DictField):
    """A JSON object whose members another schema judges."""


class Strict(serializers.Serializer[Any]):
    """Input whose every member is known; unknown ones are named and refused."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError({name: [_("There is no such member.")] for name in unknown})
        return super().to_internal_value(data)


class Page(Strict):
    """What every list takes."""

    cursor = serializers.CharField(required=False, max_length=500, help_text=_("Where to go on: from `next`."))
    limit = QueryWhole(required=False, min_value=1, max_value=200, help_text=_("Rows a page; 50 unless told."))


class Nothing(Strict):
    """No members at all."""
