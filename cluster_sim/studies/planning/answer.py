"""Result of a plan: the winner, the runners-up, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Wanted
from cluster_sim.studies.capacity_answer import beats
from cluster_sim.studies.planning.trial import Trial

if TYPE_CHECKING:
    import pyarrow as pa


SHOWN = 5
"""Number of deployments per variant that are printed, and whose scenarios are written."""


@dataclass(frozen=True, eq=False)
class Deployed:
    """A deployment that was simulated."""

    values: Mapping[str, Any]
    """Values of what varies, by key."""
    scenario: Scenario
    """Scenario of the deployment."""
    trial: Trial
    """Longest trial of the deployment."""
    usd_per_hour: float | None
    """Cost with every node at its rated power [USD/h], the mean over the run if a pool is scaled;
    None if a pool has no prices."""
    value: float
    """Quantity that the plan minimises: USD per hour, nodes, power [W], or the negative goodput."""

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
    def simulated(self) -> tuple[Deployed, ...]:
        """Deployments that were simulated, those in full first, best first."""
        return (*self.ranked, *self.others)

    @property
    def nearest(self) -> Deployed | None:
        """Deployment that comes nearest to the SLO."""
        if self.ranked:
            return self.ranked[0]
        return min(
            self.simulated,
            key=lambda each: (-each.trial.figures.get("slo_attainment", 0.0), each.trial.ratio),
            default=None,
        )


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
        return min(found, key=lambda each: each.value, default=None)

    def shown(self, chosen: Chosen) -> list[Deployed]:
        """Return the deployments of a variant to print: the winner, its front, and the next best."""
        front = self.front
        first = [each for each in chosen.ranked if each is chosen.winner or each in front]
        rest = [each for each in chosen.simulated if each not in first]
        return [*first, *rest][:SHOWN]

    @cached_property
    def front(self) -> list[Deployed]:
        """Pareto front: deployments that meet the SLO in full, and that none beats.

        One beats another if neither its value nor a latency is worse, and one of them is better.
        """
        good = [
            (each, (each.value, *each.trial.latencies_s.values()))
            for chosen in self.chosen
            for each in chosen.ranked
            if each.trial.is_met
        ]
        return [
            each for each, figures in good if not any(beats(others, figures) for _, others in good)
        ]

    @property
    def table(self) -> pa.Table:
        """Table with one row per simulated deployment; `answer` and `front` mark rows."""
        from cluster_sim.studies.store import table

        front = self.front
        return table(
            {
                **({} if chosen.variant is None else {"variant": chosen.variant}),
                **each.values,
                "nodes": sum(pool.nodes for pool in each.scenario.cluster.pools),
                "simulated": each.trial.share,
                **{f"{name}_s": value for name, value in each.trial.latencies_s.items()},
                **{f"{name}_margin": 1.0 - value for name, value in each.trial.ratios.items()},
                "usd_per_hour": each.usd_per_hour,
                **each.trial.figures,
                "optimised": self.wanted,
                "ended_early": each.trial.misses,
                "good": each.is_full and each.trial.is_met,
                "answer": each is chosen.winner,
                "front": each in front,
                "status": "failed" if each.trial.fault else "done",
                "reason": each.trial.fault,
            }
            for chosen in self.chosen
            for each in chosen.simulated
        )
