"""A pool whose nodes are off during a whole run costs 0, and no figure of it is undefined."""

from __future__ import annotations

import json
import math
from typing import Any

from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_pool, make_scenario


def numbers(value: Any) -> list[float]:
    """All numbers of a summary, of its pools too."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    return [value] if isinstance(value, float) else []


def test_a_pool_that_is_off_during_a_whole_run_costs_nothing() -> None:
    prices = "dgx-h200-owned"
    on = make_pool("on", prices=prices)
    off = make_pool("off", prices=prices, autoscale={"metric": "queue", "min": 0, "max": 1})
    cluster = {"pools": [on, off], "router": {"policy": "round_robin"}}
    summary = simulate(make_scenario(cluster=cluster)).summary()
    assert summary["pools"]["off"]["usd_per_hour"] == 0.0
    assert summary["pools"]["on"]["usd_per_hour"] == summary["usd_per_hour"] > 0.0
    assert all(math.isfinite(number) for number in numbers(summary))
    json.dumps(summary, allow_nan=False)
