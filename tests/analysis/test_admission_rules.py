"""The full batch of an estimate follows what an admission reserves: a cache of 100 blocks of 10."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.pool_arithmetic import PoolArithmetic
from cluster_sim.cli.engine_rows import engine_rows
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.sim.simulate import simulate
from tests.machines import engine
from tests.scenarios import make_pool, make_scenario

WORKLOAD = {
    "arrivals": {"process": "closed_loop", "concurrency": 40, "requests": 200},
    "prompt_tokens": 55,
    "output_tokens": 46,
}


def scenario(batching: dict[str, Any], blocks: int = 100, **workload: Any) -> Any:
    """A replica whose cache has `blocks` blocks of 10 tokens."""
    own = engine(max_sequences=64, max_batched_tokens=4096, block_tokens=10)
    pool = make_pool(replica={"engine": own}, batching=batching)
    made = make_scenario(cluster={"pools": [pool]}, workload=WORKLOAD | workload)
    whole = explain(made)[0]
    left = (whole.weight_bytes + blocks * 10 * whole.kv_token_bytes + 1) / (
        whole.weight_bytes + whole.kv_bytes
    )
    pool["kv"] = {"memory_fraction": left}
    return make_scenario(cluster={"pools": [pool]}, workload=WORKLOAD | workload)


def estimate(batching: dict[str, Any], **workload: Any) -> PoolArithmetic:
    (pool,) = explain(scenario(batching, **workload))
    return pool


def test_the_cache_has_a_thousand_tokens() -> None:
    assert estimate({}).kv_tokens == 1000


@pytest.mark.parametrize(
    ("batching", "workload", "held"),
    [
        ({}, {}, 55 + 23),  # half of the answer, in the mean
        ({"capacity_scheduler_policy": "full_isl"}, {}, 55 + 23),
        ({"capacity_scheduler_policy": "max_utilization"}, {}, 55 + 23),
        ({"capacity_scheduler_policy": "guaranteed_no_evict"}, {}, 55 + 46),
        ({"capacity_scheduler_policy": "guaranteed_no_evict"}, {"max_output_tokens": 140}, 195),
        ({"prefill_first": {}}, {}, 55 + 23 + 0.098 * 23),
        ({"prefill_first": {"ignore_eos": True}}, {}, 55 + 46),
        ({"prefill_first": {}}, {"max_output_tokens": 140}, 55 + 23 + 0.098 * (140 - 23)),
        ({}, {"max_output_tokens": 140}, 55 + 23),
    ],
)
def test_a_full_batch_holds_what_its_sequences_hold_and_reserve(
    batching: dict[str, Any], workload: dict[str, Any], held: float
) -> None:
    """Each sequence wastes half a block, and 45 of its 46 steps decode."""
    pool = estimate(batching, **workload)
    assert pool.full_batch == round(1000 / (held + 5) * 45 / 46)
    assert pool.bound_by == "KV cache"


@pytest.mark.parametrize("drafts", [{}, {"draft_tokens": 3, "acceptance": 0.0}])
def test_a_chunk_does_not_limit_sequences_that_decode_in_steps_of_their_own(
    drafts: dict[str, Any],
) -> None:
    """40 clients decode at once with a chunk of 16 tokens, of which a prompt takes 10."""
    own = engine(max_sequences=40, max_batched_tokens=16, prefill_first={})
    replica = {"engine": own} | ({"speculation": drafts} if drafts else {})
    traffic = {"process": "closed_loop", "concurrency": 40, "requests": 4000}
    made = make_scenario(
        cluster={"pools": [make_pool(replica=replica)]},
        workload={"arrivals": traffic, "prompt_tokens": 10, "output_tokens": 20},
    )
    (pool,) = explain(made)
    assert (pool.bound_by, pool.full_batch) == ("max_sequences", round(40 * 19 / 20))
    assert list(faults_of(made)) == []
    results = simulate(made)
    assert max(row["batch"] for row in results.stretches.to_pylist()) == 40
    counted_s = made.duration_s - made.warmup_s
    assert results.summary()["completed"] / counted_s == pytest.approx(
        pool.requests_per_s,
        rel=0.06,  # clients of one length come back in rounds of 40
    )


@pytest.mark.parametrize(("limit", "most"), [(None, 10), (46, 10), (66, 8), (140, 5)])
def test_a_run_admits_what_is_reserved_to_completion(limit: int | None, most: int) -> None:
    """55 + 46 - 1 tokens are 10 of 100 blocks, with a limit of 66 they are 12, of 140 they are 20."""
    batching = {"capacity_scheduler_policy": "guaranteed_no_evict"}
    changes = {} if limit is None else {"max_output_tokens": limit}
    results = simulate(scenario(batching, **changes))
    assert max(row["running"] for row in results.stretches.to_pylist()) == most
    assert results.summary()["preemptions"] == 0
    assert results.summary()["completed"] == 200


def test_explain_says_what_an_admission_reserves() -> None:
    def row(batching: dict[str, Any]) -> list[str]:
        return dict(engine_rows([estimate(batching).engine])).get("admission reserves", [])

    assert row({}) == []
    for policy, text in (
        ("full_isl", "whole prompt; preempts when full"),
        ("guaranteed_no_evict", "prompt and longest answer; never preempts"),
        ("max_utilization", "whole prompt, next step of all; pauses the last"),
    ):
        assert row({"capacity_scheduler_policy": policy}) == [text]
    assert row({"prefill_first": {}}) == [
        "prompt, longest answer, 10% of running answers; retracts when full"
    ]
