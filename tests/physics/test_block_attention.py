"""Decode attention in which the longest part counts: FlashInfer's plan, and brute force."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
import pytest
from pytest import approx

from cluster_sim.hardware.block_attention_fit import BlockAttentionFit
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.block_attention import block_attention
from cluster_sim.physics.ramp import ALWAYS

FIT = BlockAttentionFit.model_validate({
    "start": "0 s", "key": "10 ns", "bandwidth": "1 PB/s", "thread_blocks": 296, "least_keys": 128,
})  # fmt: skip


def planned_s(lengths: np.ndarray, heads: int) -> float:
    """Time by the plan itself: the shortest parts that are few enough, then blocks in turns."""
    most, part = 296 // heads, 128
    while np.ceil(lengths / part).sum() > most and part < lengths.max():
        part += 16
    parts = [
        min(part, length - start) for length in lengths for start in range(0, int(length), part)
    ]
    ends: list[float] = []
    for work in parts * heads:
        begin = heappop(ends) if len(ends) == 296 else 0.0
        heappush(ends, begin + 10e-9 * work)
    return max(ends)


@pytest.mark.parametrize("heads", [1, 2, 8])
@pytest.mark.parametrize("batch", [4, 16, 31, 64, 128, 256])
def test_the_time_is_that_of_the_plan_for_lengths_of_conversations(batch: int, heads: int) -> None:
    rng, ratios = np.random.default_rng(batch), []
    for _ in range(12):
        lengths = np.ceil(rng.lognormal(7.6, 0.9, batch))
        attention = block_attention(FIT, AttentionShape(8 * heads, heads, 128, 1.0), batch)
        time_s = attention.stretch(lengths.sum(), batch, lengths.max()).first_s
        ratios.append(time_s / planned_s(lengths, heads))
    assert np.mean(ratios) == approx(1.0, abs=0.13)


def test_equal_lengths_are_read_whole_if_there_is_a_block_for_each() -> None:
    attention = block_attention(FIT, AttentionShape(64, 8, 128, 1.0), 36)
    assert attention.stretch(36 * 5000, 36, 5000).first_s == approx(5000 * 10e-9)


def test_many_short_sequences_are_bound_by_the_memory() -> None:
    fit = FIT.model_copy(update={"bandwidth_bytes_per_s": 1e12})
    attention = block_attention(fit, AttentionShape(64, 8, 128, 2.0), 256)
    assert attention.stretch(256 * 1000, 256, 1000).first_s == approx(256_000 * 4096 / 1e12)


@pytest.mark.parametrize("batch", [1, 5, 16, 30, 37, 64, 300])
@pytest.mark.parametrize("longest", [100, 900, 4000, 60_000])
def test_a_stretch_is_as_long_as_its_steps(batch: int, longest: int) -> None:
    fit = FIT.model_copy(update={"bandwidth_bytes_per_s": 4e12})
    attention = block_attention(fit, AttentionShape(64, 8, 128, 2.0), batch)
    keys, step = batch * min(longest, 700), 0
    while step < 4000:
        ramp = attention.stretch(keys + batch * step, batch, longest + step)
        steps = min(ramp.valid_steps, 4000 - step)
        assert steps >= 1
        for ahead in {0, steps // 2, steps - 1}:
            later = step + ahead
            alone = attention.stretch(keys + batch * later, batch, longest + later)
            assert ramp.first_s + ahead * ramp.slope_s == approx(alone.first_s, rel=1e-9)
        if ramp.valid_steps == ALWAYS:
            break
        step += steps
