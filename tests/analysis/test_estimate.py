"""What arithmetic says must be what the simulation does, where arithmetic suffices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.request_lengths import sampled_lengths
from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.results.metrics.finished import finished
from tests.scenarios import make_scenario

MACHINES = {
    "b200": "{name: p, node: dgx-b200, replica: {tensor_parallel: 8, weights: fp8, kv_cache: fp8}, batching: {max_sequences: 128}}",
    "b200, two of tp4": "{name: p, node: dgx-b200, replica: {tensor_parallel: 4, weights: fp4, kv_cache: fp8}, batching: {max_sequences: 96}}",
    "h100, two stages": "{name: p, node: dgx-h100, replica: {tensor_parallel: 4, pipeline_parallel: 2, weights: fp8, kv_cache: fp8}, batching: {max_sequences: 64}}",
    "b200, prompt-bound": "{name: p, node: dgx-b200, replica: {tensor_parallel: 8, weights: fp8, kv_cache: fp8}, batching: {max_sequences: 512, max_batched_tokens: 1024}}",
    "b200, prefill first": "{name: p, node: dgx-b200, replica: {tensor_parallel: 8, weights: fp8, kv_cache: fp8, engine: sglang-0.5}, batching: {max_sequences: 128}}",
    "cs-3, few places": "{name: p, node: cs-3, nodes: 4, replica: {weights: bf16, engine: cerebras}, batching: {max_sequences: 40}}",
    "cs-3, full pipeline": "{name: p, node: cs-3, nodes: 8, replica: {wafers: 8, weights: bf16, engine: cerebras}, batching: {max_sequences: 200}}",
}


def scenario(
    tmp_path: Path,
    pool: str,
    arrivals: str,
    prompt: Any = 512,
    output: Any = 256,
    model: str = "llama-3.3-70b",
) -> cluster_sim.Scenario:
    path = tmp_path / "explain.yaml"
    path.write_text(
        f"name: e\nmodel: {model}\nworkload:\n  arrivals: {arrivals}\n  prompt_tokens: {prompt}\n  output_tokens: {output}\ncluster:\n  pools: [{pool}]\n  router: {{policy: least_requests}}\n"
    )  # fmt: skip
    return cluster_sim.load_scenario(path)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_highest_rate_is_what_a_full_cluster_serves(tmp_path: Path, machine: str) -> None:
    """Everything queued at once; the rate while the queue is long, the ramp at both ends left out."""
    offline = scenario(tmp_path, MACHINES[machine], "{process: at_once, requests: 4000}")
    (pool,) = explain(offline)
    finish_s = np.sort(cluster_sim.simulate(offline).requests["finish_s"].to_numpy())
    assert pool.requests_per_s == pytest.approx(2000 / (finish_s[3000] - finish_s[1000]), rel=0.05)


def test_the_highest_rate_holds_for_spread_lengths(tmp_path: Path) -> None:
    """Within 8 %: short prompts share their steps, which the mean lengths do not tell."""
    lengths = (
        "{distribution: lognormal, median: 600, sigma: 0.8, max: 6000}",
        "{distribution: uniform, low: 50, high: 500}",
    )
    offline = scenario(tmp_path, MACHINES["b200"], "{process: at_once, requests: 6000}", *lengths)
    finish_s = np.sort(cluster_sim.simulate(offline).requests["finish_s"].to_numpy())
    assert explain(offline)[0].requests_per_s == pytest.approx(
        3000 / (finish_s[4500] - finish_s[1500]), rel=0.08
    )


@pytest.mark.parametrize(
    ("model", "ranks"),
    [("gemma-4-31b", 2), ("llama-4-scout", 4), ("deepseek-v3.2", 8), ("deepseek-v4-flash", 4), ("qwen3-next-80b", 2), ("nemotron-3-nano", 1)],
)  # fmt: skip
def test_the_highest_rate_holds_for_layers_of_several_kinds(
    tmp_path: Path, model: str, ranks: int
) -> None:
    """Prompts of 6,000 tokens reach beyond windows and choices, and into a chunk of 8,192."""
    pool = f"{{name: p, node: dgx-b200, replicas: 1, replica: {{tensor_parallel: {ranks}, engine: vllm}}, batching: {{max_sequences: 64}}}}"
    offline = scenario(tmp_path, pool, "{process: at_once, requests: 1200}", 6000, 300, model)
    finish_s = np.sort(cluster_sim.simulate(offline).requests["finish_s"].to_numpy())
    assert explain(offline)[0].requests_per_s == pytest.approx(
        600 / (finish_s[900] - finish_s[300]), rel=0.05
    )


def test_windows_count_as_windows_whatever_the_batching(tmp_path: Path) -> None:
    """The engine's token budget reckons the capacity where steps have no limit."""
    replica = "replica: {tensor_parallel: 4, engine: vllm}"
    tokens = {
        policy: explain(
            scenario(
                tmp_path,
                f"{{name: p, node: dgx-b200, {replica}, batching: {{policy: {policy}}}}}",
                "{process: at_once, requests: 1}",
                model="gemma-4-31b",
            )
        )[0].kv_tokens
        for policy in ("continuous", "static")
    }
    assert tokens["static"] == tokens["continuous"]


