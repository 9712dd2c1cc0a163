"""Recorded faults: files of faults, and the events of a run folder.

A file is a CSV with a heading, or Parquet. Its columns:

| column | meaning |
|---|---|
| at_s | time of the fault; for a spot reclaim, time of the notice [s] |
| what | node_failure, device_failure, link_failure, link_degraded or spot_reclaim |
| where | pool, node, device or link, as in `site.events` |
| lasts_s | time until the end of the repair [s]; empty if there is no repair |
| notice_s | optional: time from the notice of a spot reclaim to the loss [s] |
| factor | share of the bandwidth that a degraded link keeps; needed for link_degraded only |

`at` and `lasts` with units, such as `5 min`, replace `at_s` and `lasts_s`. The events table of a
run folder, events.parquet, has the column `value` in place of `lasts_s`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cluster_sim.errors import ScenarioError, did_you_mean, shown
from cluster_sim.reliability.fault import FAULT_KINDS, Fault, FaultKind
from cluster_sim.schema import find
from cluster_sim.units import parse

if TYPE_CHECKING:
    import pyarrow as pa

_EVENTS = "events.parquet"
_SLACK_S = 1e-6
"""Difference below which a loss counts as the end of its notice [s]."""


def find_recorded(path: str) -> str:
    """Return the absolute path of a file of faults. A run folder stands for its events table.

    Raises ValueError if there is no such file.
    """
    found = find(path, folders=True)
    if found is not None and found.is_dir():
        found = found / _EVENTS if (found / _EVENTS).is_file() else None
    if found is None:
        raise ValueError(f"no file {shown(path)}; expected a file of faults or a run folder")
    return str(found)


def recorded_faults(path: str) -> tuple[Fault, ...]:
    """Return all faults of a file, in order of time.

    Raises ScenarioError if the file cannot be read, or a row is not a fault.
    """
    table = _read(Path(path))
    names, rows = table.column_names, table.to_pylist()
    if {"replica", "request", "value"} <= set(names):
        if "where" not in names:
            raise ScenarioError.at(
                path,
                "these events have no column 'where'; expected the events of a run with failures",
            )
        faults = list(_of_events(rows))
    else:
        _check_columns(path, names)
        faults = [_of_row(path, number, row) for number, row in enumerate(rows, start=1)]
    if not faults:
        raise ScenarioError.at(path, "the file has no faults; expected at least one row")
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _read(path: Path) -> pa.Table:
    """Return the table in a file. Raises ScenarioError if it cannot be read."""
    import pyarrow as pa  # takes a tenth of a second to import
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix == ".parquet":
            return pa.parquet.read_table(path)
        return pa.csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise ScenarioError.at(
            str(path), f"cannot be read as CSV or Parquet: {str(fault).splitlines()[0]}"
        ) from fault


def _check_columns(path: str, names: list[str]) -> None:
    """Raise ScenarioError if a column is missing or unknown."""
    known = ("at_s", "at", "what", "where", "lasts_s", "lasts", "notice_s", "factor")
    for wanted in (("at_s", "at"), ("what",), ("where",), ("lasts_s", "lasts")):
        if not set(wanted) & set(names):
            raise ScenarioError.at(
                path, f"column '{wanted[0]}' is missing; got the columns {', '.join(names)}"
            )
    for name in names:
        if name not in known:
            raise ScenarioError.at(path, f"unknown column {shown(name)}{did_you_mean(name, known)}")
        if names.count(name) > 1 or f"{name}_s" in names:
            raise ScenarioError.at(
                path,
                f"got the column {shown(name)} twice, with a unit or without; expected it once",
            )


def _of_row(path: str, number: int, row: Mapping[str, Any]) -> Fault:
    """Return the fault of one row. Raises ScenarioError if the row is malformed."""
    at = f"{path}, row {number}"
    what, where = row["what"], row["where"]
    if what not in FAULT_KINDS:
        raise ScenarioError.at(at, f"got what {shown(what)}{did_you_mean(str(what), FAULT_KINDS)}")
    if not isinstance(where, str) or not where.strip():
        raise ScenarioError.at(at, f"got where {shown(where)}; expected a node, such as b200/0")
    fault = Fault(
        at_s=_seconds(at, row, "at", 0.0),
        lasts_s=_seconds(at, row, "lasts", 0.0, default=inf),
        what=what,
        where=where.strip(),
        notice_s=_seconds(at, row, "notice", 0.0, default=0.0),
        factor=_number(at, "factor", row.get("factor") or 0.0),
    )
    if fault.lasts_s <= 0.0:
        raise ScenarioError.at(at, f"got lasts {fault.lasts_s:g} s; expected more than 0 s")
    if fault.notice_s and what != "spot_reclaim":
        raise ScenarioError.at(
            at, f"got notice {fault.notice_s:g} s of {what}; expected a notice of spot_reclaim only"
        )
    if (what == "link_degraded") != (0.0 < fault.factor < 1.0):
        raise ScenarioError.at(
            at, f"got factor {fault.factor:g}; expected a share below 1 for link_degraded only"
        )
    return fault


def _seconds(
    at: str, row: Mapping[str, Any], key: str, least: float, default: float | None = None
) -> float:
    """Return the time in a row [s], from the column with numbers or that with units."""
    value, text = row.get(f"{key}_s"), row.get(key)
    if value is None and text not in (None, ""):
        try:
            value = parse(str(text), "s")
        except ValueError as fault:
            raise ScenarioError.at(
                at, f"{key}: {fault}; expected a time such as '5 min'"
            ) from fault
    if value is None and default is not None:
        return default
    seconds = _number(at, key, value)
    if seconds < least or not isfinite(seconds):
        remedy = ", or an empty value where there is no repair" if key == "lasts" else ""
        raise ScenarioError.at(
            at, f"got {key} {seconds:g} s; expected a time from {least:g} s on{remedy}"
        )
    return seconds


def _number(at: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ScenarioError.at(at, f"got {key} {shown(value)}; expected a number")
    return float(value)


class _Begun(NamedTuple):
    """Row of an events table that a later row completes."""

    at_s: float
    value: float


def _of_events(rows: list[dict[str, Any]]) -> Iterator[Fault]:
    """Yield the faults in the rows of an events table.

    The value of a fault is its repair time, and 0 if it is not repaired. The value of a degraded
    link is its factor, and the row `repaired` gives its end. A spot reclaim has two rows.
    """
    notices: dict[str, _Begun] = {}
    ends: dict[str, list[float]] = {}
    for row in rows:
        if row["what"] == "repaired" and row["where"]:
            ends.setdefault(row["where"], []).append(row["at_s"])
    for row in rows:
        what, where, at_s, value = row["what"], row["where"], row["at_s"], row["value"]
        if where is None:
            continue
        if what == "spot_notice":
            notices[where] = _Begun(at_s, value)
        elif what == "link_degraded":
            end_s = min((end for end in ends.get(where, []) if end > at_s), default=inf)
            yield Fault(at_s, end_s - at_s, what, where, factor=value)
        elif what in FAULT_KINDS:
            notice = notices.pop(where, None) if what == "spot_reclaim" else None
            notice_s = 0.0 if notice is None else notice.value
            if notice is not None and abs(notice.at_s + notice_s - at_s) > _SLACK_S:
                notice_s = 0.0
            begin_s = at_s if not notice_s or notice is None else notice.at_s
            yield Fault(begin_s, value or inf, cast(FaultKind, what), where, notice_s=notice_s)
    for where, notice in notices.items():  # the run ended before the loss
        yield Fault(notice.at_s, inf, "spot_reclaim", where, notice_s=notice.value)
