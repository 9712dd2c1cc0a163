"""Run folders: scenario.yaml, one Parquet file per table, summary.json and manifest.json."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError
from cluster_sim.results.metrics.verdict import objectives, shared_percentile
from cluster_sim.results.run_data import LATER_TABLES, TABLES, RunData
from cluster_sim.results.run_info import RunInfo
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import describe, parse_yaml, read_text


def write_run(run: RunData, summary: Mapping[str, Any], folder: Path) -> Path:
    """Write a run folder, whole or not at all, in place of one that exists; return its path.

    Raises
    ------
    ScenarioError
        The folder cannot be written, or a folder that is no run folder is in the way.
    """
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
            _write_files(run, summary, making)
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


def _write_files(run: RunData, summary: Mapping[str, Any], folder: Path) -> None:
    """Write the files of a run folder into an empty folder."""
    text = run.scenario.as_yaml()
    (folder / "scenario.yaml").write_text(text, encoding="utf-8")
    for name in TABLES:
        pq.write_table(getattr(run, name), folder / f"{name}.parquet", compression="zstd")
    _write_json(folder / "summary.json", summary)
    manifest = {
        "name": run.scenario.title,
        "seed": run.scenario.seed,
        "scenario_sha256": hashlib.sha256(text.encode()).hexdigest(),
        **_judged_at(run.scenario),
        "versions": {
            "cluster-sim": package_version("cluster-sim"),
            "python": platform.python_version(),
        }
        | {
            package: package_version(package)
            for package in ("simpy", "numpy", "networkx", "pyarrow")
        },
        **run.info.manifest(),
    }
    _write_json(folder / "manifest.json", manifest)


def _judged_at(scenario: Scenario) -> dict[str, Any]:
    """Return the percentile that the run is judged at; nothing where it has no objectives."""
    wanted = objectives(scenario)
    return {"slo_percentile": shared_percentile(wanted)} if wanted else {}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_run(folder: Path) -> RunData:
    """Return the run in a run folder. Raises ScenarioError where there is none, or part of one."""
    scenario, manifest = about_run(folder)
    try:
        tables = {
            name: pq.read_table(path)
            for name in TABLES
            if (path := folder / f"{name}.parquet").is_file() or name not in LATER_TABLES
        }
    except (OSError, pa.ArrowInvalid) as fault:
        raise ScenarioError.at(str(folder), f"is no whole run folder: {fault}") from fault
    info = RunInfo.from_manifest(manifest, str(folder / "manifest.json"))
    return RunData(scenario, **tables, info=info)


def about_run(folder: Path) -> tuple[Scenario, dict[str, Any]]:
    """Return the scenario of a run folder and its manifest, without its tables.

    Raises
    ------
    ScenarioError
        There is no run folder.
    """
    if not (folder / "manifest.json").is_file():
        raise ScenarioError.at(str(folder), "is no run folder (no manifest.json in it)")
    scenario_file = folder / "scenario.yaml"
    scenario = describe(Scenario, parse_yaml(read_text(scenario_file), str(scenario_file)))
    return scenario, read_json(folder / "manifest.json")


def read_json(path: Path) -> dict[str, Any]:
    """Return an object of a run folder. Raises ScenarioError where the file is not whole."""
    try:
        content: dict[str, Any] = json.loads(read_text(path))
    except json.JSONDecodeError as fault:
        raise ScenarioError.at(str(path.parent), f"is no whole run folder: {fault}") from fault
    return content


def package_version(package: str) -> str:
    """Return the version of a package that is installed, or `unknown`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
