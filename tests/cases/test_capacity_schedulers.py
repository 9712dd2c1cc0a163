"""Admission and preemption by engine: the cases c1 and c2 of ../shared/cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from cluster_sim import load_scenario
from cluster_sim.results.results import Results
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.sim.simulate import simulate

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
POLICY = "cluster.pools.0.batching.capacity_scheduler_policy"

pytestmark = pytest.mark.skipif(
    not (CASES / "c1-trtllm-no-evict.yaml").exists(), reason="the cases of ../shared are absent"
)


def run(case: str, policy: str | None = None) -> Results:
    changes: dict[str, Any] = {} if policy is None else {POLICY: policy}
    if "vllm" in case:
        changes["cluster.pools.0.replica.engine"] = "vllm-0.15"  # without memory for graphs
    return simulate(load_scenario(CASES / f"{case}.yaml", overrides=changes))


def ttft_s(results: Results) -> list[float]:
    rows = results.requests.to_pylist()
    return [row["first_token_s"] - row["arrival_s"] for row in rows]


def test_guaranteed_no_evict_never_preempts_and_completes_all_requests() -> None:
    """TensorRT-LLM issues 16827 and 1012; as vLLM up to 0.18 the same load has 255 preemptions."""
    summary = run("c1-trtllm-no-evict", "guaranteed_no_evict").summary()
    assert summary["preemptions"] == 0
    assert summary["completed"] == 600


def test_the_same_load_on_vllm_preempts_and_runs_larger_batches() -> None:
    reserved = run("c1-trtllm-no-evict", "guaranteed_no_evict")
    for policy in ("first_chunk", "full_isl"):
        evicting = run("c1-vllm-may-evict", policy)
        assert evicting.summary()["preemptions"] > 0
        assert evicting.summary()["completed"] == 600
        assert mean_batch(evicting) > mean_batch(reserved)


def mean_batch(results: Results) -> float:
    """Decoding requests per step."""
    rows = results.stretches.to_pylist()
    steps = sum(row["steps"] for row in rows)
    return float(sum(row["steps"] * row["batch"] for row in rows) / steps)


def test_max_utilization_runs_larger_batches_and_pauses_some() -> None:
    """TensorRT-LLM issue 16827 compares both of its policies under KV cache pressure."""
    reserved = run("c1-trtllm-no-evict", "guaranteed_no_evict")
    paused = run("c1-trtllm-no-evict", "max_utilization")
    assert paused.summary()["preemptions"] > 0
    assert paused.summary()["completed"] == 600
    assert mean_batch(paused) > mean_batch(reserved)


@pytest.mark.parametrize("policy", get_args(CapacitySchedulerPolicy))
def test_a_long_prompt_alone_takes_fifteen_seconds(policy: str) -> None:
    results = run("c2-vllm-one-long-prompt", policy)
    (row,) = results.requests.to_pylist()
    assert row["finish_s"] == pytest.approx(15.0, rel=0.05)


def test_two_long_prompts_run_one_after_the_other_if_each_must_fit_whole() -> None:
    """vLLM pull request 37307: the capacity is that of 1.5 prompts, so the second one waits."""
    results = run("c2-vllm-two-long-prompts", "full_isl")
    assert results.summary()["preemptions"] <= 1
    assert 30.0 <= max(row["finish_s"] for row in results.requests.to_pylist()) <= 33.0
    assert ttft_s(results)[1] == pytest.approx(18.0, rel=0.05)


def test_two_long_prompts_thrash_if_a_first_chunk_is_enough() -> None:
    """vLLM issues 21809 and 25538 report it of releases before the rule."""
    assert run("c2-vllm-two-long-prompts", "first_chunk").summary()["preemptions"] > 100
