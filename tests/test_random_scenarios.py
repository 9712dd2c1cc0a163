"""Random scenarios are fixed by their seed, mostly right, and of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ruamel.yaml import YAML

from cluster_sim import ScenarioError, load_scenario
from tests.random_scenarios import GPUS, LONGEST_PRESETS, MODELS, OTHERS, WAFERS, random_scenario

CHOICES = {
    "process": "poisson gamma weibull on_off mmpp clients diurnal burst at_once closed_loop",
    "distribution": "fixed uniform lognormal zipf empirical mixture spans",
    "policy": "round_robin random least_requests least_work power_of_two prefix_affinity least_kv",
    "preset": "azure-code azure-conversation burstgpt mooncake codex-spark coding-agent openai anthropic",
    "engine": "vllm trtllm sglang trtllm-2025-05 compiled cerebras cerebras-2024-08",
    "kv_transfer": "layers whole off",
    "role": "prefill decode both",
    "weights": "bf16 fp8 fp4",
    "weights_from": "memoryx",
    "tier": "host nvme memoryx",
    "preemption": "swap",
    "power_sharing": "proportional priority lend",
    "order": "priority",
    "stepping": "step",
    "start": "cold",
    "layout": "whole",
    "capacity_scheduler_policy": "first_chunk full_isl guaranteed_no_evict max_utilization",
    "graph_mode": "none piecewise full full_decode_only full_and_piecewise",
    "memory_base": "all free",
    "stream_rule": "unsent tokens steps",
    "node": " ".join(GPUS | OTHERS | WAFERS),
    "model": " ".join(MODELS),
    "metric": "queue kv_cache running ttft",
    "what": "fan_failure pump_failure inlet_rise node_failure device_failure link_failure link_degraded spot_reclaim",
    "kind": "chiller air_cooled_chiller dry_cooler tower",
    "weather": "greensboro sand-point",
    "gaps": "exponential weibull clustered",
    "load_balance_method": "total_requests total_tokens waiting_and_running active_tokens",
    "expert_exchange": "fastest_collective all_gather_reduce_scatter nccl_all_to_all deepep_normal deepep_low_latency nvlink_one_sided",
    "expert_load": "even",
    "overlap": "two_batch",
    "domain": "rack",
    "shared": "pool cluster",
}
POLICIES = {
    "lend_by_priority",
    "polca",
    "queue_limit",
    "token_bucket",
    "predicted_ttft",
    "continuous",
    "static",
}
KEYS = {
    "batch_wait_timeout_iterations", "begins", "bursts", "by_device", "detokenisation", "first_chunk_delay",
    "async_scheduling", "autoscale", "cancel", "clients", "graph_memory", "prefill_first", "static_reserve", "stream_interval", "chunked_prefill", "classes", "compaction",
    "data_parallel", "draft_cost", "draft_model", "drift", "expert_parallel", "fabric", "fused_experts", "failures", "mtbf", "notice", "offload",
    "length_correlation", "links", "max_output_tokens", "memory_fraction", "mtp_layers", "network", "output_sigma",
    "percentile", "pipeline_parallel", "points", "power_limit", "prefix_caching", "prices", "rack_power_cap",
    "rate_curve", "reasoning_share", "redundant_experts", "retries", "retry_budget", "retry_lost", "server_aborts", "row_power_cap", "sample", "sessions", "shared_prefix", "slo",
    "sigma", "speculation", "staleness", "store_bandwidth", "swing", "thermal_protection", "tool_steps", "two_batch_from", "warmup", "watermark",
}  # fmt: skip


def test_a_seed_fixes_the_scenario():
    assert random_scenario(Random(3)) == random_scenario(Random(3))
    assert random_scenario(Random(3)) != random_scenario(Random(4))


@pytest.mark.slow
def test_most_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    refused: list[str] = []
    for seed in range(60):
        with Path("x.yaml").open("w") as file:
            YAML(typ="safe").dump(random_scenario(Random(seed)), file)
        try:
            load_scenario("x.yaml")
        except ScenarioError as error:
            refused.append(f"{seed}: {error}")
    assert len(refused) <= 0.3 * 60, "\n".join(refused)


@pytest.fixture(scope="module")
def said() -> set[tuple[str, Any]]:
    """What many scenarios say: keys, and keys with plain values."""
    documents = (random_scenario(Random(seed)) for seed in range(1000))
    return {pair for document in documents for pair in _pairs(document)}


def _pairs(part: Any) -> Iterator[tuple[str, Any]]:
    for key, value in part.items() if isinstance(part, dict) else ():
        yield key, None
        if isinstance(value, str):
            yield key, value
        yield from _pairs(value)
    for value in part if isinstance(part, list) else ():
        yield from _pairs(value)


@pytest.mark.parametrize("key", CHOICES)
def test_every_choice_comes_up(key: str, said: set[tuple[str, Any]]):
    assert set(CHOICES[key].split()) <= {value for other, value in said if other == key}


def test_every_option_comes_up(said: set[tuple[str, Any]]):
    assert {key for key, _ in said} >= KEYS
    assert {value for key, value in said if key == "policy"} >= POLICIES
    assert {("preset", name) for name in LONGEST_PRESETS} <= said


def test_groups_fill_several_nodes_and_have_unequal_numbers_of_experts():
    plans = [
        (pool["replica"], document["model"])
        for document in (random_scenario(Random(seed)) for seed in range(300))
        for pool in document["cluster"]["pools"]
    ]
    assert {plan.get("data_parallel") for plan, _ in plans} >= {16, 24, 32}
    groups = [(plan.get("expert_parallel", 1), MODELS[model].experts) for plan, model in plans]
    assert any(experts > count and experts % count for count, experts in groups)
