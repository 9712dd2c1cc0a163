"""Memory of a replica against what engines print."""

from __future__ import annotations

import pytest

from cluster_sim.physics.memory_use import ExpertPadding, MemoryUse
from cluster_sim.physics.page_pool import CacheKind
from cluster_sim.physics.placement import cache_kinds, place_on_gpus
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.schema import catalog_entry
from tests.machines import device, model, small_gpu, tiny_model


def test_kv_cache_capacity_of_llama_70b_on_b200_is_that_of_vllms_log() -> None:
    """vLLM 0.15 with 0.90 of memory, fp4 weights and fp8 KV: 782,176 tokens on one B200, 1,819,408
    on two (InferenceX, 2026).
    """
    for ranks, tokens in ((1, 782_176), (2, 1_819_408)):
        engine = catalog_entry("engines", "vllm")
        reserved = 2.2e9 + (0.45e9 if ranks > 1 else 0.0)
        assert engine["reserved"] == "2.2 GB"
        assert engine["reserved_group"] == "0.45 GB"
        room = place_on_gpus(
            model("llama-3.3-70b"),
            device("b200-sxm"),
            ReplicaLayout(ranks, weights="fp4", kv_cache="fp8"),
            MemoryUse(0.9, reserved),
        )
        assert room.kv_tokens == pytest.approx(tokens, rel=0.01)


LATENT = {"q_rank": 24, "kv_rank": 16, "rope_dim": 8, "nope_dim": 16, "v_dim": 16}


def test_copied_weights_take_memory_on_every_device() -> None:
    """Tiny model with latent attention: two layers of 3,072 copied weights of 2 B more on the
    second device.
    """
    latent, gpu = tiny_model(latent=LATENT), small_gpu()
    alone, pair = (
        place_on_gpus(latent, gpu, ReplicaLayout(devices), MemoryUse(0.9, 0.0)).weight_bytes
        for devices in (1, 2)
    )
    assert 2 * pair - alone == 2 * 3072 * 2


def test_fp4_checkpoints_of_deepseek_keep_attention_in_16_bit() -> None:
    """vLLM prints 48.13 GiB of weights a device on eight B200."""
    placed = place_on_gpus(
        model("deepseek-r1"),
        device("b200-sxm"),
        ReplicaLayout(8, weights="fp4", kv_cache="fp8"),
        MemoryUse(0.9, 0.0),
    )
    assert placed.weight_bytes / 2**30 == pytest.approx(48.13, rel=0.015)


def test_padded_experts_of_gpt_oss_take_the_memory_that_vllm_prints() -> None:
    """vLLM 0.22.1 on H200: 34.38, 17.22 and 8.66 GiB of weights on two, four and eight devices.

    Without padding they would be an eighth less.
    """
    for devices, printed in ((2, 34.38), (4, 17.22), (8, 8.66)):
        layout = ReplicaLayout(devices, weights="fp4")
        memory = MemoryUse(0.9, 0.0, expert_padding=ExpertPadding(hidden=256, width=128))
        placed = place_on_gpus(model("gpt-oss-120b"), device("h200-sxm"), layout, memory)
        assert placed.weight_bytes / 2**30 == pytest.approx(printed, rel=0.012)


def test_layers_whose_windows_are_alike_are_one_kind() -> None:
    """DeepSeek-V4 in short: entries of 16 values in 16 bit; one in 4 tokens, one in 8, or none."""
    entry = {"kind": "compressed", "heads": 4, "head_dim": 16, "q_rank": 8, "output_groups": 2, "output_rank": 8, "tokens": 24}  # fmt: skip
    layers = [{**entry, "layers": count, "ratio": ratio} for count, ratio in ((2, 0), (3, 4), (5, 8))]  # fmt: skip
    kinds = cache_kinds(tiny_model(layers=10, attention_layers=layers), "bf16", 1)
    whole = CacheKind(8, (3 * 8 + 5 * 4) / 8, kernel_tokens=64)
    assert kinds == [whole, CacheKind(10, 32.0, "window", 24)]


def test_states_are_shared_by_tensor_parallel_devices() -> None:
    """Two value heads of 8 by 8 in 32 bit, and 3 inputs of 2 x 16 + 16 channels in 16 bit."""
    heads = {"heads": 4, "kv_heads": 2, "head_dim": 16}
    delta = {"kind": "gated_delta_net", "key_heads": 2, "value_heads": 2, "key_dim": 8, "value_dim": 8}  # fmt: skip
    layers = [{"kind": "full", "layers": 1, **heads}, {**delta, "layers": 3}]
    kinds = cache_kinds(tiny_model(layers=4, attention_layers=layers), "bf16", 2)
    assert kinds == [CacheKind(1, 64.0), CacheKind(3, (512 + 3 * 48 * 2) / 2, "state")]
