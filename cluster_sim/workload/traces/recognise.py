"""What a file begins with, which is how its format is known."""

from __future__ import annotations

from typing import Any

from orjson import loads

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.csv_rows import heading_of
from cluster_sim.workload.traces.documents import read_document, starts_as_array
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.parquet_files import is_parquet, parquet_names
from cluster_sim.workload.traces.source import Beginning

_FIRST_LINE = 1_000_000
"""Number of characters within which the first object of JSON Lines is looked for at first."""


def beginning(path: str) -> Beginning:
    """Return what a file begins with.

    Raises ScenarioError where it cannot be read, or is empty.
    """
    if is_parquet(path):
        return Beginning("parquet", parquet_names(path), path=path)
    if starts_as_array(path):
        values = read_document(path)
        return _of_json(values[0] if values else None, path)
    with opened(path) as text:
        first = next((line for line in text if line.strip()), "")
    if not first:
        raise ScenarioError.at(path, "is empty; expected a trace with a heading and rows")
    if not first.lstrip().startswith("{"):
        return Beginning("table", heading_of(path).names, path=path)
    try:
        return _of_json(loads(first), path)
    except (ValueError, RecursionError):
        return _of_json(read_document(path), path)


def _of_json(value: Any, path: str) -> Beginning:
    return Beginning("json", tuple(value) if isinstance(value, dict) else (), value, path)
