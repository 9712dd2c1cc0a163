"""Reading of run folders: files are checked first; folders of earlier versions may lack tables."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster_sim.errors import Fault, ScenarioError, shown
from cluster_sim.results.earlier_folder import RunFolderWarning
from cluster_sim.results.run_data import LATER_TABLES, TABLES, TABLES_WITH_ROWS, RunData
from cluster_sim.results.run_folder import RUN_FORMAT
from cluster_sim.results.run_info import RunInfo
from cluster_sim.results.table_files import read_table
from cluster_sim.scenario.renamed_keys import NEW_NAMES
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import (
    RenamedKeyWarning,
    describe,
    parse_yaml,
    read_text,
    with_new_names,
)
from cluster_sim.whole_files import bring_back


def read_run(folder: Path) -> RunData:
    """Return the run in a run folder.

    Parameters
    ----------
    folder
        Path of the run folder.

    Raises
    ------
    ScenarioError
        The folder is not a run folder, or files are missing or damaged; the message names each.
    """
    scenario, manifest = about_run(folder)
    info = RunInfo.from_manifest(manifest, str(folder / "manifest.json"))
    tables: dict[str, pa.Table] = {}
    faults: list[Fault] = []
    for name in (*TABLES, *TABLES_WITH_ROWS):
        path = folder / f"{name}.parquet"
        if path.exists() or name not in LATER_TABLES:
            try:
                tables[name] = read_table(name, path)
                _check_rows(name, path, tables[name], manifest)
            except ScenarioError as error:
                faults += error.faults
    if faults:
        raise ScenarioError(faults)
    return RunData(scenario, **tables, info=info)


def _check_rows(name: str, path: Path, table: pa.Table, manifest: dict[str, Any]) -> None:
    """Raise ScenarioError if a table does not have the number of rows that were saved."""
    rows = manifest.get("rows")
    saved = rows.get(name) if isinstance(rows, dict) else None
    if saved is not None and saved != table.num_rows:
        raise ScenarioError.at(
            str(path),
            f"is damaged: got {table.num_rows:,} rows; expected {shown(saved)} as in manifest.json",
        )


def about_run(folder: Path) -> tuple[Scenario, dict[str, Any]]:
    """Return the scenario of a run folder and its manifest, without its tables.

    Parameters
    ----------
    folder
        Path of the run folder.

    Raises
    ------
    ScenarioError
        The folder is not a run folder, a later version wrote it, or its scenario cannot be read.
    """
    if not is_run_folder(folder):
        raise ScenarioError.at(str(folder), _why_no_run(folder))
    manifest = read_json(folder / "manifest.json")
    _check_format(folder / "manifest.json", manifest)
    path = folder / "scenario.yaml"
    text = read_text(path)
    is_edited = _is_edited(text, manifest)
    if is_edited:
        warnings.warn(
            f"{path}: was edited after the run (its SHA-256 differs from that in manifest.json); the tables belong to the original scenario",
            RunFolderWarning,
            stacklevel=2,
        )
    try:
        document = with_new_names(parse_yaml(text, str(path)), NEW_NAMES, is_quiet=True)
        with warnings.catch_warnings():  # the program has written the old names itself
            warnings.simplefilter("ignore", RenamedKeyWarning)
            return describe(Scenario, document), manifest
    except ScenarioError as error:
        if is_edited:
            raise
        reason = "was written by another version, and this version cannot read its scenario; its tables are plain Parquet files"
        raise ScenarioError([Fault(str(folder), reason), *error.faults]) from error


def _why_no_run(folder: Path) -> str:
    """Return why there is no run at a path, and what to name in its place."""
    expected = "expected a folder that `cluster-sim run` has written, such as "
    try:
        inside = sorted(path.parent for path in folder.glob("*/manifest.json"))
        expected += str(inside[0]) if inside else "runs/NAME/VARIANT"
        if folder.is_dir():
            return f"is not a run folder: it has no manifest.json; {expected}"
        return f"is a file; {expected}" if folder.exists() else f"no such folder; {expected}"
    except (OSError, ValueError):  # a name that is too long, or contains NUL
        return f"no such folder; {expected}"


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder holds a run; a run that a killed process moved aside counts too."""
    try:
        bring_back(folder)
        return (folder / "manifest.json").is_file()
    except (OSError, ValueError):  # a name that is too long or empty
        return False


def _check_format(path: Path, manifest: dict[str, Any]) -> None:
    """Raise ScenarioError if a run folder has a format that this version does not know."""
    form = manifest.get("format", 0)
    if not isinstance(form, int) or isinstance(form, bool):
        raise ScenarioError.at(str(path), f"format: got {form!r}; expected a whole number")
    if form > RUN_FORMAT:
        raise ScenarioError.at(
            str(path),
            f"a later version of cluster-sim wrote it, in format {form}; this version reads formats up to {RUN_FORMAT}",
        )


def _is_edited(text: str, manifest: dict[str, Any]) -> bool:
    """Return whether scenario.yaml was changed since the run was saved."""
    known = manifest.get("scenario_sha256")
    return known is not None and known != hashlib.sha256(text.encode()).hexdigest()


def summary_totals(folder: Path) -> dict[str, float]:
    """Return the numbers in a run's summary.json; empty if its summary failed."""
    path = folder / "summary.json"
    if not path.exists() and "summary_failed" in read_json(folder / "manifest.json"):
        return {}
    return {
        name: value
        for name, value in read_json(path).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a run folder.

    Raises
    ------
    ScenarioError
        The file is missing, truncated, or does not hold a JSON object.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as fault:
        if isinstance(fault, ScenarioError):
            raise
        raise ScenarioError.at(str(path), f"is damaged: {fault}") from fault
    if not isinstance(content, dict):
        raise ScenarioError.at(str(path), "is damaged: it does not hold a JSON object")
    return content
