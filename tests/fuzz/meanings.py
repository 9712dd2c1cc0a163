"""Changes of traces whose meaning is known: what a right reading of the changed file gives."""

from __future__ import annotations

from random import Random

from tests.fuzz.changes import json_rows, parquet, tables, times, values
from tests.fuzz.changes.case import Meaning, untouched
from tests.fuzz.traces import ROWS, TraceRow

MEANINGS: dict[str, Meaning] = {
    "untouched": untouched,
    **tables.CHANGES,
    **json_rows.CHANGES,
    **parquet.CHANGES,
    **values.CHANGES,
    **times.CHANGES,
}
"""Changes by name."""


def rearranged(rng: Random) -> list[TraceRow]:
    """Some rows: all, in another order, one less, or one twice."""
    rows = list(ROWS)
    match rng.randrange(5):
        case 0:
            rng.shuffle(rows)
        case 1:
            del rows[rng.randrange(len(rows))]
        case 2:
            rows.append(rng.choice(rows))
        case 3:  # over midnight
            rows = [row._replace(ms=row.ms + 6_397_000) for row in rows]
    return rows


def encoded(rng: Random, content: bytes) -> bytes:
    """A text in another encoding, with other line ends."""
    text = content.decode("utf-8", "replace")
    text = text.replace("\n", rng.choice(("\n", "\r\n", "\r")))
    mark, encoding = rng.choice(
        (
            ("", "utf-8"),
            ("\ufeff", "utf-8"),
            ("\ufeff", "utf-16-le"),
            ("", "utf-16-be"),
            ("\ufeff", "utf-32-le"),
        )
    )
    return (mark + text).encode(encoding, "replace")
