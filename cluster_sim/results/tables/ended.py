"""Input of the tables of devices and temperatures, when a run has ended."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.results.states import States


class Ended(NamedTuple):
    """A run that has ended, and its stretches."""

    fleet: Fleet
    stretches: pa.Table
    states: States
    """States of the replicas over the run."""
    simulated_s: float
