"""A plain table for a terminal."""

import unicodedata
from collections.abc import Sequence


def render(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; what begins like a number stands to the right. Raises ValueError for a ragged row."""
    if any(len(row) != len(head) for row in rows):
        raise ValueError("every row must have as many cells as the head")
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    right = [any(_is_number(row[at]) for row in rows) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            _padded(cell, width, to_right) for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or (cell[:1] in "+-−" and cell[1:2].isdigit())


def _width(cell: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in cell)


def _padded(cell: str, width: int, to_right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if to_right else cell + space
