"""The clock of a file: its stamps as seconds since a whole second near its first row."""

from __future__ import annotations

from typing import Literal

import numpy as np

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]
"""How a file writes times: in a unit, or as dates and times of ISO 8601."""
_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}


class TraceClock:
    """Converter of a file's stamps to seconds since its origin.

    A float of seconds since 1970 keeps a quarter of a microsecond, and one of nanoseconds less than
    that; so times are counted from the whole second at which the first row that is read lies.
    """

    def __init__(self) -> None:
        self.origin_s: int | None = None
        """Whole second from which times are counted; None before the first row [s]."""

    def of_ns(self, stamps_ns: np.ndarray) -> np.ndarray:
        """Return the times of whole nanoseconds (int64) [s]."""
        if self.origin_s is None:
            self.origin_s = int(stamps_ns[0] // 1_000_000_000) if len(stamps_ns) else None
        origin_ns = (self.origin_s or 0) * 1_000_000_000
        return (stamps_ns - origin_ns) / 1e9

    def of_numbers(self, stamps: np.ndarray, unit: str) -> np.ndarray:
        """Return the times of numbers in a unit: s, ms, us or ns [s].

        Raises ValueError where one is not finite.
        """
        if not np.all(np.isfinite(stamps)):
            raise ValueError
        per_s = 1e9 / _NS[unit]
        if self.origin_s is None and len(stamps):
            self.origin_s = int(stamps[0] // per_s)
        return (stamps - (self.origin_s or 0) * per_s) / per_s
