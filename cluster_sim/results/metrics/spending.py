"""Money spent on a run, warm-up and drain included."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.economics import ownership as money
from cluster_sim.results.cost import INTERVAL, Parts, usd_per_hour
from cluster_sim.results.metrics.families.power import mean_power_w, usd_per_kwh_of
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.typing import Array


class Answered(NamedTuple):
    """Finished requests, warm-up included."""

    prompt_tokens: int
    cached_tokens: int
    """Number of prompt tokens that hit the prefix cache."""
    output_tokens: int
    requests: int


class _Busy(NamedTuple):
    """Time in which the replicas of a pool run engine steps."""

    prefill_s: float
    """Part of the busy time spent on prefill [s]; a step that also decodes is split by tokens."""
    all_s: float


class Spending(NamedTuple):
    """Cost per hour [USD/h], at the prices as written and at the ends of their interval."""

    parts: Parts
    usd_per_hour: float
    p5_usd_per_hour: float
    p95_usd_per_hour: float
    hours: float

    @property
    def usd(self) -> float:
        """Cost of the whole run [USD]."""
        return self.hours * self.usd_per_hour


def _parts_by_pool(whole: Selection) -> dict[str, Parts] | None:
    """Return the cost per hour of each pool [USD/h], by name; None if a pool has no prices.

    It is the mean over the run, in which nodes cost money while they are on. A pool whose devices
    have no power model is charged for its rated power.
    """
    site, states = whole.run.scenario.site, whole.states
    parts = {
        name: usd_per_hour(
            pool.deployments[0].pool,
            site,
            pool.machines.once(mean_power_w),
            states.mean_nodes_on(pool.deployments[0]),
            pool.machines.once(usd_per_kwh_of),
        )
        for name, pool in whole.by_pool.items()
    }
    priced = {name: part for name, part in parts.items() if part is not None}
    return None if len(priced) < len(parts) or not _hours(whole) else priced


def _hours(selection: Selection) -> float:
    """Return the length of the run [h]."""
    return selection.run.info.simulated_s / 3600.0


def spending_of(selection: Selection) -> Spending | None:
    """Return the cost of the selected pools per hour, or None if a pool has no prices."""
    if (priced := selection.whole.once(_parts_by_pool)) is None:
        return None
    selected = [priced[deployment.name] for deployment in selection.deployments]
    parts = {
        name: np.sum([part[name] for part in selected if name in part], axis=0)
        for name in dict.fromkeys(name for part in selected for name in part)
    }
    hourly = money.total(parts)
    low, high = np.percentile(hourly[1:], INTERVAL).tolist()
    return Spending(parts, float(hourly[0]), low, high, _hours(selection))


def answered_of(selection: Selection) -> Answered:
    """Return the selected requests that finished."""
    table = selection.run.requests
    of_pool: Array = table["status"].to_numpy() == "finished"
    if selection.pool is not None:
        of_pool = of_pool & (table["pool"].to_numpy() == selection.pool)
    prompts, cached, outputs = (
        int(np.sum(table[name].to_numpy()[of_pool]))
        for name in ("prompt_tokens", "prefix_hit_tokens", "output_tokens")
    )
    return Answered(prompts, cached, outputs, int(np.sum(of_pool)))


def _busy(whole: Selection) -> dict[str, _Busy]:
    """Return the busy time of each pool, by name."""
    table = whole.run.stretches
    replica, began_s, ended_s, prompts, growth = (
        table[name].to_numpy()
        for name in ("replica", "began_s", "ended_s", "prompt_tokens", "growth")
    )
    length_s, tokens = ended_s - began_s, prompts + growth
    prefill = np.divide(prompts, tokens, out=np.zeros(len(tokens)), where=tokens > 0)
    busy = {}
    for name in whole.by_pool:
        of_pool = np.isin(replica, whole.run.fleet.numbers(name))
        busy[name] = _Busy(
            float(np.sum((prefill * length_s)[of_pool])), float(np.sum(length_s[of_pool]))
        )
    return busy


def input_usd_of(whole: Selection) -> float | None:
    """Return the part of the run's cost that is attributed to input tokens [USD].

    The cost of a pool, idle time included, is split between input and output tokens in proportion
    to its busy time in prefill and decode. A pool that was never busy uses the split of the other
    pools.
    """
    priced, answered = whole.once(_parts_by_pool), whole.once(answered_of)
    busy = whole.once(_busy)
    prefill_s, all_s = (sum(part) for part in zip(*busy.values(), strict=True))
    if priced is None or not (answered.prompt_tokens and answered.output_tokens and all_s):
        return None
    hours = _hours(whole)
    return sum(
        float(money.total(part)[0])
        * hours
        * (busy[name].prefill_s / busy[name].all_s if busy[name].all_s else prefill_s / all_s)
        for name, part in priced.items()
    )