def test_a_tier_behind_windows_leaves_the_devices_cache_as_it_is(tmp_path: Path) -> None:
    """Nothing is set aside for windows, and the run says that the tier keeps nothing."""
    tier = ", offload: [{tier: host, capacity: 100 GB, bandwidth: 50 GB/s}]"
    with_tier, without = (
        scenario(
            tmp_path,
            f"{{name: p, node: dgx-b200, replica: {{tensor_parallel: 4, engine: vllm}}, kv: {{prefix_caching: true{more}}}}}",
            "{process: at_once, requests: 1}",
            model="gemma-4-31b",
        )
        for more in (tier, "")
    )
    assert explain(with_tier)[0].kv_tokens == explain(without)[0].kv_tokens
    assert any("keep nothing" in warning for warning in with_tier.warnings())
    assert not any("keep nothing" in warning for warning in without.warnings())


def test_prefixes_are_found_at_the_ends_of_blocks_of_all_groups(tmp_path: Path) -> None:
    """Blocks of Gemma 4 31B hold 32 tokens in full layers and 16 in windows."""
    pool = "{name: p, node: dgx-b200, replica: {tensor_parallel: 4, engine: vllm}, kv: {prefix_caching: true}}"
    found = explain(
        scenario(tmp_path, pool, "{process: at_once, requests: 1}", model="gemma-4-31b")
    )
    assert found[0].hit_tokens == 32


@pytest.mark.parametrize("machine", MACHINES)
def test_the_step_of_a_lone_sequence_is_its_time_per_token(tmp_path: Path, machine: str) -> None:
    lone = scenario(tmp_path, MACHINES[machine], "{process: at_once, requests: 1}")
    (pool,) = explain(lone)
    results = cluster_sim.simulate(lone)
    assert float(finished(results).tpot_s[0]) == pytest.approx(pool.step_at_1_s, rel=0.001)


@pytest.mark.parametrize("machine", MACHINES)
def test_kv_room_is_the_room_the_simulation_has(tmp_path: Path, machine: str) -> None:
    plan = scenario(tmp_path, MACHINES[machine], "{process: at_once, requests: 1}")
    (pool,) = explain(plan)
    summary = cluster_sim.simulate(plan).summary()
    assert pool.kv_tokens * pool.replicas == pytest.approx(
        summary["kv_capacity_tokens"], rel=1e-4
    )  # whole blocks
    batch = build_scheduler(resolve(plan).deployments[0])
    assert (
        pool.kv_tokens >= batch.longest > pool.kv_tokens - 16
        or batch.longest == plan.model.max_context - 1
    )


def test_answers_of_one_token_are_bound_by_the_token_budget(tmp_path: Path) -> None:
    offline = scenario(tmp_path, MACHINES["b200"], "{process: at_once, requests: 4000}", 512, 1)
    finish_s = np.sort(cluster_sim.simulate(offline).requests["finish_s"].to_numpy())
    assert explain(offline)[0].requests_per_s == pytest.approx(
        2000 / (finish_s[3000] - finish_s[1000]), rel=0.05
    )


def test_a_decode_pool_is_full_even_if_all_answers_have_one_token() -> None:
    """Prefill makes the only token, so that arithmetic alone runs a step of the decode pool."""
    plan = {"data_parallel": 2, "expert_parallel": 2, "weights": "fp8"}
    two_ranks = {"node": "dgx-h100", "replicas": 1, "batching": {"max_sequences": 64}}
    pools = [
        two_ranks | {"name": role, "replica": plan | {"role": role}}
        for role in ("prefill", "decode")
    ]
    traffic = {"arrivals": {"process": "poisson", "rate": "2 /s"}, "prompt_tokens": 1000}
    one, two = (
        explain(
            make_scenario(
                model="mixtral-8x7b",
                workload=traffic | {"output_tokens": tokens},
                cluster={"pools": pools},
            )
        )[1]
        for tokens in (1, 2)
    )
    assert one.full_batch == two.full_batch == 2 * 64
    assert one.step_when_full_s == pytest.approx(two.step_when_full_s, rel=0.01)


def test_a_prompt_reads_its_window_alone() -> None:
    """Of 100 tokens and a window of 10: 55 pairs of the first ten, ten each of the other 90; all
    pairs are 5,050. Chunks of ten hold ten times 55.
    """
    lengths = sampled_lengths(make_scenario())
    assert lengths.limited_share(LimitedView(10)) == pytest.approx(955 / 5050)
    assert lengths.limited_share(LimitedView(10, is_chunked=True)) == pytest.approx(550 / 5050)
    assert lengths.limited_share(LimitedView()) == 0.0
