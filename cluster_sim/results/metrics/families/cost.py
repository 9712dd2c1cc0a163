"""Cost of the whole run, warm-up and drain included, as its energy is.

Absent where a pool's nodes have no prices. Intervals come from the ranges of prices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cluster_sim.economics import ownership as money
from cluster_sim.results.cost import INTERVAL, Parts, usd_per_hour
from cluster_sim.results.metrics.families.power import mean_power_w
from cluster_sim.results.metrics.metric import MACHINES, Heading, Metric, Row, Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.typing import Array


class Answered(NamedTuple):
    """Finished requests, warm-up included."""

    prompt_tokens: int
    output_tokens: int
    requests: int


class Busy(NamedTuple):
    """Time in which the replicas of a pool run steps."""

    prefill_s: float
    """Part of it that goes to prefill; a step that also decodes is split by its tokens."""
    all_s: float


class Spending(NamedTuple):
    """Dollars per hour: the present prices, and the ends of their interval."""

    parts: Parts
    usd_per_hour: float
    p5_usd_per_hour: float
    p95_usd_per_hour: float
    hours: float

    @property
    def usd(self) -> float:
        """Dollars over the whole run."""
        return self.hours * self.usd_per_hour


def _priced(whole: Selection) -> dict[str, Parts] | None:
    """Return dollars per hour of each pool by its name; None where one has no prices.

    A pool whose devices do not say what they draw counts as drawing its rated power.
    """
    parts = {
        name: usd_per_hour(
            pool.deployments[0].pool, whole.run.scenario.site, pool.machines.once(mean_power_w)
        )
        for name, pool in whole.by_pool.items()
    }
    priced = {name: part for name, part in parts.items() if part is not None}
    return None if len(priced) < len(parts) or not _hours(whole) else priced


def _hours(selection: Selection) -> float:
    return selection.run.info.simulated_s / 3600.0


def _spending(selection: Selection) -> Spending | None:
    """Return what the selected pools cost per hour, or None where a pool has no prices."""
    if (priced := selection.whole.once(_priced)) is None:
        return None
    selected = [priced[deployment.name] for deployment in selection.deployments]
    parts = {
        name: np.sum([part[name] for part in selected if name in part], axis=0)
        for name in dict.fromkeys(name for part in selected for name in part)
    }
    hourly = money.total(parts)
    low, high = np.percentile(hourly[1:], INTERVAL).tolist()
    return Spending(parts, float(hourly[0]), low, high, _hours(selection))


def _answered(selection: Selection) -> Answered:
    table = selection.run.requests
    mine: Array = table["status"].to_numpy() == "finished"
    if selection.pool is not None:
        mine = mine & (table["pool"].to_numpy() == selection.pool)
    prompts, outputs = (
        int(np.sum(table[name].to_numpy()[mine])) for name in ("prompt_tokens", "output_tokens")
    )
    return Answered(prompts, outputs, int(np.sum(mine)))


def _per_hour(field: str) -> Callable[[Selection], float | None]:
    """Return a function that returns a field of the spending."""

    def compute(selection: Selection) -> float | None:
        spending = selection.once(_spending)
        return None if spending is None else float(getattr(spending, field))

    return compute


def _cost_usd(selection: Selection) -> float | None:
    spending = selection.once(_spending)
    return None if spending is None else spending.usd


def _usd_per_million_tokens(selection: Selection) -> float | None:
    spending, answered = selection.once(_spending), selection.once(_answered)
    if spending is None or not answered.output_tokens:
        return None
    return 1e6 * spending.usd / (answered.prompt_tokens + answered.output_tokens)


def _per_million_output_tokens(field: str) -> Callable[[Selection], float | None]:
    """Return a function that returns a field of the spending per million output tokens."""

    def compute(selection: Selection) -> float | None:
        spending, outputs = selection.once(_spending), selection.once(_answered).output_tokens
        if spending is None or not outputs:
            return None
        return float(1e6 * spending.hours * getattr(spending, field) / outputs)

    return compute


def _usd_per_hour_parts(selection: Selection) -> dict[str, float] | None:
    spending = selection.once(_spending)
    if spending is None:
        return None
    return {name: float(part[0]) for name, part in spending.parts.items()}


def _busy(whole: Selection) -> dict[str, Busy]:
    """Return the busy time of each pool, by its name."""
    table = whole.run.stretches
    replica, began_s, ended_s, prompts, growth = (
        table[name].to_numpy()
        for name in ("replica", "began_s", "ended_s", "prompt_tokens", "growth")
    )
    length_s, tokens = ended_s - began_s, prompts + growth
    prefill = np.divide(prompts, tokens, out=np.zeros(len(tokens)), where=tokens > 0)
    busy = {}
    for name in whole.by_pool:
        mine = np.isin(replica, whole.run.fleet.numbers(name))
        busy[name] = Busy(float(np.sum((prefill * length_s)[mine])), float(np.sum(length_s[mine])))
    return busy


def _input_usd(whole: Selection) -> float | None:
    """Return the dollars of the run that go to input tokens.

    The cost of a pool is shared between input and output tokens as its busy time is between
    prefill and decode, idle time and all. Of a pool that was never busy it goes by the others'.
    """
    priced, answered = whole.once(_priced), whole.once(_answered)
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


def _usd_per_million_input(selection: Selection) -> float | None:
    input_usd = selection.once(_input_usd)
    if input_usd is None:
        return None
    return 1e6 * input_usd / selection.once(_answered).prompt_tokens


def _usd_per_million_output(selection: Selection) -> float | None:
    input_usd, spending = selection.once(_input_usd), selection.once(_spending)
    if input_usd is None or spending is None:
        return None
    return 1e6 * (spending.usd - input_usd) / selection.once(_answered).output_tokens


def _usd_per_request(selection: Selection) -> float | None:
    spending, requests = selection.once(_spending), selection.once(_answered).requests
    return None if spending is None or not requests else spending.usd / requests


def _usd_per_session(selection: Selection) -> float | None:
    spending, sessions = selection.once(_spending), selection.run.info.sessions
    return None if spending is None or not sessions else spending.usd / sessions


METRICS = (
    Metric(
        "usd_per_hour",
        "USD/h",
        "Cost of all nodes per hour, those without a replica included.",
        _per_hour("usd_per_hour"),
        scope=MACHINES,
        is_extensive=True,
        label="cost [USD/h]",
        heading=Heading("cost [USD/h]", decimals=2),
        row=Row(310, "USD/h, with 90 % interval", ",.4g", has_interval=True),
    ),
    Metric(
        "p5_usd_per_hour",
        "USD/h",
        "5th percentile of the cost per hour over the ranges of prices.",
        _per_hour("p5_usd_per_hour"),
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("p5 of cost [USD/h]", decimals=2),
    ),
    Metric(
        "p95_usd_per_hour",
        "USD/h",
        "95th percentile of the cost per hour over the ranges of prices.",
        _per_hour("p95_usd_per_hour"),
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("p95 of cost [USD/h]", decimals=2),
    ),
    Metric(
        "cost_usd",
        "USD",
        "Cost of the whole run.",
        _cost_usd,
        scope=MACHINES,
        is_extensive=True,
    ),
    Metric(
        "usd_per_million_tokens",
        "USD/million tokens",
        "Cost per million prompt or output tokens, all alike; absent where there is no output token.",
        _usd_per_million_tokens,
        scope=MACHINES,
        label="cost [USD per million tokens]",
        row=Row(330, "USD per million tokens, all alike", ",.3f"),
    ),
    Metric(
        "usd_per_million_output_tokens",
        "USD/million tokens",
        "Cost per million output tokens; absent where there is none.",
        _per_million_output_tokens("usd_per_hour"),
        scope=MACHINES,
        label="cost [USD per million output tokens]",
        heading=Heading("cost [USD/million output tokens]", decimals=3),
        row=Row(320, "USD per million output tokens", ",.4g", has_interval=True),
    ),
    Metric(
        "p5_usd_per_million_output_tokens",
        "USD/million tokens",
        "5th percentile of the cost per million output tokens over the ranges of prices.",
        _per_million_output_tokens("p5_usd_per_hour"),
        scope=MACHINES,
        heading=Heading("p5 of cost [USD/million output tokens]", decimals=3),
    ),
    Metric(
        "p95_usd_per_million_output_tokens",
        "USD/million tokens",
        "95th percentile of the cost per million output tokens over the ranges of prices.",
        _per_million_output_tokens("p95_usd_per_hour"),
        scope=MACHINES,
        heading=Heading("p95 of cost [USD/million output tokens]", decimals=3),
    ),
    Metric(
        "usd_per_hour_parts",
        "USD/h",
        "Cost per hour by what the money is spent on.",
        _usd_per_hour_parts,
        scope=MACHINES,
        is_extensive=True,
    ),
    Metric(
        "attributed_usd_per_million_input_tokens",
        "USD/million tokens",
        "Cost per million prompt tokens, where cost is shared by busy time of prefill and decode.",
        _usd_per_million_input,
        scope=Scope.RUN,
        row=Row(340, "  of input, by busy time", ",.3f"),
    ),
    Metric(
        "attributed_usd_per_million_output_tokens",
        "USD/million tokens",
        "Cost per million output tokens, where cost is shared by busy time of prefill and decode.",
        _usd_per_million_output,
        scope=Scope.RUN,
        heading=Heading("attributed of cost [USD/million output tokens]", decimals=3),
        row=Row(350, "  of output, by busy time", ",.3f"),
    ),
    Metric(
        "usd_per_request",
        "USD/request",
        "Cost per finished request; absent where there is none.",
        _usd_per_request,
        scope=Scope.RUN,
        row=Row(360, "USD per request", ",.3g"),
    ),
    Metric(
        "usd_per_session",
        "USD/session",
        "Cost per session that ended; absent where the workload has no sessions.",
        _usd_per_session,
        scope=Scope.RUN,
        row=Row(370, "USD per session", ",.3g"),
    ),
)
