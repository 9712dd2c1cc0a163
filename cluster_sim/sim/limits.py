"""Limits of a run: wall time and memory after which it stops early and keeps its results."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from cluster_sim.results.recorder import Recorder

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class RunLimits:
    """Limits of one run. A run that exceeds a limit stops early; its tables are kept.

    Examples
    --------
    >>> RunLimits(time_s=600.0, memory_bytes=8e9).time_s
    600.0
    """

    time_s: float = inf
    """Maximum wall time of the simulation, without preparation and tables [s]."""
    memory_bytes: float = inf
    """Maximum memory of the process during the simulation [B]. The tables that are built afterwards
    take up to the same amount again."""
    hopeless: Callable[[float, Recorder], str | None] | None = field(default=None, repr=False)
    """Function that is called after every thousand events with the simulated time [s] and the rows
    recorded so far, and returns the reason why the run need not continue; None if it must."""


NO_LIMITS = RunLimits()


def memory_in_use_bytes() -> float:
    """Return the memory of this process [B].

    On Linux it is the present amount; on other systems it is the maximum so far, or 0 if the system
    does not report it.
    """
    if _STATM.is_file():
        return float(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most) if sys.platform == "darwin" else most * 1024.0
