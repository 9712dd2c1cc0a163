"""State part of linear attention: lines are lines, limits by mental arithmetic."""

from __future__ import annotations

import pytest
from pytest import approx

from cluster_sim.hardware.linear_fit import LinearAttentionFit
from cluster_sim.physics.linear_attention import (
    LinearShape,
    linear_decode_s,
    linear_prefill_line,
    linear_prefill_s,
    linear_roofline,
    scan_flop,
)

SHAPE = LinearShape(heads=64, key_dim=128, value_dim=128, channels=12_288)
FIT = LinearAttentionFit.model_construct(
    start_s=6e-6,
    free_heads=100.0,
    bandwidth_bytes_per_s=4e12,
    channel_s=1e-12,
    prompt_start_s=20e-6,
    prompt_free_heads=100.0,
    prompt_head_s=1e-7,
    walk_s=4e-8,
    compute_flop_per_s=1e14,
    overlap=2.0,
    prompt_channel_s=0.0,
)


def test_one_head_of_128_by_128_values_in_32_bit_is_64_kib() -> None:
    assert SHAPE.head_state_bytes == 65_536


def test_a_batch_reads_and_writes_every_state_once() -> None:
    """1,000 sequences of 64 heads of 64 KiB, there and back, are 8.39 GB: 2.1 ms at 4 TB/s."""
    seconds = linear_roofline(SHAPE._replace(channels=0), 4e12, 1e15)
    assert linear_decode_s(seconds, SHAPE._replace(channels=0), 1000) == approx(2.097e-3, rel=1e-3)


def test_decoding_is_affine_in_the_batch_beyond_the_free_heads() -> None:
    first, second, third = (linear_decode_s(FIT, SHAPE, batch) for batch in (10, 20, 30))
    assert third - second == approx(second - first)
    assert linear_decode_s(FIT, SHAPE, 1) == approx(6e-6 + 12_288e-12)  # 64 heads of 100 free ones


def test_a_state_in_16_bit_takes_half_as_long() -> None:
    fit = linear_roofline(SHAPE, 4e12, 1e15)
    bare = SHAPE._replace(channels=0)
    half = linear_decode_s(fit, bare._replace(value_bytes=2.0), 100)
    assert half == approx(linear_decode_s(fit, bare, 100) / 2)


def test_the_delta_rule_computes_about_twice_as_much_as_a_sum() -> None:
    assert scan_flop(SHAPE) / scan_flop(SHAPE._replace(is_delta=False)) == approx(1.83, abs=0.01)


def test_the_line_of_prompts_is_their_time_where_states_are_free() -> None:
    """One sequence of 64 heads has 64 states, of which a hundred are free."""
    line = linear_prefill_line(FIT, SHAPE)
    for tokens in (4, 1000, 100_000):
        expected = line.fixed_s + tokens * line.token_s
        assert linear_prefill_s(FIT, SHAPE, 1, tokens) == approx(expected)


@pytest.mark.parametrize("tokens", [64, 4096, 1_000_000])
def test_the_line_of_prompts_is_nowhere_below_their_time(tokens: int) -> None:
    line = linear_prefill_line(FIT, SHAPE, 64)
    seconds = linear_prefill_s(FIT, SHAPE, 64, tokens)
    assert seconds <= line.fixed_s + tokens * line.token_s <= 1.42 * seconds


def test_few_tokens_of_many_sequences_read_their_states() -> None:
    """64 sequences of 64 heads have 4,096 states, 3,996 of which take 0.1 us each."""
    assert linear_prefill_s(FIT, SHAPE, 64, 64) == approx(20e-6 + 399.6e-6, rel=1e-3)


def test_one_sequence_of_few_heads_walks_along_its_tokens() -> None:
    """One head computes 180 kFLOP a token, 1.8 ns, while the walk takes 40 ns."""
    assert linear_prefill_line(FIT, SHAPE._replace(heads=1), 1).token_s == approx(4e-8, rel=0.01)


def test_many_sequences_of_many_heads_compute() -> None:
    """64 heads of 180,224 FLOP are 11.5 MFLOP a token: 115 ns at 100 TFLOP/s."""
    assert linear_prefill_line(FIT, SHAPE, 1000).token_s == approx(115.3e-9, rel=0.001)


def test_a_roofline_of_prompts_counts_the_convolution_and_the_scan() -> None:
    """Per token 4 B of each of 12,288 channels at 4 TB/s and 11.5 MFLOP at 1 PFLOP/s."""
    line = linear_prefill_line(linear_roofline(SHAPE, 4e12, 1e15), SHAPE, 1)
    assert line.token_s == approx(12.288e-9 + 11.534e-9, rel=0.001)


@pytest.mark.parametrize("clock", [0.5, 0.9])
def test_at_a_lower_clock_computing_slows_with_it_and_memory_hardly(clock: float) -> None:
    slowed = FIT.at(clock)
    assert slowed.compute_flop_per_s == approx(clock * FIT.compute_flop_per_s)
    assert slowed.bandwidth_bytes_per_s == approx(clock**0.13 * FIT.bandwidth_bytes_per_s)
    assert slowed.walk_s == approx(FIT.walk_s / clock)
    assert slowed.overlap == FIT.overlap
