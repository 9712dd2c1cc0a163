"""RunData: the tables of one run, with its scenario."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.results.run_info import RunInfo
from cluster_sim.results.tables.events import states_table, transfers_table
from cluster_sim.scenario.scenario import Scenario

TABLES = ("requests", "stretches", "devices", "links", "events", "transfers", "thermal", "states")
"""Names of the tables of a run folder; results/columns.py describes their columns."""
LATER_TABLES = frozenset({"transfers", "thermal", "states"})
"""Tables that run folders of earlier versions do not have."""


@dataclass(frozen=True)
class RunData:
    """Scenario, tables and facts of one run; everything else is computed from them."""

    scenario: Scenario
    requests: pa.Table
    """Requests, one row per request; times [s] are those at the front door."""
    stretches: pa.Table
    """Stretches: runs of consecutive engine steps with the same batch, with FLOP, bytes and energy
    [J] of all devices of the replica."""
    devices: pa.Table
    """Devices that hold a replica, one row per device: totals over the run."""
    links: pa.Table
    """Links, one row per link: totals over the run."""
    events: pa.Table
    """Rejections, preemptions, resumptions, KV transfers that arrived, shutdowns, retries and
    failures."""
    info: RunInfo
    """Facts of the run that are not in a table."""
    transfers: pa.Table = field(default_factory=lambda: transfers_table(()))
    """Transfers between replicas that have ended, one row per transfer."""
    thermal: pa.Table = field(default_factory=lambda: pa.table({}))
    """Temperatures, power and clocks of devices over time, in bins; empty if the site's inlet
    temperature is not given."""

    states: pa.Table = field(default_factory=lambda: states_table(()))
    """Changes of the states of replicas, one row per change; empty if every replica is ready during
    the whole run."""

    @property
    def fleet(self) -> Fleet:
        """Deployments of the scenario and the table of their replicas."""
        return resolve(self.scenario)
