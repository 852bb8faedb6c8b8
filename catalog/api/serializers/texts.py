"""Texts that are not columns: those kept in two languages, and full names."""

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


@extend_schema_field(str)
class ProjectName(serializers.Field[Any, Any, Any, Any]):
    """``affiliate/project`` of a row that has both."""

    def __init__(self) -> None:
        super().__init__(source="*", read_only=True, help_text="affiliate/project")

    def to_representation(self, value: Any) -> str:
        return f"{value.tenant.slug}/{value.project.slug}"


@extend_schema_field(str)
class FullName(serializers.Field[Any, Any, Any, Any]):
    """``affiliate/project`` of a project, loaded with its affiliate."""

    def __init__(self, **more: Any) -> None:
        super().__init__(read_only=True, help_text="affiliate/project", **more)

    def to_representation(self, value: Any) -> str:
        return str(value)
