"""A benchmark's figures, by whichever client they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster_sim.results.run_folder import package_version

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Benchmark:
    """What one file of a client says, in the client's own names, meanings and units."""

    client: str
    """vllm or aiperf."""
    name: str
    """What the file calls the run."""
    values: Mapping[str, float]
    """By name; of AIPerf's distributions `metric.statistic`."""


def at(time_s: float) -> datetime:
    """Simulated time as a client's clock would show it: it begins with 1970, so that the same run
    gives the same file.
    """
    return _BEGINNING + timedelta(seconds=time_s)


def nanoseconds(time_s: float) -> int:
    """The same as clients count it."""
    return round(1e9 * time_s)


def writer() -> str:
    """Who has written a file, in place of the client's version."""
    return f"cluster-sim {package_version('cluster-sim')}"


def number(value: Any) -> float | None:
    """A figure of a file as a number; None for what is none, NaN included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return None
    return float(value)
