"""Stretches of steps of uneven attention ranks equal single steps, in every role."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import cluster_sim
from tests.laws import whole_run
from tests.scenarios import make_scenario
from tests.sim.test_rank_transfers import HEADS, model, pool

TIMES = ("admitted_s", "first_token_s", "finish_s")


def serve(pools: list[dict[str, Any]], kind: dict[str, Any], stepping: str) -> cluster_sim.Results:
    """Serve requests of very different lengths; the caches of ranks are small."""
    apart = {"disaggregation": {"kv_transfer": "layers"}} if len(pools) > 1 else {}
    scenario = make_scenario(
        model=model(kind),
        stepping=stepping,
        duration="2 s",
        drain="300 s",
        workload={
            "arrivals": {"process": "poisson", "rate": "40 /s"},
            "prompt_tokens": {"distribution": "lognormal", "median": 120, "p99": 900, "max": 1500},
            "output_tokens": {"distribution": "lognormal", "median": 40, "p99": 300, "max": 400},
        },
        cluster={"pools": pools, "router": {"policy": "least_work"}} | apart,
    )
    return cluster_sim.simulate(scenario)


def rule(of: dict[str, Any], method: str, **batching: Any) -> dict[str, Any]:
    """The pool with a rule, and with devices whose KV cache holds a few requests."""
    device = of["node"]["device"]
    device = device | {"memory": device["memory"] | {"capacity": "1.3 MB"}}
    return of | {
        "node": of["node"] | {"device": device},
        "kv": {"memory_fraction": 0.9},
        "batching": {"max_sequences": 6, "load_balance_method": method} | batching,
    }


def pools_of(roles: str, method: str) -> list[dict[str, Any]]:
    """One pool, or prefill and decode pools with different numbers of ranks."""
    chunk = {"max_batched_tokens": 256}
    if roles == "both":
        return [rule(pool("both", 1, 1, 3), method, **chunk)]
    return [
        rule(pool("prefill", 1, 1, 2), method, **chunk),
        rule(pool("decode", 1, 1, 4), method),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("roles", "method"),
    [*product(["both", "apart"], ["waiting_and_running", "active_tokens"])],
)
def test_times_are_those_of_single_steps(roles: str, method: str) -> None:
    stretches, steps = (
        serve(pools_of(roles, method), HEADS, stepping) for stepping in ("stretch", "step")
    )
    assert len(stretches.requests) == len(steps.requests) > 60
    for name in TIMES:
        each, single = (results.requests[name].to_numpy() for results in (stretches, steps))
        assert np.array_equal(np.isnan(each), np.isnan(single))
        assert each == pytest.approx(single, rel=1e-9, nan_ok=True)
    assert len(stretches.stretches) < len(steps.stretches)
    table = stretches.stretches
    most, batch, prompts = (
        table[name].to_numpy() for name in ("rank_tokens", "batch", "prompt_tokens")
    )
    assert roles == "apart" or sum(stretches.requests["preemptions"].to_pylist()) > 0
    assert np.all(most <= batch + prompts)
    assert np.any(most * 2 > batch + prompts)


def test_sequences_of_a_rank_that_prefills_hold_still_while_other_ranks_decode() -> None:
    """Every answer has a gap before each token but the first, from its first to its last token."""
    pools = [rule(pool("both", 1, 1, 3), "round_robin", max_batched_tokens=256, prefill_first={})]
    stretches, steps = (serve(pools, HEADS, stepping) for stepping in ("stretch", "step"))
    whole_run.every_law_holds(stretches)
    whole_run.a_stretch_is_its_steps(stretches, steps)
    table, events = stretches.stretches, stretches.events
    began_s, batch = table["began_s"].to_numpy(), table["batch"].to_numpy()
    held_s = events["at_s"].to_numpy()[events["what"].to_numpy() == "rank_held"]
    assert np.any(batch[np.isin(began_s, held_s)] > 0)  # others decode meanwhile
