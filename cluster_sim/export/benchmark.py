"""A benchmark's figures, whichever client measured them, and what all clients' files share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cluster_sim.results.run_folder import package_version

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Benchmark:
    """The figures of one file of a client, in the client's own names, meanings and units."""

    client: str
    """Client: vllm or aiperf."""
    name: str
    """Name that the file gives the run."""
    values: Mapping[str, float]
    """Figures by name; those of AIPerf's distributions are called `metric.statistic`."""


class ClientFile(NamedTuple):
    """A file as a client would have written it."""

    name: str
    """Name of the file."""
    text: Iterable[str]
    """Text of the file, in pieces."""


def at(time_s: float) -> datetime:
    """Return simulated time as a client's clock would show it.

    The clock begins with 1970, so that the same run gives the same file.
    """
    return _BEGINNING + timedelta(seconds=time_s)


def nanoseconds(time_s: float) -> int:
    """Return a time in whole nanoseconds, as clients count it."""
    return round(1e9 * time_s)


def writer() -> str:
    """Return who has written a file, in place of the client's version."""
    return f"cluster-sim {package_version('cluster-sim')}"


def number(value: Any) -> float | None:
    """Return a figure of a file as a number; None for what is none, NaN included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return None
    return float(value)
