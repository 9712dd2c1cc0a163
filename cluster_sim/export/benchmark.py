"""Figures of a benchmark of any client, and helpers for the files of all clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cluster_sim.export.setup import Setup
from cluster_sim.results.run_folder import package_version

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Benchmark:
    """Figures of one file of a client, with the client's names, definitions and units."""

    client: str
    """Name of the client: vllm or aiperf."""
    name: str
    """Name of the run in the file."""
    values: Mapping[str, float]
    """Figures by name; figures of AIPerf's distributions are named `metric.statistic`."""
    setup: Setup = field(default_factory=Setup)
    """Set-up of the benchmark, as far as the file gives it."""


class ClientFile(NamedTuple):
    """File in the format of a client."""

    name: str
    """Name of the file."""
    text: Iterable[str]
    """Text of the file, in pieces."""


def at(time_s: float) -> datetime:
    """Return the time of a client's clock at a simulated time [s].

    The clock starts at 1970, so that a run always gives the same file.
    """
    return _BEGINNING + timedelta(seconds=time_s)


def nanoseconds(time_s: float) -> int:
    """Return a time [s] in whole nanoseconds [ns]."""
    return round(1e9 * time_s)


def writer() -> str:
    """Return the name and version of this program, in place of the client's version."""
    return f"cluster-sim {package_version('cluster-sim')}"


def number(value: Any) -> float | None:
    """Return a value of a file as a number; None for NaN and for a value that is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return None
    return float(value)
