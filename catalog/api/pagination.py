"""Pages of lists."""

from base64 import b64decode
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound as BadCursor
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

from catalog.common.errors import InvalidInput


class Cursor(CursorPagination):
    """Newest first, 50 a page, stable while rows are added. The view's ``ordering`` replaces the order.

    A cursor that was not made for this list is refused with ``invalid-input``.
    """

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = ("-created_at", "-id")

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        return getattr(view, "ordering", None) or self.ordering

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        assert isinstance(queryset, QuerySet)
        encoded = request.query_params.get(self.cursor_query_param)
        if encoded is not None and view is not None:
            first = self.get_ordering(request, queryset, view)[0].lstrip("-")
            self._check(encoded, queryset.model._meta.get_field(first))
        try:
            return super().paginate_queryset(queryset, request, view)
        except BadCursor as error:
            raise _refused() from error

    def _check(self, encoded: str, field: Any) -> None:
        """The framework hands the cursor's position to the database as it comes; so it must be a value of the column."""
        try:
            position = parse_qs(b64decode(encoded.encode("ascii")).decode("ascii")).get("p", [None])[0]
            if position is not None and ("\x00" in position or field.to_python(position) is None):
                raise _refused()
        except (ValueError, OverflowError, ValidationError) as error:
            raise _refused() from error


def _refused() -> InvalidInput:
    return InvalidInput(fields={"cursor": _("This is no cursor of this list. Start again without one.")})
