"""Arithmetic that rules deployments out without a simulation.

Each rule errs on the side of a deployment. Requests that meet their objectives are finished at a
known time after the last arrival; a deployment is ruled out if it cannot have finished so many by
then, at 1.5 times its highest rate by arithmetic. The time per output token of a request is never
shorter than that of a request alone with an empty context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

from cluster_sim.analysis.demand import Demand
from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.pool_arithmetic import PoolArithmetic
from cluster_sim.deployment.fleet import resolve
from cluster_sim.hardware.operating_point import FULL_SPEED
from cluster_sim.physics.step_work import StepWork
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.planning.rounds import is_fixed

RATE_MARGIN = 1.5
"""Factor on the highest rate by arithmetic, which holds for mean lengths."""
TIME_MARGIN = 1.2
"""Factor by which the time per output token of a request alone must exceed the limit."""
_ALONE = StepWork(batch=1, context=1, windowed=1, sampled=1)


class Ruling(NamedTuple):
    """Arithmetic that rules a deployment out."""

    kind: Literal["rate", "tpot"]
    """Quantity that cannot be met: the rate at which requests must finish, or the limit on TPOT."""
    reached: float
    """Highest rate [1/s], or time per output token of a request alone [s]."""
    asked: float
    """Rate at which requests must finish [1/s], or limit on TPOT [s]."""


@dataclass(frozen=True)
class Bounds:
    """Rules for deployments that see the same traffic."""

    wanted: Sequence[Objective]
    """Objectives of the SLO."""
    demand: Demand
    """Requests of the traffic."""
    has_classes: bool
    """Whether classes have objectives of their own; no rule applies then."""
    is_fixed: bool
    """Whether arrivals do not depend on answers."""
    warmup_s: float
    """Time before which requests do not count [s]."""

    @classmethod
    def of(cls, scenario: Scenario, wanted: Sequence[Objective], demand: Demand) -> Bounds:
        """Return the rules for the deployments of a scenario."""
        has_classes = bool(scenario.workload.classes)
        return cls(wanted, demand, has_classes, is_fixed(scenario), scenario.warmup_s)

    def ruled_out(self, scenario: Scenario) -> Ruling | None:
        """Return why a deployment cannot meet the SLO; None if it may."""
        if self.has_classes:
            return None
        limits_s = [each.limit_s for each in self.wanted if each.latency == "tpot"]
        if limits_s and (alone_s := _least_token_s(scenario)) > TIME_MARGIN * min(limits_s):
            return Ruling("tpot", alone_s, min(limits_s))
        needed_per_s = self._needed_per_s
        if needed_per_s and needed_per_s > RATE_MARGIN * (able_per_s := highest_per_s(scenario)):
            return Ruling("rate", able_per_s, needed_per_s)
        return None

    @property
    def _needed_per_s(self) -> float:
        """Rate at which requests must finish for the SLO to be met [1/s]; 0 if no rule applies.

        The SLO limits when requests finish if it limits E2EL, or both TTFT and TPOT. A prefix cache
        may save an unknown part of the work, so traffic with shared prefixes has no rule.
        """
        demand, limits = self.demand, {each.latency: each for each in self.wanted}
        counted = demand.arrival_s >= self.warmup_s
        if not self.is_fixed or demand.pieces is not None or not counted.any():
            return 0.0
        if "e2el" in limits:
            share, after_s = limits["e2el"].percentile / 100.0, limits["e2el"].limit_s
        elif {"ttft", "tpot"} <= limits.keys():
            ttft, tpot = limits["ttft"], limits["tpot"]
            share = (ttft.percentile + tpot.percentile) / 100.0 - 1.0
            after_s = ttft.limit_s + tpot.limit_s * float(demand.output_tokens.max())
        else:
            return 0.0
        end_s = float(demand.arrival_s[-1]) + after_s
        return max(share, 0.0) * int(counted.sum()) / (end_s - self.warmup_s)


def _least_token_s(scenario: Scenario) -> float:
    """Return the shortest time per output token of any request [s]; drafts accept at most all."""
    least_s = inf
    for each in resolve(scenario).deployments:
        plan = each.pool.replica
        if plan.role != "prefill":
            tokens = 1 if plan.speculation is None else 1 + plan.speculation.draft_tokens
            least_s = min(least_s, each.times_at(FULL_SPEED).ramp(_ALONE).first_s / tokens)
    return least_s


def highest_per_s(scenario: Scenario) -> float:
    """Return the highest rate by arithmetic [1/s]; pools apart carry what the slower phase does."""
    pools: Sequence[PoolArithmetic] = explain(scenario)
    by_role = {
        role: sum(pool.requests_per_s for pool in pools if pool.role == role)
        for role in {pool.role for pool in pools}
    }
    both = by_role.pop("both", 0.0)
    return both + min(by_role.values(), default=0.0)


def sentences(rulings: Sequence[Ruling]) -> dict[str, int]:
    """Return the number of deployments that are ruled out, by reason with the best of them.

    >>> sentences([Ruling("rate", 2.0, 9.0), Ruling("rate", 4.0, 9.0)])
    {'carry at most 4 requests/s by arithmetic; the SLO needs 9': 2}
    """
    rates = [each for each in rulings if each.kind == "rate"]
    tpots = [each for each in rulings if each.kind == "tpot"]
    found = {}
    if rates:
        most = max(rates, key=lambda each: each.reached)
        found[
            f"carry at most {_rounded(most.reached)} requests/s by arithmetic; the SLO needs {_rounded(most.asked)}"
        ] = len(rates)
    if tpots:
        least = min(tpots, key=lambda each: each.reached)
        found[
            f"take at least {1e3 * least.reached:,.3g} ms per output token for a request alone; the limit is {1e3 * least.asked:,.3g} ms"
        ] = len(tpots)
    return found


def _rounded(value: float) -> str:
    """Return a number with three digits, or all digits before the point.

    >>> _rounded(1234.5), _rounded(12.345)
    ('1,234', '12.3')
    """
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:.3g}"
