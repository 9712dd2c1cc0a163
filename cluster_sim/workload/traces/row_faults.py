"""Faults of rows of a table: the faulty field, the reason, and advice."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from cluster_sim.errors import shown
from cluster_sim.workload.traces.progress import Place
from cluster_sim.workload.traces.rows import MAX_TOKENS

GROUPED = r"^\s*[1-9][0-9]{0,2}([.,][0-9]{3})+\s*$"
"""Pattern of a number whose points or commas may separate thousands."""
GROUPED_BY_COMMAS = r"^\s*[1-9][0-9]{0,2}(,[0-9]{3})+\s*$"
"""Pattern of a number whose commas may separate thousands."""
_GROUPED_TIME = rf"{GROUPED_BY_COMMAS}|^\s*[1-9][0-9]{{0,2}}(\.[0-9]{{3}}){{2,}}\s*$"
_NO_VALUE = {"null", "na", "n/a", "nan", "none", "nil", "-", "--", "\\n", "undefined"}
_TOTALS = ("total", "sum", "avg", "average", "mean", "count", "gesamt", "summe", "grand")
_MEND = "remove the row, or write 0 to omit it"
_WHY_GROUPED = "points and commas may separate thousands"

_DECIMAL_COMMAS = (
    "decimal commas are read only if the delimiter is not a comma and no other number has a point"
)


class RowFields(NamedTuple):
    """Fields of a refused row."""

    names: Sequence[str]
    """Names of the columns of time, prompt and output."""
    values: Sequence[Any]
    """Values of time, prompt and output."""


def refuse_row(place: Place, fields: RowFields, text: str, expected: str, line: int) -> NoReturn:
    """Raise ScenarioError for a row, with its text, the expected form, and the faulty field."""
    if (fault := thousands_fault(fields)) is not None:
        place.refuse_at(line, fault)
    place.refuse_text(text, expected + field_fault(fields), line)


def thousands_fault(fields: RowFields) -> str | None:
    """Return the message on a number that can be read in two ways; None without such a number."""
    patterns = (_GROUPED_TIME, GROUPED, GROUPED)
    for name, value, pattern in zip(*fields, patterns, strict=False):
        if isinstance(value, str) and re.search(pattern, value):
            return f"got {shown(value.strip())} in {name}; expected {_readings(value)} ({_WHY_GROUPED})"
    return None


def _readings(text: str) -> str:
    """Return the possible readings of a number.

    >>> _readings("2.000"), _readings("1,234,567")
    ('2000 or 2', '1234567')
    """
    parts = re.split("[.,]", text.strip())
    whole = "".join(parts)
    return whole if len(parts) > 2 else f"{whole} or {float('.'.join(parts)):g}"


def field_fault(fields: RowFields) -> str:
    """Return the faulty field and the reason, as the end of a message; '' if it is unknown.

    >>> field_fault(RowFields(("time", "prompt", "output"), ("1", "5.5", "6")))
    " (prompt is '5.5': not whole)"
    """
    (time_name, *names), (time, *values) = fields
    first = time.strip().casefold() if isinstance(time, str) else ""
    if first.startswith(_TOTALS):
        return f" ({time_name} is {shown(time)}: a line of totals is not a request; remove it)"
    for name, value in zip(names, values, strict=False):
        if (fault := _token_fault(value)) is not None:
            return (
                f" ({name} is {_named(value)}: {fault})"
                if _is_there(value)
                else f" ({name} {fault})"
            )
    if not _is_there(time):
        return f" ({time_name} is blank; remove the row)"
    if first in _NO_VALUE:
        return f" ({time_name} is {shown(time)}: not a time; remove the row)"
    for name, value in zip(*fields, strict=False):
        if isinstance(value, str) and "," in value:
            return f" ({name} is {shown(value)}: {_DECIMAL_COMMAS})"
    return ""


def number_of(count: int, what: str) -> str:
    """Return a number with its noun, such as `1 field` or `2 fields`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _is_there(value: Any) -> bool:
    return value is not None and bool(str(value).strip())


def _named(value: Any) -> str:
    return shown(value if isinstance(value, (str, bool)) else str(value))


def _token_fault(value: Any) -> str | None:
    """Return why a value is not a number of tokens; None if it is valid."""
    if not _is_there(value):
        return f"is blank; {_MEND}"
    text = str(value).strip()
    if text.casefold() in _NO_VALUE:
        return f"not a number; {_MEND}"
    try:
        number = math.nan if isinstance(value, bool) else float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if math.isnan(number):
        return "not a number"
    if abs(number) > MAX_TOKENS:
        return f"more than {MAX_TOKENS:,}" if number > 0 else "negative"
    if number < 0:
        return "negative"
    return None if number.is_integer() else "not whole"


def written(fields: Sequence[str], delimiter: str) -> str:
    """Return the fields of a row as a line of CSV, with quotes where needed."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(fields)
    return text.getvalue().removesuffix("\n")
