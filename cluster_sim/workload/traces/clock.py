"""The clock of a file: its stamps as seconds since a whole second near its first row.

Where the scenario does not give the unit in which a file counts time, its first rows decide, in one
way for every format (`decided_unit`, and `stamps.Stamps`, which asks it):

1. Stamps of 1e9 to 4e9 are seconds since 1970, those of a thousand times that milliseconds, and so
   on: no trace is from before 2001 or after 2096, and few counters start so high. They decide
   whatever a document says. A name such as `arrival_ms` yields to a finer unit, and to a coarser
   one where its own gives more than 1,000 requests/s.
2. Else a document or the name of the column decides. A note says so where that gives less than one
   request per 1,000 s or more than 100,000 requests/s (100 for ms, us and ns of a document), and
   what the other units would give.
3. Stamps with fractions, or written with a point, are seconds, unless that gives less than one
   request per 1,000 s.
4. Else the unit is the first of s, ms, us and ns that gives at least 0.05 requests/s and at most
   100,000 requests/s.

Rows with Mooncake's keys have a rule of their own (`mooncake_unit`). Where nine tenths of the first
rows have the size of times since 1970, or lie close together, the others do not count for the unit;
what of them lies years away is refused. Numbers of 14 digits that are dates are refused, and so are
days since 1900 as Excel writes them and columns whose names say minutes, hours or days.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from cluster_sim.workload.traces.unit_names import NumberUnit, named_unit

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]
"""How a file writes times: in a unit, or as dates and times of ISO 8601."""
NUMBER_UNITS: tuple[NumberUnit, ...] = ("s", "ms", "us", "ns")
TIME_UNITS: tuple[TimeUnit, ...] = (*NUMBER_UNITS, "iso")
PER_S: dict[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Units of time per second."""
UNITS: dict[str, str] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
_EPOCH_S = (1e9, 4e9)
MAX_STAMP = 1 << 62
_MIN_RATE, MIN_FRACTIONAL_RATE, MAX_RATE = 0.05, 0.001, 1e5  # per s
_MAX_MS_RATE, _ODD_MS_RATE = 1_000.0, 100.0  # per s


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
        return self.of_numbers(stamps_ns, "ns")

    def of_numbers(self, stamps: np.ndarray, unit: str) -> np.ndarray:
        """Return the times of numbers in a unit: s, ms, us or ns [s].

        Raises ValueError where one is not finite, or beyond 4.6e18.
        """
        if not np.all((stamps > -MAX_STAMP) & (stamps < MAX_STAMP)):
            raise ValueError
        per_s = PER_S[unit]
        if self.origin_s is None and len(stamps):
            self.origin_s = int(stamps[0] // per_s)
        return (stamps - (self.origin_s or 0) * per_s) / per_s


class UnitChoice(NamedTuple):
    """Unit of a file's times, and what decided."""

    unit: NumberUnit
    """Unit."""
    why: str | None = None
    """What of the data decided; None where the document or the name did."""

    def note(self, name: str) -> str:
        """Return the sentence on how the times of this column are read."""
        *others, last = (unit for unit in NUMBER_UNITS if unit != self.unit)
        others_or_last = f"{', '.join(others)} or {last}"
        return f"{name} is read as {UNITS[self.unit]}: {self.why}; for another unit, write time_unit: {others_or_last}"


def decided_unit(stamps: np.ndarray, name: str, documented: NumberUnit | None = None) -> UnitChoice:
    """Return the unit of a file's times where the scenario does not give it.

    Parameters
    ----------
    stamps
        Stamps of the first rows, as numbers.
    name
        Name of their column.
    documented
        Unit that the format's document gives; None where it gives none.
    """
    epoch = epoch_unit(stamps)
    stated = documented or named_unit(name)
    if stated is not None:
        said_by = "the name" if documented is None else "the format"
        return _unlike(stamps, stated, epoch, said_by) or UnitChoice(
            stated, _odd_rate(stamps, stated, said_by)
        )
    if epoch is not None:
        return UnitChoice(epoch, _size_of(epoch))
    return _plausible(stamps)


def _unlike(
    stamps: np.ndarray, stated: NumberUnit, epoch: NumberUnit | None, said_by: str
) -> UnitChoice | None:
    """Return the choice where stamps have the size of another unit since 1970; None elsewhere."""
    if epoch is None or epoch == stated:
        return None
    # A thousand times what the unit gives today is a finer unit, whatever a name says.
    if PER_S[epoch] > PER_S[stated]:
        return UnitChoice(epoch, f"{_size_of(epoch)}, and as {UNITS[stated]} are far in the future")
    rate = rate_per_s(stamps, epoch)
    if rate is None or rate < MIN_FRACTIONAL_RATE:
        return None  # a counter that has come so far
    stated_rate = rate * PER_S[stated] / PER_S[epoch]
    if said_by == "the format" or stated_rate > _MAX_MS_RATE:
        return UnitChoice(
            epoch, f"{_size_of(epoch)}, and as {UNITS[stated]} give {stated_rate:,.0f} requests/s"
        )
    return UnitChoice(stated, f"{said_by} says so, though {_size_of(epoch)}")


def _size_of(epoch: NumberUnit) -> str:
    return f"its stamps have the size of {UNITS[epoch]} since 1970"


def _odd_rate(stamps: np.ndarray, unit: NumberUnit, said_by: str) -> str | None:
    """Return what is to be said of a unit that gives an implausible rate; None for a plausible one."""
    rate = rate_per_s(stamps, unit)
    is_document = said_by == "the format" and unit != "s"
    high = _ODD_MS_RATE if is_document else MAX_RATE
    # The size of times since 1970 leaves no doubt.
    if rate is None or MIN_FRACTIONAL_RATE <= rate <= high or epoch_unit(stamps) == unit:
        return None
    rates = {own: rate * PER_S[own] / PER_S[unit] for own in NUMBER_UNITS if own != unit}
    others = [
        f"{rates[own]:.3g} as {UNITS[own]}" for own in rates if _MIN_RATE <= rates[own] <= MAX_RATE
    ]
    instead = f" (it would be {' or '.join(others)})" if others else ""
    return f"{said_by} says so, though that gives {rate:.3g} requests/s{instead}"


def epoch_unit(stamps: np.ndarray) -> NumberUnit | None:
    """Return the unit in which all stamps lie between 2001 and 2096."""
    if not len(stamps):
        return None
    return next((own for own in NUMBER_UNITS if bool(np.all(is_epoch(stamps, own)))), None)


def is_epoch(stamps: np.ndarray, unit: NumberUnit) -> np.ndarray:
    """Return which stamps lie between 2001 and 2096 in a unit."""
    low_s, high_s = _EPOCH_S
    which: np.ndarray = (low_s * PER_S[unit] <= stamps) & (stamps < high_s * PER_S[unit])
    return which


def rate_per_s(stamps: np.ndarray, unit: str) -> float | None:
    """Return the mean rate of stamps in a unit [1/s]; None where there are no two times."""
    stamps = stamps[np.isfinite(stamps)]  # what is no number is refused with its row later
    span = float(np.max(stamps) - np.min(stamps)) if len(stamps) else 0.0
    return (len(stamps) - 1) * PER_S[unit] / span if span > 0.0 else None


def _plausible(stamps: np.ndarray) -> UnitChoice:
    """Return the unit that gives a plausible mean rate."""
    rate_s = rate_per_s(stamps, "s")
    if rate_s is None:
        return UnitChoice("s", "its first rows have one time only")
    has_fractions = stamps.dtype.kind == "f"
    if has_fractions and rate_s >= MIN_FRACTIONAL_RATE:
        return UnitChoice("s", f"its stamps have fractions, which gives {rate_s:.3g} requests/s")
    for unit in NUMBER_UNITS:
        rate = rate_s * PER_S[unit]
        if _MIN_RATE <= rate <= MAX_RATE:
            stamp = "stamps have fractions" if has_fractions else "stamps are whole numbers"
            return UnitChoice(unit, f"its {stamp}, which gives {rate:.3g} requests/s")
    return UnitChoice("s", f"no unit gives a plausible rate; seconds give {rate_s:.3g} requests/s")


def mooncake_unit(stamps: np.ndarray, *, has_blocks: bool) -> tuple[NumberUnit, str | None]:
    """Return the unit of rows with Mooncake's keys, and a note; None where nothing is to be said.

    The document says milliseconds. Others write seconds under the same keys, which gives rates of
    thousands per second, or of hundreds with fractions, or stamps of some 1e9 for times since 1970.
    Rows with Mooncake's blocks (`has_blocks`) are Mooncake's, whatever their rate.
    """
    epoch = epoch_unit(stamps)
    if epoch not in (None, "ms"):
        return epoch, UnitChoice(epoch, _size_of(epoch)).note("timestamp")
    rate_ms = rate_per_s(stamps, "ms")
    if rate_ms is None or MIN_FRACTIONAL_RATE <= rate_ms <= _ODD_MS_RATE:
        return "ms", None
    if rate_ms < MIN_FRACTIONAL_RATE:
        return "ms", UnitChoice("ms", _odd_rate(stamps, "ms", "the format")).note("timestamp")
    rate_s = rate_ms / 1e3
    rates = f"milliseconds give {rate_ms:,.0f} requests/s, seconds {rate_s:,.3g}"
    has_fractions = bool(np.any(stamps != np.floor(stamps)))
    is_odd = rate_ms > _MAX_MS_RATE or has_fractions
    if is_odd and rate_s >= _MIN_RATE and not has_blocks:
        return "s", f"timestamp is read as seconds: {rates}; for milliseconds, write time_unit: ms"
    return "ms", f"timestamp is read as milliseconds: {rates}; for seconds, write time_unit: s"
