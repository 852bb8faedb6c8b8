"""Texts that are kept in two languages."""

from typing import Any

from django.utils.translation import get_language
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


@extend_schema_field(str)
class Translated(serializers.Field[Any, Any, Any, Any]):
    """The text in the language of the request (Accept-Language; Korean unless told)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        super().__init__(source="*", read_only=True)

    def to_representation(self, value: Any) -> str:
        language = "en" if (get_language() or "").startswith("en") else "ko"
        return str(getattr(value, f"{self.prefix}_{language}"))
