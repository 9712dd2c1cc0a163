"""What tables of devices and temperatures are computed from, when a run has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from cluster_sim.deployment.fleet import Fleet


class Ended(NamedTuple):
    """A run that has ended, and its stretches."""

    fleet: Fleet
    stretches: pa.Table
    down_s: Mapping[int, float]
    """Time at which each replica that heat shut down was lost, by number [s]."""
    simulated_s: float
