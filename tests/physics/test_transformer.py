"""FLOP and bytes of a step against published figures and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.physics import kv_sizes, limited_view, transformer
from tests.machines import model, tiny_model


@pytest.mark.parametrize(
    ("name", "per_token"),
    [("llama-3.1-8b", 131_072), ("llama-3.3-70b", 327_680), ("llama-3.1-405b", 516_096), ("mixtral-8x7b", 131_072), ("qwen3-235b", 192_512), ("gpt-oss-120b", 36_864), ("deepseek-r1", 70_272)],
)  # fmt: skip
def test_a_token_takes_the_published_bytes_of_kv_cache(name: str, per_token: int) -> None:
    """Two bytes a value; only layers that see the whole context keep every token."""
    assert kv_sizes.growing_kv_bytes(model(name), "bf16") == per_token


@pytest.mark.parametrize(
    ("name", "gflop"),
    [("llama-3.1-8b", 15.0), ("llama-3.3-70b", 139.0), ("llama-3.1-405b", 807.5), ("mixtral-8x7b", 25.5), ("qwen3-235b", 43.1), ("gpt-oss-120b", 10.3), ("deepseek-r1", 73.2)],
)  # fmt: skip
def test_a_token_takes_the_published_flop_in_its_linear_layers(name: str, gflop: float) -> None:
    """Two for each active weight, the head included, one token sampled."""
    flop = transformer.linear_flop(model(name), 1, 1)
    assert flop / 1e9 == pytest.approx(gflop, rel=0.005)


def test_a_batch_of_one_touches_top_k_experts_and_a_large_one_all() -> None:
    assert transformer.distinct_experts(128, 4, 1) == pytest.approx(4)
    assert transformer.distinct_experts(128, 4, 100_000) == pytest.approx(128)
    drawn = [
        len({expert for _ in range(20) for expert in rng.choice(16, 2, replace=False).tolist()})
        for rng in map(np.random.default_rng, range(2_000))
    ]
    assert transformer.distinct_experts(16, 2, 20) == pytest.approx(np.mean(drawn), rel=0.01)


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 300))
def test_pairs_are_counted_as_one_by_one(chunk: int, past: int, window: int) -> None:
    assert limited_view.causal_pairs(chunk, past) == sum(past + query + 1 for query in range(chunk))
    assert limited_view.window_pairs(chunk, past, window) == sum(
        min(past + query + 1, window) for query in range(chunk)
    )


def test_kv_heads_are_copied_where_there_are_more_devices_than_heads() -> None:
    """8 KV heads over 16 devices: each holds one, as over 8; latent attention is copied on each."""
    llama, deepseek = model("llama-3.3-70b"), model("deepseek-r1")
    assert (
        kv_sizes.growing_kv_bytes(llama, "fp8", 16)
        == kv_sizes.growing_kv_bytes(llama, "fp8", 8)
        == 80 * 2 * 128
    )
    assert (
        kv_sizes.growing_kv_bytes(deepseek, "fp8", 8)
        == kv_sizes.growing_kv_bytes(deepseek, "fp8", 1)
        == 61 * (512 + 64)
    )


def test_bytes_of_a_step_are_weights_and_kv_by_hand() -> None:
    """Tiny model: 2 x 12,288 attention, 2 x 24,576 feed-forward, 16,384 head weights of 2 B; KV 128
    B a token and layer.
    """
    tiny = tiny_model()
    traffic = kv_sizes.kv_traffic(tiny, "bf16")
    assert transformer.step_weight_bytes(tiny, "bf16", 5) == 2 * (2 * 12_288 + 2 * 24_576 + 16_384)
    assert transformer.step_weight_bytes(tiny, "bf16", 5, weight_reuse=False) == 5 * 2 * (
        2 * 12_288 + 2 * 24_576 + 16_384
    )
    assert traffic.step_bytes(3, 100, 0, 1) == 2 * 128 * 100 + 2 * 128 * 3


@pytest.mark.parametrize(("tokens", "kept"), [(0, 0), (1, 1), (16, 16), (17, 1), (40, 8)])
def test_of_chunks_a_sequence_keeps_the_present_one(tokens: int, kept: int) -> None:
    """A key and a value of two heads of 16 in 16 bit: 128 B a token and layer."""
    heads = {"heads": 4, "kv_heads": 2, "head_dim": 16}
    layers = [{"kind": "full", "layers": 1, **heads}, {"kind": "chunked", "layers": 3, "tokens": 16, **heads}]  # fmt: skip
    chunked = tiny_model(layers=4, attention_layers=layers)
    assert kv_sizes.sequence_kv_bytes(chunked, "bf16", 1, tokens) == 128 * (tokens + 3 * kept)
