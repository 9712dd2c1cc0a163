"""A folder that a sweep fills: safe against ends at any moment, and against other sweeps in it.

    points/KEY.json   one simulated point each, written whole or not at all, never simulated again
    plans/NAME.json   which points a sweep has, with the values of its axes
    runs/KEY/         run folders, where the sweep keeps them
    sweep.parquet     one row per point of every plan, made from the above

Times that depend on the machine stay in points/, so that the table is the same however often a
sweep was stopped on its way. A point or plan that is empty, cut or of something else is renamed to
NAME.damaged: a point is then simulated again, a plan is written again by its own sweep.
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
"""Outcome of a point: status (done or failed), reason, summary and wall_s."""
Plan = Mapping[str, Any]
"""Plan of a sweep: its name, its rows, and the scenario as it was written."""
Row = Mapping[str, Any]
"""Row of a plan: key of the point, and its columns."""
Warned = Callable[[str], None]
"""Listener that is given a sentence about a file that was set aside."""

_KEY = re.compile(r"[0-9a-f]{32}")


class SweepFolder:
    """Folder of a sweep; made where there is none.

    Its methods raise ScenarioError where the folder cannot be written to, as on a full disk; it is
    then as it was before.
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
        """Folder of run folders."""
        return self.path / "runs"

    def plan_path(self, name: str) -> Path:
        """Return the file of a sweep's plan."""
        return self.path / "plans" / f"{name}.json"

    def record(self, key: str) -> Record | None:
        """Return what is known of a point; None where it must be simulated."""
        if key not in self._known:
            path = self.path / "points" / f"{key}.json"
            record = self._read(path, lambda content: _fault_of_record(content, key))
            if record is not None:
                self._known[key] = record
        return self._known.get(key)

    def add(self, key: str, record: Record) -> None:
        """Keep the outcome of a point."""
        kept = {**record, "key": key}
        with self._writing():
            write_whole(self.path / "points" / f"{key}.json", json.dumps(kept).encode())
        self._known[key] = kept

    def plan(self, name: str) -> Plan | None:
        """Return the plan that a sweep had when it was last started; None where there is none."""
        return self._read(self.plan_path(name), _fault_of_plan)

    def keep_plan(self, name: str, plan: Plan) -> None:
        """Keep the plan of a sweep, in place of the one that it had when it was last started."""
        with self._writing():
            write_whole(self.plan_path(name), json.dumps(plan).encode())

    def publish(self) -> pa.Table:
        """Write the table anew, from all points of all plans that are there by now; return it."""
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
        """Return the JSON object in a file; None where there is none, or where it was set aside.

        `fault_of` says what is wrong with the content; nothing where nothing is.
        """
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            fault = "is a folder"
        except (ValueError, RecursionError):
            fault = "is empty, cut or damaged"
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
        """Rename a file that is not what it should be, and tell of it."""
        names = (f"{path.name}.damaged{number if number > 1 else ''}" for number in count(1))
        aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
        with self._writing(), suppress(FileNotFoundError):  # another sweep may have been quicker
            os.replace(path, aside)
        again = "is simulated again" if path.parent.name == "points" else "is left out"
        self.warned(f"{path}: {fault}; it is kept as {aside.name}, and {again}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise cannot_write(self.path, fault, "; points that were done are kept") from fault


def _fault_of_record(content: Any, key: str) -> str:
    """Return why this is no outcome of the point with this key; nothing where it is."""
    if not (
        isinstance(content, dict)
        and content.get("status") in ("done", "failed")
        and isinstance(content.get("reason"), str)
        and isinstance(content.get("summary"), dict)
        and bool(content["summary"]) == (content["status"] == "done")
    ):
        return "is no outcome of a point"
    try:
        flat(content["summary"])
        _check_plain(content)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return "is no outcome of a point"
    if content["status"] == "failed" and not content["reason"]:
        return "is no outcome of a point"
    return "" if content.get("key", key) == key else f"belongs to the point {content['key']}"


def _fault_of_plan(content: Any) -> str:
    """Return why this is no plan of a sweep; nothing where it is one."""
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
    return "" if is_plan else "is no plan of a sweep"


def _check_plain(content: Any) -> None:
    """Raise ValueError or OverflowError where a table cannot hold what a JSON file says.

    Such are NaN, numbers beyond 64 bits and half surrogates.
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
    """Keep other processes that ask out; the lock goes with the process, however it ends."""
    with open(path, "a") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except ImportError:  # no POSIX system: the last to write wins, and a table is whole anyway
            pass
        yield


def flat(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary's fields that depend on the scenario alone, those of classes beside them.

    Pools are left to run folders. Objectives that are missed are in words.
    """
    fields = {
        key: missed_text(value) if key == "slo_missed" else value
        for key, value in summary.items()
        if not isinstance(value, dict) and key not in ("name", "wall_s")
    }
    for name, of_class in summary.get("classes", {}).items():
        fields |= {f"classes.{name}.{key}": value for key, value in flat(of_class).items()}
    return fields


def table(rows: Iterable[Row]) -> pa.Table:
    """Return rows as an Arrow table with all of their columns, in the order they come up in.

    What a row lacks is null.
    """
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def write_table(rows: pa.Table, path: Path) -> None:
    """Write a table as a Parquet file. Raises ScenarioError where it cannot be written."""
    try:
        with whole_file(path) as making:
            pq.write_table(rows, making, compression="zstd")
    except OSError as fault:
        raise cannot_write(path, fault) from fault


def _column(values: list[Any]) -> pa.Array:
    """Return values as a column: numbers where all are numbers, else text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_text(value) for value in values])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else json.dumps(value)
