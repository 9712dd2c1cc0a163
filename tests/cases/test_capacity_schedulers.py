"""Admission and preemption by engine: the cases c1 and c2 of ../shared/cases, as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from cluster_sim import load_scenario
from cluster_sim.results.results import Results
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.sim.simulate import simulate

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
POOL = "cluster.pools.0."
ENGINE = POOL + "replica.engine"
POLICY = POOL + "batching.capacity_scheduler_policy"
NO_EVICT, MAY_EVICT = "c1-trtllm-no-evict", "c1-vllm-may-evict"

pytestmark = pytest.mark.skipif(
    not (CASES / f"{NO_EVICT}.yaml").exists(), reason="the cases of ../shared are absent"
)


def run(case: str, policy: str | None = None, **changes: Any) -> Results:
    if policy is not None:
        changes[POLICY] = policy
    return simulate(load_scenario(CASES / f"{case}.yaml", overrides=changes))


def ttft_s(results: Results) -> list[float]:
    rows = results.requests.to_pylist()
    return [row["first_token_s"] - row["arrival_s"] for row in rows]


def end_s(results: Results) -> float:
    return float(max(row["finish_s"] for row in results.requests.to_pylist()))


def mean_batch(results: Results) -> float:
    """Running requests per step while others wait; the last wave is not a full one."""
    rows = [row for row in results.stretches.to_pylist() if row["waiting"]]
    steps = sum(row["steps"] for row in rows)
    return float(sum(row["steps"] * row["running"] for row in rows) / steps)


@pytest.mark.parametrize(
    "changes", [{}, {ENGINE: "trtllm-1.0"}, {ENGINE: "vllm", POLICY: "guaranteed_no_evict"}]
)
def test_guaranteed_no_evict_never_preempts_and_completes_all_requests(
    changes: dict[str, Any],
) -> None:
    """TensorRT-LLM issues 16827 and 1012; as vLLM up to 0.18 the same load has 255 preemptions.

    A request of 8,192 and 1,024 tokens is 288 blocks of 32 tokens to its end. `memory_fraction` is
    a share of the free memory for TensorRT-LLM, of all memory for vLLM: 85 or 56 such requests.
    """
    results = run(NO_EVICT, **changes)
    assert results.summary()["preemptions"] == 0
    assert results.summary()["completed"] == 600
    most = results.fleet.deployments[0].kv_tokens // 9216
    assert max(row["running"] for row in results.stretches.to_pylist()) == most


@pytest.mark.parametrize("policy", [None, "first_chunk"])
def test_the_same_load_on_vllm_preempts_and_runs_larger_batches(policy: str | None) -> None:
    """Both with the rule of vLLM since 0.19, which reserves no answers, and with that before it."""
    evicting = run(MAY_EVICT, policy)
    assert evicting.summary()["preemptions"] > 0
    assert evicting.summary()["completed"] == 600
    assert mean_batch(evicting) > mean_batch(run(MAY_EVICT, "guaranteed_no_evict"))


def test_the_two_cases_differ_in_preemptions_and_in_their_slowest_answers() -> None:
    """Both as they stand: the engines' own policies."""
    reserved, evicting = run(NO_EVICT).summary(), run(MAY_EVICT).summary()
    assert reserved["preemptions"] == 0 < evicting["preemptions"]
    assert reserved["p99_tpot_ms"] < evicting["p99_tpot_ms"]
    # steady: the slowest answers are close to the mean
    assert reserved["p99_tpot_ms"] < 1.1 * reserved["mean_tpot_ms"]
    assert evicting["p99_tpot_ms"] > 1.3 * evicting["mean_tpot_ms"]


def test_a_paused_request_waits_for_its_answer_so_the_slowest_answers_are_slower() -> None:
    """TensorRT-LLM issue 16827 reports 9 times the p99 of TPOT between its two policies."""
    reserved = run(NO_EVICT, "guaranteed_no_evict").summary()
    for policy in ("max_utilization", "full_isl", "first_chunk"):
        assert run(NO_EVICT, policy).summary()["p99_tpot_ms"] > 1.3 * reserved["p99_tpot_ms"]


def test_max_utilization_runs_larger_batches_and_pauses_some() -> None:
    """TensorRT-LLM issue 16827 compares both of its policies under KV cache pressure."""
    reserved = run(NO_EVICT, "guaranteed_no_evict")
    paused = run(NO_EVICT, "max_utilization")
    assert paused.summary()["preemptions"] > 0
    assert paused.summary()["completed"] == 600
    assert mean_batch(paused) > mean_batch(reserved)


def test_clients_that_allow_twice_the_answer_run_in_smaller_batches() -> None:
    """8,192 + 2,048 tokens are reserved for each, in place of 8,192 + 1,024."""
    results = run(NO_EVICT, "guaranteed_no_evict", **{"workload.max_output_tokens": 2048})
    most = results.fleet.deployments[0].kv_tokens // 10_240
    assert max(row["running"] for row in results.stretches.to_pylist()) == most
    assert results.summary()["preemptions"] == 0


@pytest.mark.parametrize("policy", [None, *get_args(CapacitySchedulerPolicy)])
def test_a_long_prompt_alone_does_not_depend_on_the_policy(policy: str | None) -> None:
    """The README says 15 s, with times of Llama 3.1 8B on an H100 that have been fitted again since.

    1,000 tokens read 16.1 GB of weights and 7.9 GB of KV cache each, 7.2 ms at the full bandwidth.
    """
    results = run("c2-vllm-one-long-prompt", policy)
    assert end_s(results) == pytest.approx(end_s(run("c2-vllm-one-long-prompt")), rel=1e-9)
    assert 7.2 + ttft_s(results)[0] < end_s(results) < 16.0


@pytest.mark.parametrize("policy", [None, "full_isl", "max_utilization", "guaranteed_no_evict"])
def test_two_long_prompts_run_one_after_the_other_if_each_must_fit_whole(
    policy: str | None,
) -> None:
    """vLLM pull request 37307: the capacity is that of 1.4 prompts, so the second one waits.

    By the README 15 s, 30 to 33 s and 18 s: the second begins when the first has ended.
    """
    alone = run("c2-vllm-one-long-prompt")
    results = run("c2-vllm-two-long-prompts", policy)
    assert results.summary()["preemptions"] <= 1
    assert end_s(results) == pytest.approx(2 * end_s(alone), rel=0.02)
    assert ttft_s(results)[1] == pytest.approx(end_s(alone) + ttft_s(alone)[0], rel=0.02)


def test_two_long_prompts_thrash_if_a_first_chunk_is_enough() -> None:
    """vLLM issues 21809 and 25538 report it of releases before the rule."""
    results = run("c2-vllm-two-long-prompts", "first_chunk")
    assert results.summary()["preemptions"] > 100
    assert end_s(results) > 3 * 2 * end_s(run("c2-vllm-one-long-prompt"))
