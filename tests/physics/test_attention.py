"""Attention kernels: lines are lines, limits by mental arithmetic."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pytest import approx

from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.decode_attention import (
    generation_attention_s,
    generation_floor_s,
    generation_line,
)
from cluster_sim.physics.prefill_attention import (
    Chunk,
    context_attention_s,
    context_floor_s,
    context_line,
)
from tests.attention_fits import context, generation, kernels_of

GPUS = ("b200-sxm", "gb200", "h200-sxm", "h100-sxm", "a100-sxm")


@pytest.mark.parametrize("batch", [1, 16, 512])
def test_decode_attention_is_a_line_in_keys(batch: int) -> None:
    fixed_s, per_key_s = generation_line(generation(), AttentionShape(32, 8, 128, 2.0), batch)
    for keys in (batch * 3000, batch * 3000 + 1, batch * 100_000):
        assert (
            generation_attention_s(generation(), AttentionShape(32, 8, 128, 2.0), batch, keys)
            == fixed_s + keys * per_key_s
        )


def test_short_sequences_take_as_long_as_one_tile() -> None:
    floor_s = generation_floor_s(generation(), AttentionShape(32, 8, 128, 2.0), 64)
    assert {
        generation_attention_s(generation(), AttentionShape(32, 8, 128, 2.0), 64, 64 * keys)
        for keys in (1, 50, 120)
    } == {floor_s}


def test_long_decodes_read_at_the_full_bandwidth() -> None:
    """256 sequences of 8 KV heads of 100,000 keys: 8 heads x 128 wide x key and value x 2 B = 4 kiB
    a key, 105 GB in all.
    """
    seconds = generation_attention_s(
        generation(), AttentionShape(32, 8, 128, 2.0), 256, 256 * 100_000
    )
    assert seconds == approx(256 * 100_000 * 4096 / generation().bandwidth_bytes_per_s, rel=0.005)


def test_one_head_of_one_sequence_cannot_use_the_whole_bandwidth() -> None:
    """One unit reads at bandwidth / (1 + half_units)."""
    _, per_key_s = generation_line(generation(), AttentionShape(8, 1, 128, 2.0), 1)
    assert per_key_s == approx(
        512 / generation().bandwidth_bytes_per_s * (1 + generation().half_units)
    )


def test_a_window_costs_its_start_and_half_a_tile() -> None:
    """128 keys of one KV head of 128 values in 16 bit: 64 more of 512 B, at bandwidth / (1 +
    half_units) for the single unit.
    """
    fit = generation()
    plain, cut = (
        generation_attention_s(fit, AttentionShape(8, 1, 128, 2.0), 1, 129, windowed=windowed)
        for windowed in (False, True)
    )
    assert cut - plain == approx(
        fit.window_s + 64 * 512 * (1 + fit.half_units) / fit.bandwidth_bytes_per_s
    )
    assert generation_attention_s(
        fit, AttentionShape(8, 1, 128, 2.0), 1, 100, windowed=True
    ) > generation_floor_s(fit, AttentionShape(8, 1, 128, 2.0), 1)


def test_prefill_is_a_line_in_pairs() -> None:
    line = context_line(context(), AttentionShape(64, 8, 128, 1.0), 2)
    for tokens, past in ((2000, 0), (2000, 30_000), (512, 8192)):
        pairs = sum(past + token for token in range(1, tokens + 1))
        wanted = line.fixed_s + 2 * (
            line.per_token_s * tokens + line.per_past_s * past + line.per_pair_s * pairs
        )
        assert context_attention_s(
            context(), AttentionShape(64, 8, 128, 1.0), 2, Chunk(tokens, past)
        ) == approx(wanted, rel=1e-12)


def test_long_prompts_compute_at_the_fitted_rate() -> None:
    """A million tokens: 5e11 pairs of 4 x (128 + extra) FLOP for each of 64 heads, all else below 2
    %.
    """
    fit = context()
    flop = 5e11 * 4 * (128 + fit.extra_values) * 64
    assert context_attention_s(
        fit, AttentionShape(64, 8, 128, 2.0), 1, Chunk(1_000_000, 0)
    ) == approx(flop / fit.compute_flop_per_s, rel=0.02)


def test_queries_that_share_their_keys_waste_less_of_a_tile() -> None:
    """1,000 tokens of 64 heads: with a KV head each they take tile_tokens more pairs a token, with
    one in eight an eighth of those.
    """
    fit = context()
    alone, shared = (
        context_attention_s(fit, AttentionShape(64, kv_heads, 128, 2.0), 4, Chunk(1000, 0))
        for kv_heads in (64, 8)
    )
    pair_s = 64 * 4 * (128 + fit.extra_values) / fit.compute_flop_per_s
    assert alone - shared == approx(4 * 1000 * pair_s * fit.tile_tokens * 7 / 8)


def test_cached_tokens_are_read_at_the_share_of_the_bus_and_new_ones_computed_at_the_clock() -> (
    None
):
    fit = context()
    _, _, read_s, pair_s = context_line(fit, AttentionShape(64, 8, 128, 2.0), 1)
    _, _, halved_read_s, _ = context_line(fit.at(1.0, 0.5), AttentionShape(64, 8, 128, 2.0), 1)
    assert halved_read_s - read_s == approx(
        4096 / fit.bandwidth_bytes_per_s
    )  # 8 heads x 128 x key and value x 2 B, once more
    assert context_line(fit.at(0.5), AttentionShape(64, 8, 128, 2.0), 1).per_pair_s == approx(
        2 * pair_s
    )


def test_decode_reads_at_the_share_of_the_bus_and_starts_at_the_clock() -> None:
    fit = generation()
    fixed_s, per_key_s = generation_line(fit, AttentionShape(64, 8, 128, 2.0), 4)
    half = generation_line(fit.at(1.0, 0.5), AttentionShape(64, 8, 128, 2.0), 4)
    slow = generation_line(fit.at(0.795), AttentionShape(64, 8, 128, 2.0), 4)
    assert half == (fixed_s, approx(2 * per_key_s))
    assert slow == (
        approx(fixed_s / 0.795),
        approx(per_key_s / 0.9706, rel=1e-3),
    )  # 0.795^0.13 = 0.9706


def test_prompts_of_one_token_take_the_floor() -> None:
    assert context_attention_s(
        context(), AttentionShape(32, 8, 128, 2.0), 64, Chunk(1, 0)
    ) == context_floor_s(context(), AttentionShape(32, 8, 128, 2.0), 64)


def test_a_window_that_is_never_reached_changes_nothing() -> None:
    free = context_attention_s(context(), AttentionShape(32, 8, 128, 2.0), 2, Chunk(1000, 500))
    assert (
        context_attention_s(
            context(), AttentionShape(32, 8, 128, 2.0), 2, Chunk(1000, 500), window=1500
        )
        == free
    )
    assert context_attention_s(
        context(), AttentionShape(32, 8, 128, 2.0), 2, Chunk(1000, 500), window=1499
    ) == approx(free, rel=0.01)
    assert (
        context_attention_s(
            context(), AttentionShape(32, 8, 128, 2.0), 2, Chunk(1000, 500), window=128
        )
        < free
    )


@pytest.mark.parametrize(
    ("device", "key"),
    [
        (device, key)
        for device in GPUS
        for key in sorted({*kernels_of(device).generation, *kernels_of(device).context})
    ],
)
def test_more_of_anything_never_takes_less(device: str, key: str) -> None:
    """Also far outside what was measured; keys and tokens are those of a sequence."""
    fits = kernels_of(device)
    decode, prefill = (
        fits.generation.get(key, fits.generation["bf16"]),
        fits.context.get(key, fits.context["bf16"]),
    )
    small = {"batch": 3, "tokens": 100, "heads": 8, "kv_heads": 2, "head_dim": 64}
    for name in small:
        times = []
        for factor in (1, 2, 4, 100, 10_000):
            one = small | {name: small[name] * factor}
            shape = AttentionShape(one["heads"], one["kv_heads"], one["head_dim"], 2.0)
            times.append(
                (
                    generation_attention_s(
                        decode, shape, one["batch"], one["batch"] * one["tokens"]
                    ),
                    context_attention_s(prefill, shape, one["batch"], Chunk(one["tokens"], 10)),
                )
            )
        for before, after in pairwise(times):
            assert 0 < before[0] <= after[0]
            assert 0 < before[1] <= after[1]
