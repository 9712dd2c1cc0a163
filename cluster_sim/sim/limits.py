"""Limits of a run: wall time and memory after which it ends early, with what it has."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from math import inf
from pathlib import Path

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class RunLimits:
    """Limits of one run. A run that exceeds one ends early; its tables hold what happened so far.

    Examples
    --------
    >>> RunLimits(time_s=600.0, memory_bytes=8e9).time_s
    600.0
    """

    time_s: float = inf
    """Wall time for which simulated time may pass [s]."""
    memory_bytes: float = inf
    """Memory that the whole process holds while simulated time passes [B]. The tables that are made
    of it afterwards take up to as much again."""


NO_LIMITS = RunLimits()


def memory_in_use_bytes() -> float:
    """Return the memory that this process holds [B].

    Linux says what it holds now; elsewhere it is the most that it has held so far, and 0 where the
    system does not say.
    """
    if _STATM.is_file():
        return float(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most) if sys.platform == "darwin" else most * 1024.0
