"""Clock of a file: conversion of its timestamps to seconds since a second near the first row.

If the scenario does not give the unit of a file's times, the first rows decide. The rules hold for
every format (`decided_unit`, which `stamps.Stamps` calls):

1. Timestamps of 1e9 to 4e9 are seconds since 1970, timestamps of 1e12 to 4e12 are milliseconds, and
   so on: no trace is older than 2001 or later than 2096, and few counters start so high. This rule
   overrides a document. It overrides a name such as `arrival_ms` with a finer unit, and with a
   coarser unit if the unit of the name gives more than 1,000 requests/s.
2. Otherwise a document or the name of the column decides. A note is added if that gives less than
   one request per 1,000 s or more than 100,000 requests/s (100 for ms, us and ns of a document). It
   gives the rates in other units.
3. Timestamps with fractions, or with a decimal point, are seconds, unless that gives less than one
   request per 1,000 s.
4. Otherwise the unit is the first of s, ms, us and ns that gives at least 0.05 requests/s and at most
   100,000 requests/s.

Rows with Mooncake's keys have a separate rule (`mooncake_unit`). If nine tenths of the first rows
have the size of times since 1970, or lie close together, the remaining rows do not count for the
unit; a row whose time is years away is refused. Dates as numbers of 14 digits, days since 1900 as
Excel writes them, and columns named after minutes, hours or days are refused too.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from cluster_sim.workload.traces.unit_names import NumberUnit, named_unit

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]
"""Notation of times in a file: a unit, or dates and times of ISO 8601."""
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
    """Converter of the timestamps of a file to seconds since the origin of the clock.

    A float of seconds since 1970 has a resolution of a quarter of a microsecond. Times are therefore
    counted from the whole second of the first row that is read.
    """

    def __init__(self) -> None:
        self.origin_s: int | None = None
        """Origin of the clock, a whole second of the file's times; None before the first row [s]."""

    def of_ns(self, stamps_ns: np.ndarray) -> np.ndarray:
        """Return the times since the origin, given whole nanoseconds (int64) [s]."""
        return self.of_numbers(stamps_ns, "ns")

    def of_numbers(self, stamps: np.ndarray, unit: str) -> np.ndarray:
        """Return the times since the origin, given numbers in a unit: s, ms, us or ns [s].

        Raises ValueError if a number is not finite, or beyond 4.6e18.
        """
        if not np.all((stamps > -MAX_STAMP) & (stamps < MAX_STAMP)):
            raise ValueError
        per_s = PER_S[unit]
        if self.origin_s is None and len(stamps):
            self.origin_s = int(stamps[0] // per_s)
        return (stamps - (self.origin_s or 0) * per_s) / per_s


class UnitChoice(NamedTuple):
    """Unit of a file's times, and the reason."""

    unit: NumberUnit
    """Unit of the times."""
    why: str | None = None
    """Property of the data that decided; None if the document or the name decided."""

    def note(self, name: str) -> str:
        """Return the note on the unit of the times of this column."""
        *others, last = (unit for unit in NUMBER_UNITS if unit != self.unit)
        others_or_last = f"{', '.join(others)} or {last}"
        return f"{name} is read as {UNITS[self.unit]}: {self.why}; for another unit, write time_unit: {others_or_last}"


def decided_unit(stamps: np.ndarray, name: str, documented: NumberUnit | None = None) -> UnitChoice:
    """Return the unit of a file's times if the scenario does not give it.

    Parameters
    ----------
    stamps
        Timestamps of the first rows, as numbers.
    name
        Name of the column of timestamps.
    documented
        Unit that the document of the format gives; None if it gives no unit.
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
    """Return the choice if timestamps have the size of another unit since 1970, else None."""
    if epoch is None or epoch == stated:
        return None
    # Timestamps a thousand times today's value have a finer unit, whatever the name says.
    if PER_S[epoch] > PER_S[stated]:
        return UnitChoice(epoch, f"{_size_of(epoch)}, and as {UNITS[stated]} are far in the future")
    rate = rate_per_s(stamps, epoch)
    if rate is None or rate < MIN_FRACTIONAL_RATE:
        return None  # a counter that happens to be this high
    stated_rate = rate * PER_S[stated] / PER_S[epoch]
    if said_by == "the format" or stated_rate > _MAX_MS_RATE:
        return UnitChoice(
            epoch, f"{_size_of(epoch)}, and as {UNITS[stated]} give {stated_rate:,.0f} requests/s"
        )
    return UnitChoice(stated, f"{said_by} says so, though {_size_of(epoch)}")


def _size_of(epoch: NumberUnit) -> str:
    return f"its timestamps have the size of {UNITS[epoch]} since 1970"


def _odd_rate(stamps: np.ndarray, unit: NumberUnit, said_by: str) -> str | None:
    """Return the note on a unit that gives an implausible rate; None for a plausible rate."""
    rate = rate_per_s(stamps, unit)
    is_document = said_by == "the format" and unit != "s"
    high = _ODD_MS_RATE if is_document else MAX_RATE
    # For times since 1970 their size leaves no doubt.
    if rate is None or MIN_FRACTIONAL_RATE <= rate <= high or epoch_unit(stamps) == unit:
        return None
    rates = {own: rate * PER_S[own] / PER_S[unit] for own in NUMBER_UNITS if own != unit}
    others = [
        f"{rates[own]:.3g} as {UNITS[own]}" for own in rates if _MIN_RATE <= rates[own] <= MAX_RATE
    ]
    instead = f" (the rate would be {' or '.join(others)})" if others else ""
    return f"{said_by} says so, though that gives {rate:.3g} requests/s{instead}"


def epoch_unit(stamps: np.ndarray) -> NumberUnit | None:
    """Return the unit in which all timestamps lie between 2001 and 2096, or None."""
    if not len(stamps):
        return None
    return next((own for own in NUMBER_UNITS if bool(np.all(is_epoch(stamps, own)))), None)


def is_epoch(stamps: np.ndarray, unit: NumberUnit) -> np.ndarray:
    """Return whether each timestamp lies between 2001 and 2096 in a unit."""
    low_s, high_s = _EPOCH_S
    which: np.ndarray = (low_s * PER_S[unit] <= stamps) & (stamps < high_s * PER_S[unit])
    return which


def rate_per_s(stamps: np.ndarray, unit: str) -> float | None:
    """Return the mean rate of timestamps in a unit [1/s]; None without two different times."""
    stamps = stamps[np.isfinite(stamps)]  # NaN and inf are refused with their row later
    span = float(np.max(stamps) - np.min(stamps)) if len(stamps) else 0.0
    return (len(stamps) - 1) * PER_S[unit] / span if span > 0.0 else None


def _plausible(stamps: np.ndarray) -> UnitChoice:
    """Return the unit that gives a plausible mean rate."""
    rate_s = rate_per_s(stamps, "s")
    if rate_s is None:
        return UnitChoice("s", "its first rows have only one time")
    has_fractions = stamps.dtype.kind == "f"
    if has_fractions and rate_s >= MIN_FRACTIONAL_RATE:
        return UnitChoice(
            "s", f"its timestamps have fractions, which gives {rate_s:.3g} requests/s"
        )
    for unit in NUMBER_UNITS:
        rate = rate_s * PER_S[unit]
        if _MIN_RATE <= rate <= MAX_RATE:
            stamp = "timestamps have fractions" if has_fractions else "timestamps are whole numbers"
            return UnitChoice(unit, f"its {stamp}, which gives {rate:.3g} requests/s")
    return UnitChoice("s", f"no unit gives a plausible rate; seconds give {rate_s:.3g} requests/s")


def mooncake_unit(stamps: np.ndarray, *, has_blocks: bool) -> tuple[NumberUnit, str | None]:
    """Return the unit of rows with Mooncake's keys, and a note or None.

    Mooncake's document says milliseconds. Other tools write seconds under these keys, which gives
    rates of thousands per second, or of hundreds with fractions, or timestamps of about 1e9 for
    times since 1970. Rows with blocks (`has_blocks`) are Mooncake's, whatever their rate.
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
