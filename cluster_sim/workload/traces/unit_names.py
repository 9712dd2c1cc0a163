"""Units of time in the names of columns: arrival_ms, Time (us), startSeconds."""

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
"""Words that are units at the end of a name alone."""


def named_unit(name: str) -> NumberUnit | None:
    """Return the unit that a name tells; None where it tells none.

    >>> named_unit("arrival_ms"), named_unit("startSeconds"), named_unit("Time (us)")
    ('ms', 's', 'us')
    >>> named_unit("timestamps") is None
    True
    """
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    words = [word.casefold() for word in re.findall(r"[^\W_]+", apart)]
    for unit, own in _WORDS.items():
        if any(word in own for word in words):
            return unit
    return _LAST.get(words[-1]) if len(words) > 1 else None
