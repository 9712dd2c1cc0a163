"""Units of time in the names of columns, such as arrival_ms, Time (us) or startSeconds."""

from __future__ import annotations

import re
from typing import Literal

NumberUnit = Literal["s", "ms", "us", "ns"]
"""Unit of times that are numbers."""
_WORDS: dict[NumberUnit, tuple[str, ...]] = {
    "s": ("sec", "secs", "second", "seconds"),
    "ms": ("msec", "msecs", "millis", "millisec", "millisecond", "milliseconds"),
    "us": ("usec", "usecs", "micros", "microsec", "microsecond", "microseconds"),
    "ns": ("nsec", "nsecs", "nanos", "nanosec", "nanosecond", "nanoseconds"),
}
_LAST: dict[str, NumberUnit] = {
    "s": "s",
    "ms": "ms",
    "us": "us",
    "µs": "us",
    "μs": "us",
    "ns": "ns",
}
"""Words that are units only at the end of a name."""

_COARSE: dict[str, tuple[str, ...]] = {
    "minutes": ("min", "mins", "minute", "minutes"),
    "hours": ("h", "hr", "hrs", "hour", "hours"),
    "days": ("day", "days"),
}
"""Words at the end of a name that are unsupported units."""


def named_unit(name: str) -> NumberUnit | None:
    """Return the unit in the name of a column; None without a unit.

    >>> named_unit("arrival_ms"), named_unit("startSeconds"), named_unit("Time (us)")
    ('ms', 's', 'us')
    >>> named_unit("timestamps") is None
    True
    """
    words = _words_of(name)
    for unit, own in _WORDS.items():
        if any(word in own for word in words):
            return unit
    return _LAST.get(words[-1]) if len(words) > 1 else None


def coarse_unit(name: str) -> str | None:
    """Return minutes, hours or days if the name of a column contains such a unit, else None.

    >>> coarse_unit("arrival_min"), coarse_unit("Time (hours)"), coarse_unit("time_of_day")
    ('minutes', 'hours', None)
    """
    *before, last = _words_of(name) or [""]
    if not before or before[-1] == "of":
        return None
    return next((unit for unit, own in _COARSE.items() if last in own), None)


def _words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return [word.casefold() for word in re.findall(r"[^\W_]+", apart)]
