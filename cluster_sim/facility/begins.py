"""Time of the year at which a run begins, such as '07-18 12:00'."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from cluster_sim.errors import shown

_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WRITTEN = re.compile(r"(\d\d)-(\d\d) (\d\d):(\d\d)")

HOURS_PER_YEAR = 8760
"""Hours of a year of 365 days."""


def _hour_of_year(value: Any) -> float:
    """Return the hours since 1 January, 00:00, of a text such as '07-18 12:00'."""
    match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        month, day, hour, minute = map(int, match.groups())
        is_day = 1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1]
        if is_day and hour < 24 and minute < 60:
            return 24.0 * (sum(_MONTH_DAYS[: month - 1]) + day - 1) + hour + minute / 60.0
    raise ValueError(
        f"got {shown(value)}; expected month, day and time such as '07-18 12:00', in a year of 365 days"
    )


def year_time_text(hours: float) -> str:
    """Return an hour of the year as a scenario file writes it.

    >>> year_time_text(24.0 * 31 + 12.5)
    '02-01 12:30'
    """
    minutes = round(hours * 60.0)
    day, month = minutes // 1440, 0
    while day >= _MONTH_DAYS[month]:
        day -= _MONTH_DAYS[month]
        month += 1
    return f"{month + 1:02}-{day + 1:02} {minutes // 60 % 24:02}:{minutes % 60:02}"


YearTime = Annotated[
    float,
    BeforeValidator(_hour_of_year, json_schema_input_type=str),
    PlainSerializer(year_time_text),
]
"""A time of the year in hours since 1 January, 00:00, in a description."""
