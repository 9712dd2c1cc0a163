"""Beginning of a file, by which its format is recognised."""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import line_guard
from cluster_sim.workload.traces.documents import parsed, read_document, starts_as_array
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.headings import heading_of
from cluster_sim.workload.traces.parquet_files import is_parquet, parquet_names
from cluster_sim.workload.traces.source import Beginning

_FIRST_VALUE = 1_000_000
"""Number of characters that are read first to find the first value of a JSON array."""
_BEFORE_FIRST = re.compile(r"\[\s*")


def beginning(path: str) -> Beginning:
    """Return the beginning of a file.

    Raises ScenarioError if the file cannot be read, or is empty.
    """
    if is_parquet(path):
        return Beginning("parquet", parquet_names(path), path=path)
    if starts_as_array(path):
        first_value = _first_of_array(path)
        if first_value is None:
            raise ScenarioError.at(path, "is empty; expected an array of requests")
        return _of_json(first_value, path)
    first = _first_line(path)
    if first is None:
        return _of_json(read_document(path), path)
    if not first:
        raise ScenarioError.at(path, "is empty; expected a trace with a heading and rows")
    if not first.lstrip().startswith("{"):
        return Beginning("table", heading_of(path).names, path=path)
    try:
        return _of_json(parsed(first), path)
    except (ValueError, RecursionError):
        return _of_json(read_document(path), path)


def _first_of_array(path: str) -> Any:
    """Return the first value of a JSON array; None for an empty array.

    Raises ScenarioError if the file has to be read as a whole and is not JSON.
    """
    with opened(path, has_lines=False) as text:
        start = text.read(_FIRST_VALUE)
    try:
        opening = _BEFORE_FIRST.search(start)
        return JSONDecoder().raw_decode(start, opening.end() if opening else 0)[0]
    except (ValueError, RecursionError):  # The value is longer, or is not JSON.
        values = read_document(path)
        return values[0] if values else None


def _first_line(path: str) -> str | None:
    """Return the first line that is not blank; None for a JSON object above the maximum length.

    Raises ScenarioError for any other line that is too long.
    """
    with opened(path, has_lines=False) as text:
        while (first := text.readline(line_guard.MAX_LINE_BYTES)) and not first.strip():
            pass
    if len(first) < line_guard.MAX_LINE_BYTES:
        return first
    if first.lstrip().startswith("{"):
        return None
    with opened(path) as text:
        return next(iter(text))


def _of_json(value: Any, path: str) -> Beginning:
    return Beginning("json", tuple(value) if isinstance(value, dict) else (), value, path)
