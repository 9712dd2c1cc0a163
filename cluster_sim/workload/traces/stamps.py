"""Reader of numeric timestamps; the first rows decide on their unit, see `clock`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.clock import (
    MAX_STAMP,
    MIN_FRACTIONAL_RATE,
    NUMBER_UNITS,
    PER_S,
    UNITS,
    TimeUnit,
    decided_unit,
    epoch_unit,
    is_epoch,
    rate_per_s,
)
from cluster_sim.workload.traces.rows import AT_A_TIME
from cluster_sim.workload.traces.source import TraceSource
from cluster_sim.workload.traces.unit_names import NumberUnit, coarse_unit

Choose = Callable[[np.ndarray], tuple[NumberUnit, str | None]]
"""Function that chooses the unit of timestamps, and returns it with a note or None."""
_MAJORITY = 0.9
"""Share of the first rows that is needed for a decision."""
_FAR = 1_000.0
"""Distance of a timestamp from the majority beyond which it does not count for the unit, as a
multiple of the span of the majority."""
_YEAR_S = 365 * 86_400.0
_FEW_ROWS, _ROWS_PER_TIME = 20, 4
"""Minimum number of rows, and of rows per time, at which timestamps count as coarse."""
_EXCEL_DAYS, _EXCEL_RATE = (36_526, 73_051), 1_000.0
"""Days of the years 2000 to 2099 in Excel's count; minimum rate of such timestamps as seconds
[1/s]."""
_DATE = (19_700_101_000_000, 22_000_101_000_000)


class Stamps:
    """Reader of numeric timestamps.

    Parameters
    ----------
    source
        Trace, with its clock and the unit that the scenario may give.
    name
        Name of the column or key.
    documented
        Unit that the document of the format gives; None if it gives no unit.
    """

    def __init__(
        self, source: TraceSource, name: str, documented: NumberUnit | None = None
    ) -> None:
        self.unit: TimeUnit | None = source.time_unit
        """Unit of the timestamps; None until the first rows have decided."""
        self._source, self._name, self._documented = source, name, documented
        self._since_1970: NumberUnit | None = None
        self._is_first = True

    def seconds(
        self, stamps: np.ndarray, lines: np.ndarray, choose: Choose | None = None
    ) -> np.ndarray:
        """Return times on the clock of the file [s].

        Parameters
        ----------
        stamps
            Timestamps as int64 or float64.
        lines
            Line of each timestamp.
        choose
            Function that chooses the unit. Default: `decided_unit`.

        Raises
        ------
        ValueError
            If a timestamp is not finite, or beyond 4.6e18.
        ScenarioError
            If a timestamp is years away from the others, or the numbers are not times.
        """
        if not np.all((stamps > -MAX_STAMP) & (stamps < MAX_STAMP)):
            raise ValueError
        first = stamps[:AT_A_TIME]
        if self.unit is None and len(first):
            self._decide(first, lines, choose or self._choose)
        unit = self.unit or "s"
        times_s = self._source.clock.of_numbers(stamps, unit)
        if self._since_1970 is not None:
            expected = f"{UNITS[self._since_1970]} since 1970, as in other rows"
            self._refuse_first(~is_epoch(stamps, self._since_1970), stamps, lines, expected)
        if self._is_first and len(first):
            self._is_first = False
            self._note_coarse(first)
        return times_s

    def also_seconds(self, stamps: np.ndarray) -> np.ndarray:
        """Return the times of further timestamps of the rows, in the unit of `seconds` [s].

        Raises ValueError if a timestamp is not finite, or beyond 4.6e18.
        """
        return self._source.clock.of_numbers(stamps, self.unit or self._documented or "s")

    def spans(self, spans: np.ndarray) -> np.ndarray:
        """Return durations, given in the unit of `seconds` [s]."""
        in_s: np.ndarray = spans / PER_S[self.unit or self._documented or "s"]
        return in_s

    def _choose(self, stamps: np.ndarray) -> tuple[NumberUnit, str | None]:
        choice = decided_unit(stamps, self._name, self._documented)
        return choice.unit, None if choice.why is None else choice.note(self._name)

    def _decide(self, stamps: np.ndarray, lines: np.ndarray, choose: Choose) -> None:
        """Decide on the unit by the majority of the first rows."""
        fits = _since_1970(stamps)
        is_near = _near_most(stamps) if fits is None else fits
        self._refuse_dates(stamps, lines)
        if fits is None:
            self._refuse_coarse_unit()
        self.unit, note = choose(stamps[is_near])
        if note is not None:
            self._source.tally.note(note)
        if epoch_unit(stamps[is_near]) == self.unit:
            self._since_1970 = self.unit
        else:
            away_s = np.abs(stamps - np.median(stamps)) / PER_S[self.unit]
            is_far = ~is_near & (away_s > _YEAR_S)
            self._refuse_first(is_far, stamps, lines, "a time within a year of the other rows")

    def _refuse_first(
        self, which: np.ndarray, stamps: np.ndarray, lines: np.ndarray, expected: str
    ) -> None:
        """Raise ScenarioError at the first timestamp for which `which` is true, if there is one."""
        if np.any(which):
            at = int(np.argmax(which))
            own = epoch_unit(stamps[at : at + 1])
            size = "" if own is None else f", the size of {UNITS[own]} since 1970"
            self._source.place.refuse_at(
                int(lines[at]),
                f"{self._name}: got {stamps[at]}{size}; expected {expected}; to read all rows as they are, write time_unit: {self.unit}",
            )

    def _refuse_dates(self, stamps: np.ndarray, lines: np.ndarray) -> None:
        """Raise ScenarioError if most timestamps are dates such as 20261025143005, or Excel's days."""
        # The clock of a benchmark client may have these seconds, if its requests are a burst.
        are_days = self._documented is None and _are_excel_dates(stamps)
        if np.mean(_are_dates(stamps)) >= _MAJORITY or are_days:
            self._source.place.refuse_at(
                int(lines[0]),
                f"{self._name}: got {stamps[0]}, which seems to be a date; expected dates such as 2026-10-25 14:30:05, or numbers of seconds, ms, us or ns; if it is a number of seconds, write time_unit: s",
            )

    def _refuse_coarse_unit(self) -> None:
        """Raise ScenarioError if the name of the column contains minutes, hours or days."""
        unit = None if self._documented else coarse_unit(self._name)
        if unit is not None:
            raise ScenarioError.at(
                self._source.path,
                f"{self._name}: got a column of {unit}, by its name; expected seconds, ms, us or ns; if it has seconds, write time_unit: s",
            )

    def _note_coarse(self, stamps: np.ndarray) -> None:
        """Add a note if many rows share few times, unless the scenario spreads them."""
        times = np.unique(stamps)
        is_coarse = len(stamps) >= max(_FEW_ROWS, _ROWS_PER_TIME * len(times))
        if not is_coarse or self._source.is_spread or self.unit == "iso":
            return
        if len(times) > 1:
            tick_s = float(np.median(np.diff(times))) / PER_S[self.unit or "s"]
            apart = f"{len(times):,} times, mostly {tick_s:.6g} s apart"
        elif self._since_1970 is not None:
            apart = "only one time"
        else:
            return
        self._source.tally.note(
            f"{self._name} is coarse: the first {len(stamps):,} rows have {apart}; use dejitter to spread rows over such a time"
        )


