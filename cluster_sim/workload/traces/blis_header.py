"""Header file in YAML of a TraceV2 table of BLIS (inference-sim), see `blis.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.schema import read_yaml
from cluster_sim.workload.traces.source import TraceSource

_HEADERS = (".yaml", ".yml")


class BlisHeader(NamedTuple):
    """Facts about the rows that the header gives."""

    warm_up: int
    """Number of requests at the beginning that are warm-up."""
    adds: bool
    """Whether rows hold only the new tokens of a turn."""
    is_simulated: bool = False
    """Whether a simulator wrote the rows, and not a client of a server."""


def blis_header(source: TraceSource) -> BlisHeader:
    """Return the header of a table.

    Raises ScenarioError if the header has an unknown value.
    """
    path = Path(source.path)
    candidates = [path.with_name(path.name.split(".csv")[0] + suffix) for suffix in _HEADERS]
    header_path = next((each for each in candidates if each.is_file()), None)
    if header_path is None:
        source.tally.note(
            f"the table has no header file {candidates[0].name}: times are read as microseconds, and no request as warm-up"
        )
        return BlisHeader(0, adds=False)
    values: Mapping[str, Any] = read_yaml(header_path).data
    unit, version = values.get("time_unit", "microseconds"), values.get("trace_version")
    growth, warm_up = (
        values.get("session_context_growth") or "",
        values.get("warm_up_requests") or 0,
    )
    checks = {
        "time_unit": (unit, unit in ("microseconds", "us"), "microseconds"),
        "trace_version": (version, version in (2, 3), "2 or 3"),
        "session_context_growth": (growth, growth in ("", "accumulate"), "accumulate, or none"),
        "warm_up_requests": (
            warm_up,
            type(warm_up) is int and warm_up >= 0,
            "a whole number of requests",
        ),
    }
    for key, (value, is_known, expected) in checks.items():
        if not is_known:
            raise ScenarioError.at(
                f"{header_path}", f"{key}: got {shown(str(value))}; expected {expected}"
            )
    is_simulated = values.get("mode") in ("generated", "replayed")
    return BlisHeader(warm_up, adds=growth == "accumulate", is_simulated=is_simulated)
