"""Questions and changes that come with every claim: put together once, and made with other values from then on.

To put a query together costs Django about as much as all the rest of it. Which rows are meant is still said by a
queryset, in one place; on SQLite it is that queryset which is asked.
"""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from django.db.models.sql import UpdateQuery

Value = uuid.UUID | str | int | datetime | Collection[uuid.UUID] | Collection[str] | Collection[int]

_LONGEST = 16_384
"""A list longer than this is not asked for in one statement."""


class _Compiled(ABC):
    """What statements of both kinds share: values in, SQL and its parameters out."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[str, list[tuple[bool, Any]]]] = {}

    @abstractmethod
    def _sql(self, values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        """The SQL for a queryset built from ``values``."""

    def _execute(self, cursor: CursorWrapper, values: Sequence[Any]) -> None:
        filled = [_filled(value) if isinstance(value, list) else value for value in values]
        shape = tuple(len(value) if isinstance(value, list) else type(value) for value in filled)
        if shape not in self._known:
            self._known[shape] = self._compile(filled)
        sql, places = self._known[shape]
        flat = [each for value in filled for each in (value if isinstance(value, list) else [value])]
        cursor.execute(sql, [flat[what] if is_place else what for is_place, what in places])

    def _compile(self, values: list[Any]) -> tuple[str, list[tuple[bool, Any]]]:
        """The SQL, and for each of its parameters: which of the values it is, or what it always is."""
        marks: list[Any] = []

        def mark(value: Any) -> Any:
            marks.append(_mark(value, len(marks)))
            return marks[-1]

        given = [[mark(each) for each in value] if isinstance(value, list) else mark(value) for value in values]
        sql, parameters = self._sql(given)
        places = [(True, marks.index(each)) if each in marks else (False, each) for each in parameters]
        if {place for is_place, place in places if is_place} != set(range(len(marks))):
            raise ValueError("every value must stand in the statement as it is")
        return sql, places


class Statement(_Compiled):
    """A queryset of ``values_list`` with several columns, made by ``build`` from values that stand in its conditions.

    ``build`` gets a value of the same kind in the same place every time, and nothing but the values may depend on them. What it
    selects must need no conversion of Django's: ids, numbers, texts and points in time.
    """

    def __init__(self, build: "Callable[..., QuerySet[Any, Any]]") -> None:
        super().__init__()
        self._build = build

    def ask(self, *values: Value) -> list[tuple[Any, ...]]:
        """The rows. A list stands for any of its members; nothing is found where it is empty.

        :raises ValueError: a list is longer than 16,384.
        """
        given = _listed(values)
        if any(value == [] for value in given):
            return []
        if connection.vendor != "postgresql":
            return list(self._build(*given))
        with connection.cursor() as cursor:
            self._execute(cursor, given)
            return cursor.fetchall()

    def _sql(self, values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        return self._build(*values).query.sql_with_params()


class Change(_Compiled):
    """An update: ``build`` makes from values the queryset of the rows, and what each of their fields becomes."""

    def __init__(self, build: "Callable[..., tuple[QuerySet[Any, Any], Mapping[str, Any]]]") -> None:
        super().__init__()
        self._build = build

    def make(self, *values: Value) -> int:
        """Change the rows; returns how many. No list may be empty, and none longer than 16,384 (ValueError)."""
        given = _listed(values)
        if connection.vendor != "postgresql":
            rows, become = self._build(*given)
            return rows.update(**become)
        with connection.cursor() as cursor:
            self._execute(cursor, given)
            return int(cursor.rowcount)

    def _sql(self, values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        rows, become = self._build(*values)
        query = rows.query.chain(UpdateQuery)
        query.add_update_values(become)  # type: ignore[attr-defined]  # the stubs do not see that chain changes the class
        sql, parameters = query.get_compiler(connection=connection).as_sql()
        return sql, tuple(parameters)


def _listed(values: Sequence[Value]) -> list[Any]:
    return [value if isinstance(value, uuid.UUID | str | int | datetime) else list(value) for value in values]


def _filled(values: list[Any]) -> list[Any]:
    """Filled up to a power of two with its last, so that there are few different statements."""
    if len(values) > _LONGEST:
        raise ValueError(f"at most {_LONGEST} values")
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))


def _mark(value: Any, number: int) -> Any:
    """A value of the same kind that nobody uses, another for each number."""
    if isinstance(value, uuid.UUID):
        return uuid.UUID(int=(0x50554D415349 << 80) + number)
    if isinstance(value, datetime):
        return datetime(1, 1, 1, second=number % 60, minute=number // 60, tzinfo=UTC)
    if isinstance(value, int):
        return 29_000 + number  # within the range of every field
    return f"\x02mark {number}"
