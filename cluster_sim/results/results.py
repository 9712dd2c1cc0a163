"""What happened, as tables, with the scenario that it happened in; written to and read from run
folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import describe, parse_yaml, read_text

TABLES = ("requests", "stretches", "devices", "links", "events", "transfers", "thermal")
LATER_TABLES = {"transfers", "thermal"}
"""Those that run folders of earlier versions lack."""

# One row a stretch of like engine steps: the i-th lasts first_s + i·slope_s. Counts are of its
# first step, see
# physics/transformer.py; growth: tokens that a step adds to the context; `counted` of `batch` are
# outside the warm-up; kv_tokens, running and waiting are as it began.
# clock, memory_share, link_share: the pace at which the devices ran, see hardware.Pace; bus_s,
# link_s: by how much longer it all
# took because others used its memories, and the links of its collectives.
# Beside them stand flop, bytes and energy_j of all devices of the replica and, of wafers,
# station_occupancy: the share of the stretch
# in which the slowest station works.
STRETCH_COLUMNS = (
    "replica", "began_s", "first_s", "slope_s", "steps", "batch", "counted", "prompt_tokens", "sampled", "context", "growth",
    "windowed", "growing", "pairs", "windowed_pairs", "kv_tokens", "running", "waiting", "clock", "memory_share", "link_share",
    "bus_s", "link_s",
)  # fmt: skip
# One row a transfer that has ended: of what kind, between which replicas, for which request, -1 for
# several; alone_s: what it would have taken with
# nobody else about. It began when the first of its bytes could be sent, and ended when the last had
# left; latency comes after that.
TRANSFER_COLUMNS = (
    "kind",
    "from_replica",
    "to_replica",
    "request",
    "bytes",
    "began_s",
    "ended_s",
    "alone_s",
)
# preempted: value is the tokens answered so far; resumed: the gap between two tokens that a
# preemption or a hand-over tore [s];
# handed_over: its KV has come to this replica, so long after its first token [s]; rejected: tokens
# it would take, and beside it
# `reason`: too_long for every replica, all_down, or the admission policy that refused it; shutdown:
# of a replica, at this temperature
# [degC]; retried, failed: the replica that had it was shut down, and it was answered so many
# tokens: it goes on elsewhere, or nowhere.
EVENT_COLUMNS = ("at_s", "what", "replica", "request", "value")  # as recorded


def transfers_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows of TRANSFER_COLUMNS as a table."""
    columns = list(zip(*rows, strict=True)) or [()] * len(TRANSFER_COLUMNS)
    types = (pa.string(), pa.int32(), pa.int32(), pa.int64(), *[pa.float64()] * 4)
    return pa.table(
        {
            name: pa.array(column, kind)
            for name, column, kind in zip(TRANSFER_COLUMNS, columns, types, strict=True)
        }
    )


