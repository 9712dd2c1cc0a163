"""Arithmetic that rules out deployments without a simulation.

Each rule errs on the side of a deployment. The rates of `explain` are highest rates under a constant
queue; a deployment is ruled out only if it cannot carry the mean rate with a margin. The time per
output token of a request is never shorter than that of a request alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.offered_rate import offered_per_s
from cluster_sim.analysis.pool_arithmetic import PoolArithmetic
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.scenario.scenario import Scenario

RATE_MARGIN = 1.5
"""Factor by which the mean rate must exceed the highest rate by arithmetic."""
TIME_MARGIN = 1.2
"""Factor by which the time per output token of a request alone must exceed the limit."""


class Ruling(NamedTuple):
    """Arithmetic that rules a deployment out."""

    kind: Literal["rate", "tpot"]
    """Quantity that cannot be met: the mean rate of the traffic, or the limit on TPOT."""
    reached: float
    """Rate that the deployment carries [1/s], or time per output token of a request alone [s]."""
    asked: float
    """Mean rate of the traffic [1/s], or limit on TPOT [s]."""


def ruled_out(scenario: Scenario, wanted: Sequence[Objective]) -> Ruling | None:
    """Return why a deployment cannot meet the SLO; None if it may.

    Parameters
    ----------
    scenario
        Scenario of the deployment.
    wanted
        Objectives of its SLO.
    """
    pools = explain(scenario)
    able_per_s, asked_per_s = _highest_per_s(pools), offered_per_s(scenario)
    if asked_per_s is not None and asked_per_s > RATE_MARGIN * able_per_s:
        return Ruling("rate", able_per_s, asked_per_s)
    alone_s = min((_token_s(pool, scenario) for pool in pools if pool.role != "prefill"), default=0)
    limits_s = [each.limit_s for each in wanted if each.latency == "tpot"]
    if limits_s and not scenario.workload.classes and alone_s > TIME_MARGIN * min(limits_s):
        return Ruling("tpot", alone_s, min(limits_s))
    return None


def sentences(rulings: Sequence[Ruling]) -> dict[str, int]:
    """Return the number of deployments that are ruled out, by reason with the best of them.

    >>> sentences([Ruling("rate", 2.0, 9.0), Ruling("rate", 4.0, 9.0)])
    {'carry at most 4 requests/s by arithmetic; the traffic has 9': 2}
    """
    rates = [each for each in rulings if each.kind == "rate"]
    tpots = [each for each in rulings if each.kind == "tpot"]
    found = {}
    if rates:
        most = max(rates, key=lambda each: each.reached)
        found[
            f"carry at most {_rounded(most.reached)} requests/s by arithmetic; the traffic has {_rounded(most.asked)}"
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


def _highest_per_s(pools: Sequence[PoolArithmetic]) -> float:
    """Return the highest rate of a cluster [1/s]: pools apart carry what the slower phase does."""
    by_role = {
        role: sum(pool.requests_per_s for pool in pools if pool.role == role)
        for role in {pool.role for pool in pools}
    }
    both = by_role.pop("both", 0.0)
    return both + min(by_role.values(), default=0.0)


def _token_s(pool: PoolArithmetic, scenario: Scenario) -> float:
    """Return the time per output token of a request alone [s]; drafts accept at most all tokens."""
    plan = next(each for each in scenario.cluster.pools if each.name == pool.name).replica
    tokens = 1 if plan.speculation is None else 1 + plan.speculation.draft_tokens
    return pool.step_at_1_s / tokens