def _since_1970(stamps: np.ndarray) -> np.ndarray | None:
    """Return whether each timestamp has the size of the most frequent unit since 1970.

    Returns None if too few timestamps have the size of times since 1970.
    """
    sized = {unit: is_epoch(stamps, unit) for unit in NUMBER_UNITS}
    if sum(float(np.mean(own)) for own in sized.values()) < _MAJORITY:
        return None
    unit = max(sized, key=lambda own: int(np.sum(sized[own])))
    rate = rate_per_s(stamps[sized[unit]], unit)
    # A counter that happens to be this high gives a rate of one request in years.
    if not np.all(sized[unit]) and (rate is None or rate < MIN_FRACTIONAL_RATE):
        return None
    return sized[unit]


def _near_most(stamps: np.ndarray) -> np.ndarray:
    """Return whether each timestamp lies within `_FAR` spans of the majority."""
    cut = int(len(stamps) * (1.0 - _MAJORITY) / 2.0 + 0.5)
    ordered = np.sort(stamps)
    low, high = float(ordered[cut]), float(ordered[len(stamps) - 1 - cut])
    reach = _FAR * (high - low)
    if reach == 0.0:
        return np.ones(len(stamps), dtype=bool)
    is_near: np.ndarray = (stamps >= low - reach) & (stamps <= high + reach)
    return is_near


def _are_excel_dates(stamps: np.ndarray) -> bool:
    """Return whether timestamps are days since 1900 with fractions.

    Read as seconds, such timestamps have a rate of thousands per second.
    """
    first, last = _EXCEL_DAYS
    rate = rate_per_s(stamps, "s")
    return (
        stamps.dtype.kind == "f"
        and rate is not None
        and rate > _EXCEL_RATE
        and bool(np.all((stamps >= first) & (stamps < last)))
    )


def _are_dates(stamps: np.ndarray) -> np.ndarray:
    """Return whether each number is a date of 14 digits: YYYYMMDDhhmmss."""
    first, last = _DATE
    whole = np.where((stamps >= first) & (stamps < last), stamps, 0).astype(np.int64)
    month, day = whole // 10**8 % 100, whole // 10**6 % 100
    hour, minute, second = whole // 10**4 % 100, whole // 100 % 100, whole % 100
    which: np.ndarray = (
        (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
        & (hour <= 23) & (minute <= 59) & (second <= 60)
    )  # fmt: skip
    return which
