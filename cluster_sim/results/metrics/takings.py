"""Revenue of a run from the tokens of finished requests, warm-up and drain included."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.economics import ownership as money
from cluster_sim.economics.token_prices import revenue_usd
from cluster_sim.results.cost import INTERVAL, drawn
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.spending import answered_of, spending_of
from cluster_sim.typing import Array


class Takings(NamedTuple):
    """Revenue and margin per hour: element 0 at the prices as written, the rest at samples."""

    revenue_usd_per_hour: Array
    margin_usd_per_hour: Array | None
    """Revenue less cost [USD/h]; None if a pool has no prices."""
    tokens_per_hour: float
    """Prompt and output tokens that were sold per hour."""


def takings_of(whole: Selection) -> Takings | None:
    """Return the revenue and margin of a run, or None if its tokens have no prices."""
    prices, hours = whole.run.scenario.sold_at, whole.run.info.simulated_s / 3600.0
    if prices is None or not hours:
        return None
    sold = whole.once(answered_of)
    usd = revenue_usd(drawn(prices), sold.prompt_tokens, sold.cached_tokens, sold.output_tokens)
    revenue = np.asarray(usd) / hours
    spending = whole.once(spending_of)
    margin = None if spending is None else revenue - money.total(spending.parts)
    return Takings(revenue, margin, (sold.prompt_tokens + sold.output_tokens) / hours)


def at(usd_per_hour: Array | None, percentile: float | None) -> float | None:
    """Return an amount at the prices as written, or at a percentile of their samples [USD/h]."""
    if usd_per_hour is None:
        return None
    if percentile is None:
        return float(usd_per_hour[0])
    return float(np.percentile(usd_per_hour[1:], percentile))


ENDS = {"": None, "p5_": INTERVAL[0], "p95_": INTERVAL[1]}
"""Percentile of an amount by the prefix of its metric; None for the prices as written."""
