"""RunData: the tables of one run, with its scenario."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.results.run_info import RunInfo
from cluster_sim.results.tables.events import states_table, transfers_table
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.typing import Array

TABLES = (
    "requests",
    "stretches",
    "devices",
    "links",
    "events",
    "transfers",
    "thermal",
    "states",
    "attempts",
)
"""Names of the tables of every run folder; results/columns.py describes their columns."""
TABLES_WITH_ROWS = ("clocks",)
"""Names of tables that a run folder has only if they have rows."""
LATER_TABLES = frozenset({"transfers", "thermal", "states", "attempts", *TABLES_WITH_ROWS})
"""Tables that run folders of earlier versions do not have."""


@dataclass(frozen=True)
class RunData:
    """Scenario, tables and facts of one run; everything else is computed from them."""

    scenario: Scenario
    requests: pa.Table
    """Requests, one row per request; times [s] are those at the front door. If clients make several
    attempts, the times are those that the client sees."""
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
    attempts: pa.Table = field(default_factory=lambda: pa.table({}))
    """Attempts of clients, one row per attempt; empty if every client makes a single attempt."""
    clocks: pa.Table = field(default_factory=lambda: pa.table({}))
    """Changes of clock locks, one row per change; empty if no clock is locked."""

    @property
    def served(self) -> pa.Table:
        """Requests as the cluster sees them: attempts if clients make several, else requests.

        A row's place is the number by which events and transfers refer to it.
        """
        return self.attempts if self.attempts.num_rows else self.requests

    @property
    def served_numbers(self) -> Array:
        """Number in `served`, events and transfers of the attempt that each request shows."""
        has_attempts = self.attempts.num_rows > 0
        numbers: Array = self.requests["shown_attempt" if has_attempts else "request"].to_numpy()
        return numbers

    @property
    def fleet(self) -> Fleet:
        """Deployments of the scenario and the table of their replicas."""
        return resolve(self.scenario)
