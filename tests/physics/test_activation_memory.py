"""Activations of a step against arithmetic by hand and against what vLLM prints at start."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.deployment.fleet import resolve
from cluster_sim.llm.model import Model
from cluster_sim.physics.activation_memory import LargestStep, activation_bytes
from cluster_sim.physics.placement import Placement
from cluster_sim.physics.replica_layout import ReplicaLayout
from tests.machines import model, tiny_model
from tests.scenarios import make_scenario

GIB = 2**30
SORT_BYTES = 38.0  # per logit, by PyTorch's sort


def dense(vocabulary: int, hidden: int) -> Model:
    """A model of which only vocabulary and width matter."""
    return tiny_model(vocabulary=vocabulary, hidden=hidden)


# vLLM 0.11 on H100, 8,192 tokens and 1,024 sequences, sorting all logits; "torch peak memory
# increase" (llm-d/llm-d-benchmark@2593348, config_explorer/empirical-vllm-memory-results.md).
@pytest.mark.parametrize(
    ("name", "vocabulary", "hidden", "printed_gib"),
    [
        ("Qwen3-0.6B", 151_936, 1024, 5.56),
        ("Llama-3.1-8B", 128_256, 4096, 4.76),
        ("Llama-3.3-70B", 128_256, 8192, 4.84),
        ("gpt-oss-20b and 120b", 201_088, 2880, 7.38),
        ("Qwen3-32B", 151_936, 5120, 5.64),
    ],
)
def test_the_sampler_takes_what_vllm_prints(
    name: str, vocabulary: int, hidden: int, printed_gib: float
) -> None:
    step = LargestStep(8192, 1024, SORT_BYTES)
    found = activation_bytes(dense(vocabulary, hidden), ReplicaLayout(), step)
    assert found / GIB == approx(printed_gib, rel=0.02), name


def test_more_sequences_cost_llama_70b_what_two_servers_differ_by() -> None:
    """vLLM 0.15 had 119.35 GiB for KV with 16 sequences, 118.0 GiB with 512 (InferenceX, 2026). With
    16 the step of 8,192 tokens counts: 57,344 values of 2 B, 28,672 of 4.5 bit, residual of 2 B.
    """
    step_bytes = 8192 * (57_344 * 2 + 28_672 * 0.5625 + 8192 * 2)
    many = activation_bytes(
        model("llama-3.3-70b"), ReplicaLayout(), LargestStep(8192, 512, SORT_BYTES)
    )
    assert (many - step_bytes) / GIB == approx(119.35 - 118.0, rel=0.1)


def test_experts_hold_a_row_for_each_token_and_expert() -> None:
    """10 tokens of 2 experts of 4: 20 rows of max(2 x 6, 16) + 6 values of 2 B; input and residual of
    16 values of 2 B.
    """
    tiny = tiny_model(hidden=16, experts={"count": 4, "top_k": 2, "ffn": 6})
    assert activation_bytes(tiny, ReplicaLayout(), LargestStep(10, 1)) == 20 * 44 + 10 * 64


def test_tensor_parallel_devices_cut_the_rows_of_experts() -> None:
    """The model above on 2 devices: 20 rows of 16 + 3 values; in fp8 3 B more, and 16 B of the input."""
    tiny = tiny_model(hidden=16, experts={"count": 4, "top_k": 2, "ffn": 6})
    step = LargestStep(10, 1)
    assert activation_bytes(tiny, ReplicaLayout(2), step) == 20 * 38 + 10 * 64
    assert activation_bytes(tiny, ReplicaLayout(2, weights="fp8"), step) == 20 * 41 + 10 * 80


def test_sorted_rows_are_padded_to_blocks() -> None:
    """The model above on one device: 127 rows more for each of 4 experts, of 16 + 16 values of 2 B."""
    tiny = tiny_model(hidden=16, experts={"count": 4, "top_k": 2, "ffn": 6})
    step = LargestStep(10, 1, expert_rows="sorted")
    assert activation_bytes(tiny, ReplicaLayout(), step) == (20 + 508) * 64 + 10 * 64


def test_ranks_count_the_rows_of_their_own_tokens() -> None:
    """Two ranks of 10 tokens each: spread experts have 20 rows of full width, cut ones of half."""
    tiny = tiny_model(hidden=16, experts={"count": 4, "top_k": 2, "ffn": 6})
    step = LargestStep(20, 2)
    spread = ReplicaLayout(data_parallel=2, expert_parallel=2)
    assert activation_bytes(tiny, spread, step) == 20 * 44 + 10 * 64
    assert activation_bytes(tiny, ReplicaLayout(data_parallel=2), step) == 20 * 38 + 10 * 64


def test_experts_on_latent_vectors_hold_rows_of_their_width() -> None:
    """The model on one device, on vectors of 4: 20 rows of 12 + 6 values; 10 inputs and residuals of 16
    values and latent vectors of 4 in and out.
    """
    tiny = tiny_model(hidden=16, experts={"count": 4, "top_k": 2, "ffn": 6, "latent": 4})
    found = activation_bytes(tiny, ReplicaLayout(), LargestStep(10, 1))
    assert found == 20 * 36 + 10 * (64 + 16)


def test_a_long_step_passes_its_experts_in_chunks() -> None:
    tiny = tiny_model(hidden=16, experts={"count": 4, "top_k": 2, "ffn": 6})
    at_most, longer = (
        activation_bytes(tiny, ReplicaLayout(), LargestStep(tokens, 1))
        for tokens in (32_768, 1_000_000)
    )
    assert longer == at_most


def test_dense_models_have_no_experts_to_count() -> None:
    assert activation_bytes(tiny_model(), ReplicaLayout(), LargestStep(8192, 512)) == 0.0


# Capacity in scenarios


PLAIN = {"like": "vllm-0.22", "graph_memory": None, "memory_fraction": 0.9}


def placement(model_name: str, engine: Any, **pool: object) -> Placement:
    """Memory of a replica of four H100 in fp8."""
    settings = {"name": "h100", "node": "dgx-h100"} | pool
    settings["replica"] = {"tensor_parallel": 4, "weights": "fp8", "engine": engine}
    scenario = make_scenario(model=model_name, cluster={"pools": [settings]})
    return resolve(scenario).deployments[0].placement


def test_kv_tokens_of_qwen3_235b_lie_within_a_fifth_of_what_two_engines_logged() -> None:
    """vLLM of July 2025 logged 178,880, SGLang with 0.93 of memory 367,404 (vllm-project/vllm issue
    21348). The rest is NCCL's memory of four devices and LMCache's, which nobody states.
    """
    vllm = placement("qwen3-235b", "vllm-0.10")
    sglang = placement("qwen3-235b", "sglang", kv={"memory_fraction": 0.93})
    assert vllm.kv_tokens == approx(178_880, rel=0.2)
    assert sglang.kv_tokens == approx(367_404, rel=0.2)
    assert sglang.activation_bytes == 0.0


def test_the_sampler_not_the_experts_is_what_took_the_kv_cache_of_qwen3_235b() -> None:
    """1,024 x 151,936 logits of 38 B and 8,192 x 4,096 values of 2 B, of which 1.4 GB are reserved."""
    vllm = placement("qwen3-235b", "vllm-0.10")
    assert vllm.activation_bytes == approx(1024 * 151_936 * 38 + 8192 * 4096 * 2 - 1.4e9)
    fewer = {"max_sequences": 128}
    assert placement("qwen3-235b", "vllm-0.10", batching=fewer).activation_bytes == 0.0


# vLLM 0.11 (llm-d/llm-d-benchmark, as above) had the defaults of July 2025, but for 0.93 GiB of NCCL
# on two devices, which it no longer counted.
@pytest.mark.parametrize(
    ("name", "weights", "devices", "printed_gib"),
    [
        ("llama-3.1-8b", "bf16", 1, 51.38),
        ("gpt-oss-20b", "fp4", 1, 50.28),
        ("llama-3.3-70b", "fp8", 2, 32.0 - 0.93),
    ],
)
def test_the_kv_cache_of_an_h100_is_what_vllm_prints(
    name: str, weights: str, devices: int, printed_gib: float
) -> None:
    replica = {"tensor_parallel": devices, "weights": weights, "engine": "vllm-0.10"}
    pool = {"name": "h100", "node": "dgx-h100", "replica": replica}
    scenario = make_scenario(model=name, cluster={"pools": [pool]})
    placed = resolve(scenario).deployments[0].placement
    assert placed.kv_bytes / GIB == approx(printed_gib, rel=0.015)


@pytest.mark.parametrize("sequences", [16, 512])
def test_kv_tokens_of_llama_70b_follow_the_sampler_as_two_servers_do(sequences: int) -> None:
    """vLLM 0.15 on one B200: 782,160 tokens with 16 sequences, 773,312 with 512."""
    replica = {"weights": "fp4", "kv_cache": "fp8", "engine": "vllm-0.10"}
    pool = {"name": "b200", "node": "dgx-b200", "replica": replica}
    pool["batching"] = {"max_sequences": sequences}
    scenario = make_scenario(model="llama-3.3-70b", cluster={"pools": [pool]})
    printed = {16: 782_160, 512: 773_312}[sequences]
    assert resolve(scenario).deployments[0].kv_tokens == approx(printed, rel=0.002)


@pytest.mark.parametrize(("tensor_parallel", "data_parallel"), [(8, 1), (1, 8)])
@pytest.mark.parametrize("expert_parallel", [1, 8])
@pytest.mark.parametrize("weights", ["fp8", "fp4"])
def test_deepseek_r1_stays_within_what_vllm_reserves(
    weights: str, expert_parallel: int, tensor_parallel: int, data_parallel: int
) -> None:
    replica = {
        "tensor_parallel": tensor_parallel,
        "data_parallel": data_parallel,
        "expert_parallel": expert_parallel,
        "weights": weights,
        "engine": PLAIN,
    }
    pool = {"name": "b200", "node": "dgx-b200", "replica": replica}
    scenario = make_scenario(model="deepseek-r1", cluster={"pools": [pool]})
    placed = resolve(scenario).deployments[0].placement
    assert placed.activation_bytes == 0.0
    assert placed.reserved_bytes == 2.65e9


def test_experts_take_from_the_kv_cache_what_a_longer_step_needs() -> None:
    """Qwen3-235B, 32,768 tokens: four times 0.780 GB, of which 1.8 GB are reserved."""
    longer = placement("qwen3-235b", PLAIN, batching={"max_batched_tokens": 32_768})
    assert longer.activation_bytes == approx(4 * 780_140_544 - 1.8e9)
    assert longer.kv_tokens == approx(315_875 - longer.activation_bytes / 48_128, rel=1e-4)