@dataclass(frozen=True)
class Results:
    """The tables of one run.

    requests: one row each, times [s] as seen at the front door; stretches: runs of like engine
    steps, with FLOP, bytes and joules of all devices of the replica; devices and links: totals over
    the run; events: rejections, preemptions, resumptions, hand-overs, shutdowns, retries, failures;
    transfers: what was moved between replicas; thermal: temperatures, power and clock of devices
    over time, in bins, where the site's inlet is known.
    """

    scenario: Scenario
    requests: pa.Table
    stretches: pa.Table
    devices: pa.Table
    links: pa.Table
    events: pa.Table
    info: dict[str, Any] = field(default_factory=dict)
    """simulated_s, wall_s, events: how long the run was and what it took; notes: what of a trace
    was left out; sessions: how many have ended; question: what the scenario's file asks."""
    transfers: pa.Table = field(default_factory=lambda: transfers_table(()))
    thermal: pa.Table = field(default_factory=lambda: pa.table({}))

    def summary(self) -> dict[str, Any]:
        """The fields of summary.json."""
        return dict(self._summary)

    @cached_property
    def _summary(self) -> dict[str, Any]:
        from cluster_sim.results.summary import summary

        return summary(self)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from cluster_sim.results.notebook import results_html

        return results_html(self)

    def save(self, folder: str | Path) -> Path:
        """Write the run folder, whole or not at all, in place of one that is there. Returns its
        path.

        Raises ScenarioError where it cannot be written, or where a folder that is no run folder is
        in the way.
        """
        folder = Path(folder)
        if (
            folder.exists()
            and not (folder / "manifest.json").is_file()
            and any(folder.iterdir() if folder.is_dir() else [folder])
        ):
            raise ScenarioError.at(
                str(folder), "is there already and is no run folder; wanted another --out"
            )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                self._write(making)
                making.chmod(0o755)
                if folder.exists():
                    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
                    os.rename(folder, old / "run")
                    os.rename(making, folder)
                    shutil.rmtree(old)
                else:
                    os.rename(making, folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
        except OSError as fault:
            raise ScenarioError.at(str(folder), f"cannot be written: {fault.strerror}") from fault
        return folder

    def _write(self, folder: Path) -> None:
        text = self.scenario.as_yaml()
        (folder / "scenario.yaml").write_text(text, encoding="utf-8")
        for name in TABLES:
            pq.write_table(getattr(self, name), folder / f"{name}.parquet", compression="zstd")
        (folder / "summary.json").write_text(
            json.dumps(self.summary(), indent=2) + "\n", encoding="utf-8"
        )
        manifest = {
            "name": self.scenario.title,
            "seed": self.scenario.seed,
            "scenario_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "versions": {
                "cluster-sim": package_version("cluster-sim"),
                "python": platform.python_version(),
            }
            | {
                package: package_version(package)
                for package in ("simpy", "numpy", "networkx", "pyarrow")
            },
            **self.info,
        }
        (folder / "manifest.json").write_text(
            json.dumps(manifest, indent=2) + "\n", encoding="utf-8"
        )


def load_results(folder: str | Path) -> Results:
    """The results in a run folder. Raises ScenarioError where it is none."""
    folder = Path(folder)
    scenario, about = about_run(folder)
    try:
        tables = {
            name: pq.read_table(path)
            for name in TABLES
            if (path := folder / f"{name}.parquet").is_file() or name not in LATER_TABLES
        }
    except (OSError, pa.ArrowInvalid) as fault:
        raise ScenarioError.at(str(folder), f"is no whole run folder: {fault}") from fault
    info: dict[str, Any] = {
        key: about[key]
        for key in ("simulated_s", "wall_s", "events", "notes", "sessions", "question")
        if key in about
    }
    return Results(scenario, **tables, info=info)


def load_runs(folder: str | Path) -> list[Results]:
    """Return the run in a folder, or the runs in the folders inside it.

    Raises
    ------
    ScenarioError
        There is no run folder, or part of one.
    """
    folder = Path(folder)
    if (folder / "manifest.json").is_file():
        return [load_results(folder)]
    inside = sorted(path.parent for path in folder.glob("*/manifest.json"))
    return [load_results(path) for path in inside or [folder]]


def about_run(folder: Path) -> tuple[Scenario, dict[str, Any]]:
    """The scenario of a run folder and its manifest, without its tables. Raises ScenarioError where
    it is none.
    """
    if not (folder / "manifest.json").is_file():
        raise ScenarioError.at(str(folder), "is no run folder (no manifest.json in it)")
    scenario_file = folder / "scenario.yaml"
    return describe(Scenario, parse_yaml(read_text(scenario_file), str(scenario_file))), read_json(
        folder / "manifest.json"
    )


def read_json(path: Path) -> dict[str, Any]:
    """An object that a run folder holds. Raises ScenarioError where the file is not whole."""
    try:
        found: dict[str, Any] = json.loads(read_text(path))
    except json.JSONDecodeError as fault:
        raise ScenarioError.at(str(path.parent), f"is no whole run folder: {fault}") from fault
    return found


def package_version(package: str) -> str:
    """The version that is installed; unknown where none is."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
