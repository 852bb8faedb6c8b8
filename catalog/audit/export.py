"""The record as CSV (RFC 4180), row by row, however long it is."""

import csv
import io
import json
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import Max, QuerySet

from catalog.audit.models import AuditEntry

COLUMNS = (
    "id", "at", "actor", "source", "action", "subject_type", "subject_id", "tenant_id", "before", "after", "chain_day",
    "chain_seq", "previous", "digest",
)  # fmt: skip
CHUNK = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _cell(value: object) -> str:
    """As text; what a spreadsheet would take for a formula gets a ``'`` in front (the digest is over the text without it)."""
    if value is None:
        return ""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: list[AuditEntry]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        at = row.at.isoformat()
        writer.writerow([at if name == "at" else _cell(getattr(row, name)) for name in COLUMNS])
    return out.getvalue()


def _chunk(rows: "QuerySet[AuditEntry]", after: int, last: int) -> list[AuditEntry]:
    found = list(rows.filter(pk__gt=after, pk__lte=last).order_by("pk")[:CHUNK])
    # Between two chunks a slow reader keeps no connection.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
    return found


async def lines(rows: "QuerySet[AuditEntry]") -> AsyncIterator[str]:
    """The header, and the rows there were when it began, in the order they were written."""
    yield ",".join(COLUMNS) + "\r\n"
    newest = await sync_to_async(lambda: rows.order_by().aggregate(last=Max("pk"))["last"])()
    after, last = 0, newest or 0
    while found := await sync_to_async(_chunk)(rows, after, last):
        yield _lines(found)
        after = found[-1].pk
