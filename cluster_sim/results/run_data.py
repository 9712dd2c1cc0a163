"""RunData: what happened in one run, as tables, with the scenario that it happened in."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.results.run_info import RunInfo
from cluster_sim.results.tables.events import transfers_table
from cluster_sim.scenario.scenario import Scenario

TABLES = ("requests", "stretches", "devices", "links", "events", "transfers", "thermal")
"""Names of the tables of a run folder; results/columns.py describes their columns."""
LATER_TABLES = frozenset({"transfers", "thermal"})
"""Tables that run folders of earlier versions lack."""


@dataclass(frozen=True)
class RunData:
    """Scenario, tables and facts of one run; everything else is computed from them."""

    scenario: Scenario
    requests: pa.Table
    """Requests, one row each; times [s] as seen at the front door."""
    stretches: pa.Table
    """Stretches of like engine steps, with FLOP, bytes and joules of all devices of the replica."""
    devices: pa.Table
    """Devices that hold a replica, one row each: totals over the run."""
    links: pa.Table
    """Links, one row each: totals over the run."""
    events: pa.Table
    """Rejections, preemptions, resumptions, KV transfers that arrived, shutdowns, retries and
    failures."""
    info: RunInfo
    """Facts of the run that no table holds."""
    transfers: pa.Table = field(default_factory=lambda: transfers_table(()))
    """Transfers between replicas that have ended, one row each."""
    thermal: pa.Table = field(default_factory=lambda: pa.table({}))
    """Temperatures, power and clocks of devices over time in bins, where the site's inlet is
    known."""

    @property
    def fleet(self) -> Fleet:
        """Deployments of the scenario and the table of their replicas."""
        return resolve(self.scenario)
