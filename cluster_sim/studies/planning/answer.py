"""Result of a plan: the winner, the runners-up, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Wanted
from cluster_sim.studies.planning.trial import Trial


@dataclass(frozen=True)
class Deployed:
    """A deployment that was simulated."""

    values: Mapping[str, Any]
    """Values of what varies, by key."""
    scenario: Scenario
    """Scenario of the deployment."""
    trial: Trial
    """Its longest trial."""
    usd_per_hour: float | None
    """Cost with every node at its rated power [USD/h]; None if a pool has no prices."""

    @property
    def is_full(self) -> bool:
        """Whether it was simulated with all of its traffic."""
        return self.trial.share >= 1.0


@dataclass(frozen=True)
class Chosen:
    """Answer for one variant of a file, or for a file without variants."""

    variant: str | None
    """Name of the variant; None for a file without variants."""
    ranked: tuple[Deployed, ...]
    """Deployments that were simulated in full, best first."""
    others: tuple[Deployed, ...]
    """Deployments of which only a part of the traffic was simulated, best first."""
    omitted: Mapping[str, int]
    """Number of deployments that were not simulated, by reason."""
    total: int
    """Number of all deployments."""
    spent: float
    """Simulated requests, in runs of full length."""
    is_exhausted: bool
    """Whether the budget ended the search."""

    @property
    def winner(self) -> Deployed | None:
        """Best deployment that meets the SLO; None if none does."""
        first = self.ranked[0] if self.ranked else None
        return first if first is not None and first.trial.is_met else None

    @property
    def nearest(self) -> Deployed | None:
        """Deployment that comes nearest to the SLO."""
        every = (*self.ranked, *self.others)
        return min(every, key=lambda each: each.trial.ratio, default=None)


@dataclass(frozen=True)
class PlanAnswer:
    """Answer of a plan."""

    name: str
    """Name of the scenario."""
    wanted: Wanted
    """Quantity that was optimised."""
    objectives: tuple[Objective, ...]
    """Objectives by which deployments are judged."""
    chosen: tuple[Chosen, ...]
    """Answers by variant."""

    @property
    def winner(self) -> Deployed | None:
        """Best deployment of all variants that meets the SLO; None if none does."""
        found = [each.winner for each in self.chosen if each.winner is not None]
        return min(found, key=self.value, default=None)

    def value(self, deployed: Deployed) -> float:
        """Return what the plan minimises: USD per hour, W, nodes, or the negative goodput."""
        if self.wanted == "usd_per_hour":
            return deployed.usd_per_hour or 0.0
        if self.wanted == "nodes":
            return float(sum(pool.nodes for pool in deployed.scenario.cluster.pools))
        if self.wanted == "power":
            return deployed.trial.figures.get("mean_power_w", inf)
        return -deployed.trial.figures.get("request_goodput", 0.0)
