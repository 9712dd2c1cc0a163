"""Run folders: scenario.yaml, one Parquet file per table, summary.json and manifest.json."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from cluster_sim.deployment.setup_key import profile_name
from cluster_sim.errors import ScenarioError, SummaryError, cannot_write, visible
from cluster_sim.results.earlier_folder import WITHOUT, is_of_a_run, keep_others, manifest_in
from cluster_sim.results.metrics.verdict import objectives, shared_percentile
from cluster_sim.results.run_data import TABLES, TABLES_WITH_ROWS, RunData
from cluster_sim.whole_files import TEMPORARY, bring_back, whole_folder

RUN_FORMAT = 1
"""Version of the format of run folders; manifest.json of the first version does not give it."""


class SavedRun(NamedTuple):
    """Run that is saved."""

    run: RunData
    summarise: Callable[[], Mapping[str, Any]]
    """Function that returns the fields of summary.json."""


def write_run(saved: SavedRun, folder: Path, without: Mapping[str, SavedRun] | None = None) -> Path:
    """Write a run folder, whole or not at all, and return its path.

    An existing run folder is replaced. The tables are written before the summary is computed. If
    the summary fails, the folder has no summary.json, and its manifest.json gives the reason.

    Parameters
    ----------
    saved
        Run that is saved.
    folder
        Path of the run folder.
    without
        Runs without a mechanism by name, each of which becomes a run folder below the folder
        `without`. Default: the run was not attributed.

    Raises
    ------
    ScenarioError
        Another kind of folder exists at the path.
    OutputError
        The folder cannot be written, as on a full disk; an existing folder stays unchanged.
    SummaryError
        The summary cannot be computed; everything else is written.
    """
    check_place(folder)
    try:
        with whole_folder(folder) as making:
            if folder.is_dir():
                keep_others(folder, making)
            failure = _write_files(saved, making, without)
            for name, each in (without or {}).items():
                failure = _write_files(each, making / WITHOUT / name) or failure
    except OSError as fault:
        raise cannot_write(folder, fault) from fault
    if isinstance(failure, Exception):
        raise SummaryError(
            f"{folder}: all tables are saved, but the summary failed: {_text(failure)}"
        ) from failure
    if failure is not None:  # Ctrl-C; the command then prints the note
        failure.add_note(f"saved: {folder}, without its summary")
        raise failure
    return folder


def _write_files(
    saved: SavedRun, folder: Path, without: Mapping[str, SavedRun] | None = None
) -> BaseException | None:
    """Write the files of a run into a folder; return the failure of its summary, if any."""
    folder.mkdir(parents=True, exist_ok=True)
    scenario = saved.run.scenario.as_yaml()
    _write_tables(saved.run, scenario, folder)
    facts = _identity(saved.run, scenario)
    if without is not None:
        facts |= {"without": list(without)}
    return _write_summary(saved, facts, folder)


def check_place(folder: Path) -> None:
    """Check before a run that its folder can be written; an earlier run folder may exist there.

    Raises
    ------
    ScenarioError
        Another kind of folder exists at the path, or the path cannot be written to.
    """
    try:
        bring_back(folder)
        if folder.is_dir():
            is_in_the_way = any(folder.iterdir()) and not is_of_a_run(folder)
        else:
            is_in_the_way = folder.exists()
        if is_in_the_way:
            raise ScenarioError.at(
                str(folder), "already exists and is not a run folder; choose another --out"
            )
        if inside := sorted(path.parent.name for path in folder.glob("*/manifest.json")):
            raise ScenarioError.at(
                str(folder),
                f"holds other run folders ({', '.join(inside[:3])}), which would be lost; choose another --out",
            )
        parents = Path(os.path.realpath(folder)).parents
        parent = next(parent for parent in parents if os.path.lexists(parent))
        os.rmdir(tempfile.mkdtemp(prefix=TEMPORARY, dir=parent))
    except OSError as fault:
        raise cannot_write(folder, fault) from fault


def earlier_run(run: RunData, folder: Path) -> str | None:
    """Return which other run stands in a folder, in words; None unless saving would replace one.

    A run of the same scenario with the same seed is the same run; its runs without each mechanism
    are named, since they are replaced too.

    Parameters
    ----------
    run
        Run that is to be saved.
    folder
        Folder to which it is to be saved.
    """
    manifest = manifest_in(folder)
    if not manifest:
        return None
    names = manifest.get("without") or ()
    if not names and has_same_run(run, folder):
        return None
    written_s = (folder / "manifest.json").stat().st_mtime
    when = datetime.fromtimestamp(written_s).strftime("%Y-%m-%d %H:%M")
    name, seed = (visible(str(manifest.get(key))) for key in ("name", "seed"))
    others = f", with its runs without {', '.join(visible(str(each)) for each in names)}"
    return f"{name}, seed {seed}, {when}{others if names else ''}"


def has_same_run(run: RunData, folder: Path, *, is_attributed: bool = False) -> bool:
    """Return whether a run of the same scenario with the same seed stands in a folder.

    Parameters
    ----------
    run
        Run that is to be saved.
    folder
        Folder to which it is to be saved.
    is_attributed
        Whether its runs without each mechanism must stand there too.
    """
    manifest = manifest_in(folder)
    identity = _identity(run, run.scenario.as_yaml())
    is_same = bool(manifest) and all(manifest.get(key) == identity[key] for key in identity)
    return is_same and ("without" in manifest or not is_attributed)


def _identity(run: RunData, scenario: str) -> dict[str, Any]:
    """Return the fields of manifest.json that are equal if runs have the same results.

    `scenario` is the text of the run's scenario.
    """
    return {
        "seed": run.scenario.seed,
        "scenario_sha256": hashlib.sha256(scenario.encode()).hexdigest(),
    }


def _write_tables(run: RunData, scenario: str, folder: Path) -> None:
    """Write the text of the scenario and the tables of a run into an empty folder."""
    (folder / "scenario.yaml").write_text(scenario, encoding="utf-8")
    for name in _saved(run):
        pq.write_table(getattr(run, name), folder / f"{name}.parquet", compression="zstd")


def _saved(run: RunData) -> list[str]:
    """Return the names of the tables that a run folder has."""
    return [*TABLES, *(name for name in TABLES_WITH_ROWS if getattr(run, name).num_rows)]


def _write_summary(saved: SavedRun, facts: Mapping[str, Any], folder: Path) -> BaseException | None:
    """Write the summary and the manifest of a run; return the failure of the summary, if any.

    `facts` are the fields of manifest.json that the tables do not give.
    """
    failure: BaseException | None = None
    summary: Mapping[str, Any] | None = None
    try:
        summary = saved.summarise()
    except BaseException as error:
        failure = error
    if summary is not None:
        _write_json(folder / "summary.json", summary)
    _write_json(folder / "manifest.json", _manifest(saved.run, facts, failure))
    return failure


def _manifest(
    run: RunData, facts: Mapping[str, Any], failure: BaseException | None
) -> dict[str, Any]:
    """Return the fields of manifest.json; `failure` is the reason for a missing summary."""
    packages = ("simpy", "numpy", "networkx", "pyarrow")
    wanted = objectives(run.scenario)
    return {
        "name": run.scenario.title,
        "format": RUN_FORMAT,
        **facts,
        "engines": {
            pool.name: profile_name(pool.replica.engine) for pool in run.scenario.cluster.pools
        },
        **({"slo_percentile": shared_percentile(wanted)} if wanted else {}),
        "versions": {
            "cluster-sim": package_version("cluster-sim"),
            "python": platform.python_version(),
        }
        | {package: package_version(package) for package in packages},
        **run.info.manifest(),
        "rows": {name: getattr(run, name).num_rows for name in _saved(run)},
        **({} if failure is None else {"summary_failed": _text(failure)}),
    }


def _text(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}".removesuffix(": ")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def package_version(package: str) -> str:
    """Return the version of an installed package, or `unknown`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
