"""Readers of columns of lengths and times, from Arrow arrays of any type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster_sim.workload.traces.clock import PER_S
from cluster_sim.workload.traces.iso_times import IsoTimes, iso_times
from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.row_faults import GROUPED, GROUPED_BY_COMMAS
from cluster_sim.workload.traces.rows import MAX_EXACT
from cluster_sim.workload.traces.source import TraceSource
from cluster_sim.workload.traces.stamps import Stamps
from cluster_sim.workload.traces.times_in_no_order import TimesInNoOrder
from cluster_sim.workload.traces.unit_names import NumberUnit


class ColumnNumbers:
    """Reader of columns of numbers, which may be texts.

    Parameters
    ----------
    tally
        Notes on how the file was read.
    has_decimal_commas
        Whether values are texts with a delimiter other than the comma, so that a comma may be a
        decimal point.
    """

    def __init__(self, tally: Tally, *, has_decimal_commas: bool) -> None:
        self._tally, self._has_decimal_commas = tally, has_decimal_commas
        self._times_have_decimals = False

    def numbers(self, values: Any) -> np.ndarray:
        """Return a column as int64 or float64. Raises ValueError if a value is not a number."""
        import pyarrow as pa

        values, kind = plain(values)
        if pa.types.is_string(kind):
            return self._of_texts(values)
        if pa.types.is_integer(kind):
            return _array(values.cast(pa.int64()))
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return _array(values.cast(pa.float64()))
        raise ValueError

    def tokens(self, values: Any) -> np.ndarray:
        """Return lengths [tokens]; 374.0 is read as 374.

        Raises ValueError if a value is not a whole number.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        values, kind = plain(values)
        if pa.types.is_string(kind):
            try:
                return _array(values.cast(pa.int64()))
            except pa.ArrowInvalid:
                if pc.any(pc.match_substring_regex(values, GROUPED)).as_py():
                    raise ValueError from None  # 2.000 may be 2000 or 2.
        column = self.numbers(values)
        if column.dtype == np.int64:
            return column
        if not np.all((np.abs(column) < MAX_EXACT) & (column == np.floor(column))):
            raise ValueError
        return column.astype(np.int64)

    def times(self, values: Any) -> np.ndarray:
        """Return times that are numbers. Raises ValueError if a value is not a number.

        1,760 is a fraction if another time of the column has a comma that can only be decimal.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._has_decimal_commas and pa.types.is_string(values.type):
            commas = values.filter(pc.match_substring(values, ","))
            grouped = pc.match_substring_regex(commas, GROUPED_BY_COMMAS)
            self._times_have_decimals |= not pc.all(grouped).as_py()
            if not self._times_have_decimals and pc.any(grouped).as_py():
                raise ValueError
        return self.numbers(values)

    def _of_texts(self, texts: Any) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        for kind in (pa.int64(), pa.float64()):
            try:
                return _array(texts.cast(kind))
            except pa.ArrowInvalid:
                continue
        texts = pc.utf8_trim_whitespace(texts)
        has_comma = pc.match_substring(texts, ",")
        if self._has_decimal_commas and pc.any(has_comma).as_py():
            if pc.any(pc.match_substring(texts, ".")).as_py():
                raise ValueError
            numbers = _array(pc.replace_substring(texts, ",", ".").cast(pa.float64()))
            self._tally.note("commas in numbers are read as decimal points")
            return numbers
        try:
            return _array(texts.cast(pa.int64()))
        except pa.ArrowInvalid:
            return _array(texts.cast(pa.float64()))


class ColumnTimes:
    """Reader of a column of times.

    The first rows decide whether times are dates or numbers, and their unit.

    Parameters
    ----------
    source
        Trace, with its clock and the unit that the scenario may give.
    numbers
        Reader of numbers.
    name
        Name of the column.
    documented
        Unit that the document of the format gives; None if it gives no unit.
    """

    def __init__(
        self,
        source: TraceSource,
        numbers: ColumnNumbers,
        name: str,
        documented: NumberUnit | None,
    ) -> None:
        self._clock, self._tally, self._numbers = source.clock, source.tally, numbers
        self._name, self._stamps = name, Stamps(source, name, documented)
        self._read = IsoTimes(np.zeros(0, dtype=np.int64), 0)
        self._with_zone = self._without_zone = 0
        self._latest_s = np.zeros(0)
        self._in_no_order = TimesInNoOrder()

    def seconds(self, values: Any, lines: np.ndarray) -> np.ndarray:
        """Return the times on the clock [s]. Raises ValueError if a value is not a time."""
        self._latest_s = self._seconds(values, lines)
        return self._latest_s

    def _seconds(self, values: Any, lines: np.ndarray) -> np.ndarray:
        import pyarrow as pa

        values, kind = plain(values)
        if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
            if self._stamps.unit not in (None, "iso"):
                raise ValueError
            ns = pa.timestamp("ns", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("ns")
            return self._clock.of_ns(_array(values.cast(ns).cast(pa.int64())))
        if (
            self._stamps.unit is None
            and pa.types.is_string(kind)
            and not self._is_number(values[:1])
        ):
            self._stamps.unit = "iso"
        if self._stamps.unit == "iso":
            if not pa.types.is_string(kind):
                raise ValueError
            self._read = iso_times(values)
            return self._clock.of_ns(self._read.ns)
        return self._stamps.seconds(self._numbers.times(values), lines)

    def spans(self, values: Any) -> np.ndarray:
        """Return durations [s]; NaN for an empty value.

        Their unit is that of the times, or seconds if times are dates.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = pc.utf8_trim_whitespace(plain(values, nulls=True)[0].cast(pa.string()))
        known = pc.if_else(pc.equal(pc.fill_null(texts, ""), ""), "nan", texts)
        spans: np.ndarray = self._numbers.numbers(known) / PER_S.get(self._stamps.unit or "s", 1)
        return spans

    def taken(self) -> None:
        """Count the times of the last call of `seconds`, since their rows are valid."""
        self._without_zone += self._read.without_zone
        self._with_zone += len(self._read.ns) - self._read.without_zone
        self._in_no_order.count(self._latest_s)

    def end(self) -> None:
        """Add the notes on missing offsets from UTC, and on times that are not arrivals."""
        note = self._in_no_order.note(self._name, self._clock.origin_s or 0)
        if note is not None:
            self._tally.note(note)
        if self._with_zone and self._without_zone:
            count = self._with_zone + self._without_zone
            self._tally.note(
                f"{self._without_zone:,} of {count:,} times have no offset from UTC and are read as UTC"
            )

    def _is_number(self, first: Any) -> bool:
        try:
            return bool(len(self._numbers.numbers(first)))
        except ValueError:
            return False


def array_of(values: Sequence[Any], *, are_names: bool = False) -> Any:
    """Return values of JSON as an Arrow array; a mixture of texts and numbers becomes texts.

    Names may be missing. Raises ValueError if a value is neither a text nor a number.
    """
    import pyarrow as pa

    kinds = set(map(type, values))
    if are_names and kinds <= {int, float, str, type(None)}:
        return pa.array([None if v is None else str(v) for v in values], pa.string())
    if not kinds <= {int, float, str}:
        raise ValueError
    if str in kinds:
        return pa.array([v if type(v) is str else repr(v) for v in values], pa.string())
    return pa.array(values, pa.int64() if kinds == {int} else pa.float64())


def plain(values: Any, *, nulls: bool = False) -> tuple[Any, Any]:
    """Return an array with decoded values and Arrow's usual strings, and its type.

    Raises ValueError if a value is missing, unless `nulls` are allowed.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if values.null_count and not nulls:
        raise ValueError
    if kind in (pa.large_string(), pa.string_view()):
        values = values.cast(pa.string())
    return values, values.type


def _array(values: Any) -> np.ndarray:
    column: np.ndarray = values.to_numpy(zero_copy_only=False)
    return column
