"""Pages of lists."""

from rest_framework.pagination import CursorPagination


class Cursor(CursorPagination):
    """Newest first, 50 a page, stable while rows are added."""

    page_size = 50
    ordering = "-created_at"
