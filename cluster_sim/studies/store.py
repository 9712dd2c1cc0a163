"""A folder that a sweep fills: safe against ends at any moment, and against other sweeps in it.

    points/KEY.json   one simulated point each, written whole or not at all, never simulated again
    plans/NAME.json   which points a sweep has, with the values of its axes
    runs/KEY/         run folders, where the sweep keeps them
    sweep.parquet     one row per point of every plan, made from the above

Times that depend on the machine stay in points/, so that the table is the same however often a
sweep was stopped on its way.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError
from cluster_sim.results.metrics.verdict_text import missed_text

TABLE = "sweep.parquet"

Record = Mapping[str, Any]
"""Outcome of a point: status (done or failed), reason, summary and wall_s."""
Row = Mapping[str, Any]
"""Row of a plan: key of the point, and its columns."""


class SweepFolder:
    """Folder of a sweep; made where there is none.

    Its methods raise ScenarioError where the folder cannot be written to, as on a full disk; it is
    then as it was before.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._known: dict[str, Record] = {}
        with self._writing():
            for name in ("points", "plans"):
                (self.path / name).mkdir(parents=True, exist_ok=True)

    @property
    def runs(self) -> Path:
        """Folder of run folders."""
        return self.path / "runs"

    def record(self, key: str) -> Record | None:
        """Return what is known of a point; None where it must be simulated."""
        if key not in self._known:
            with suppress(FileNotFoundError):
                self._known[key] = json.loads((self.path / "points" / f"{key}.json").read_bytes())
        return self._known.get(key)

    def add(self, key: str, record: Record) -> None:
        """Keep the outcome of a point."""
        self._write(self.path / "points" / f"{key}.json", json.dumps(record).encode())
        self._known[key] = record

    def plan(self, name: str, rows: Iterable[Row]) -> None:
        """Keep which points a sweep has, in place of those it had when it was last started."""
        self._write(
            self.path / "plans" / f"{name}.json",
            json.dumps({"name": name, "rows": list(rows)}).encode(),
        )

    def publish(self) -> pa.Table:
        """Write the table anew, from all points of all plans that are there by now; return it."""
        with self._writing(), _locked(self.path / ".lock"):
            points = table(self._rows())
            buffer = pa.BufferOutputStream()
            pq.write_table(points, buffer, compression="zstd")
            self._write(self.path / TABLE, buffer.getvalue())
            return points

    def _rows(self) -> Iterator[dict[str, Any]]:
        for path in sorted((self.path / "plans").glob("*.json")):
            plan = json.loads(path.read_bytes())
            for row in plan["rows"]:
                if (record := self.record(row["key"])) is not None:
                    columns = {
                        "sweep": plan["name"],
                        **row["columns"],
                        "status": record["status"],
                        "reason": record["reason"],
                        "key": row["key"],
                    }
                    yield columns | flat(record["summary"])

    def _write(self, path: Path, data: bytes | pa.Buffer) -> None:
        """Write a file whole or not at all: under another name first."""
        with self._writing():
            handle, making = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.chmod(making, 0o644)
                os.replace(making, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(making)
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise ScenarioError.at(
                str(self.path),
                f"cannot be written: {fault.strerror}; points that were done are kept",
            ) from fault


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
        pq.write_table(rows, path, compression="zstd")
    except OSError as fault:
        raise ScenarioError.at(
            str(path), f"cannot be written: {fault.strerror or fault}"
        ) from fault


def _column(values: list[Any]) -> pa.Array:
    """Return values as a column: numbers where all are numbers, else text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_text(value) for value in values])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else json.dumps(value)
