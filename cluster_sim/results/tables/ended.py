"""Input of the tables of devices and temperatures, when a run has ended."""

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
    """Time of each shutdown by heat, by number of the replica [s]."""
    simulated_s: float
