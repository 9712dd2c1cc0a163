"""Folder of a sweep: safe against interruption at any moment, and against concurrent sweeps.

points/KEY.json   one simulated point per file, written whole or not at all, never repeated
plans/NAME.json   points of a sweep, with the values of its axes
runs/KEY/         run folders, if the sweep keeps them
sweep.parquet     one row per point of every plan, computed from the files above

Times that depend on the machine stay in points/, so the table does not depend on interruptions
of the sweep. A point or plan that is empty, truncated or has other content is renamed to
NAME.damaged. Such a point is simulated again, and such a plan is written again by its sweep.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError, cannot_write
from cluster_sim.results.metrics.verdict_text import missed_text
from cluster_sim.whole_files import whole_file, write_whole

TABLE = "sweep.parquet"

Record = Mapping[str, Any]
"""Outcome of a point: status (done or failed), reason, summary and wall_s [s]."""
Plan = Mapping[str, Any]
"""Plan of a sweep: its name, its rows, and the scenario as written."""
Row = Mapping[str, Any]
"""Row of a plan: the key of the point and its columns."""
Warned = Callable[[str], None]
"""Function that is called with a sentence about each damaged file that was renamed."""

_KEY = re.compile(r"[0-9a-f]{32}")


class SweepFolder:
    """Folder of a sweep, created if it does not exist.

    Methods raise ScenarioError if the folder cannot be written to, as on a full disk; the folder
    then stays unchanged.
    """

    def __init__(self, path: str | Path, warned: Warned) -> None:
        self.path = Path(path)
        self.warned = warned
        self._known: dict[str, Record] = {}
        with self._writing():
            for name in ("points", "plans"):
                (self.path / name).mkdir(parents=True, exist_ok=True)

    @property
    def runs(self) -> Path:
        """Path of the folder that holds run folders."""
        return self.path / "runs"

    @property
    def is_empty(self) -> bool:
        """Whether no point is stored."""
        return next((self.path / "points").glob("*.json"), None) is None

    def plan_path(self, name: str) -> Path:
        """Return the path of a sweep's plan."""
        return self.path / "plans" / f"{name}.json"

    def record(self, key: str) -> Record | None:
        """Return the stored outcome of a point; None if the point must be simulated."""
        if key not in self._known:
            path = self.path / "points" / f"{key}.json"
            record = self._read(path, lambda content: _fault_of_record(content, key))
            if record is not None:
                self._known[key] = record
        return self._known.get(key)

    def add(self, key: str, record: Record) -> None:
        """Store the outcome of a point."""
        kept = {**record, "key": key}
        with self._writing():
            write_whole(self.path / "points" / f"{key}.json", json.dumps(kept).encode())
        self._known[key] = kept

    def plan(self, name: str) -> Plan | None:
        """Return the plan of a sweep's last start; None if there is none."""
        return self._read(self.plan_path(name), _fault_of_plan)

    def keep_plan(self, name: str, plan: Plan) -> None:
        """Store the plan of a sweep; the plan of its last start is replaced."""
        with self._writing():
            write_whole(self.plan_path(name), json.dumps(plan).encode())

    def publish(self) -> pa.Table:
        """Write the table again, from all stored points of all plans, and return it."""
        with self._writing(), _locked(self.path / ".lock"):
            points = table(self._rows())
            with whole_file(self.path / TABLE) as making:
                pq.write_table(points, making, compression="zstd")
            return points

    def _rows(self) -> Iterator[dict[str, Any]]:
        for path in sorted((self.path / "plans").glob("*.json")):
            plan = self._read(path, _fault_of_plan)
            for row in plan["rows"] if plan is not None else ():
                if (record := self.record(row["key"])) is not None:
                    columns = {
                        "sweep": plan["name"],  # type: ignore[index]  # a plan with a row
                        **row["columns"],
                        "status": record["status"],
                        "reason": record["reason"],
                        "key": row["key"],
                    }
                    yield columns | flat(record["summary"])

    def _read(self, path: Path, fault_of: Callable[[Any], str]) -> Mapping[str, Any] | None:
        """Return the JSON object in a file; None if the file does not exist or was renamed.

        `fault_of` returns the fault of the content; an empty text if there is none.
        """
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            fault = "is a folder"
        except (ValueError, RecursionError):
            fault = "is empty, truncated or damaged"
        except OSError as error:
            raise ScenarioError.at(str(path), f"cannot be read: {error.strerror}") from error
        else:
            fault = fault_of(content)
            if not fault:
                known: Mapping[str, Any] = content
                return known
        self._set_aside(path, fault)
        return None

    def _set_aside(self, path: Path, fault: str) -> None:
        """Rename a damaged file and report it."""
        names = (f"{path.name}.damaged{number if number > 1 else ''}" for number in count(1))
        aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
        with self._writing(), suppress(FileNotFoundError):  # another sweep may be quicker
            os.replace(path, aside)
        again = "is simulated again" if path.parent.name == "points" else "is omitted"
        self.warned(f"{path}: {fault}; the file is kept as {aside.name}, and {again}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise cannot_write(self.path, fault, "; finished points are kept") from fault


def _fault_of_record(content: Any, key: str) -> str:
    """Return why this is not an outcome of the point with this key; an empty text if it is."""
    if not (
        isinstance(content, dict)
        and content.get("status") in ("done", "failed")
        and isinstance(content.get("reason"), str)
        and isinstance(content.get("summary"), dict)
        and bool(content["summary"]) == (content["status"] == "done")
    ):
        return "is not an outcome of a point"
    try:
        flat(content["summary"])
        _check_plain(content)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return "is not an outcome of a point"
    if content["status"] == "failed" and not content["reason"]:
        return "is not an outcome of a point"
    return "" if content.get("key", key) == key else f"belongs to the point {content['key']}"


def _fault_of_plan(content: Any) -> str:
    """Return why this is not a plan of a sweep; an empty text if it is."""
    is_plan = (
        isinstance(content, dict)
        and isinstance(content.get("name"), str)
        and isinstance(content.get("rows"), list)
        and all(
            isinstance(row, dict)
            and isinstance(row.get("columns"), dict)
            and isinstance(row.get("key"), str)
            and _KEY.fullmatch(row["key"])
            for row in content["rows"]
        )
    )
    try:
        _check_plain(content)
    except (ValueError, OverflowError):
        is_plan = False
    return "" if is_plan else "is not a plan of a sweep"


def _check_plain(content: Any) -> None:
    """Raise ValueError or OverflowError if a table cannot hold a value of a JSON file.

    Such values are NaN, numbers beyond 64 bits and lone surrogates.
    """
    json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, int) and abs(value) >= 1 << 63:
            raise OverflowError


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock against other processes; it is released when the process ends in any way."""
    with open(path, "a") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except ImportError:  # not a POSIX system: the last writer wins, and a table is still whole
            pass
        yield


def flat(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a summary that depend only on the scenario, with those of classes.

    Fields of pools are omitted; run folders have them. Missed objectives are given in words.

    Parameters
    ----------
    summary
        Fields of summary.json.
    """
    fields = {
        key: missed_text(value) if key == "slo_missed" else value
        for key, value in summary.items()
        if not isinstance(value, dict) and key not in ("name", "wall_s")
    }
    for name, margin in summary.get("slo_margins", {}).items():
        fields[f"slo_margins.{name}"] = margin
    for name, of_class in summary.get("classes", {}).items():
        fields |= {f"classes.{name}.{key}": value for key, value in flat(of_class).items()}
    return fields


def table(rows: Iterable[Row]) -> pa.Table:
    """Return rows as an Arrow table with the columns of all rows, in order of first appearance.

    A missing value is null.

    >>> table([{"rate": 1.0}, {"rate": 2.0, "status": "done"}]).to_pylist()
    [{'rate': 1.0, 'status': None}, {'rate': 2.0, 'status': 'done'}]
    """
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def write_table(rows: pa.Table, path: Path) -> None:
    """Write a table as a Parquet file.

    Raises
    ------
    ScenarioError
        The file cannot be written.
    """
    try:
        with whole_file(path) as making:
            pq.write_table(rows, making, compression="zstd")
    except OSError as fault:
        raise cannot_write(path, fault) from fault


def _column(values: list[Any]) -> pa.Array:
    """Return values as a column: numbers if all values are numbers, otherwise text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_text(value) for value in values])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else json.dumps(value)
