"""Devices with a memory for weights beside that of the KV cache, by arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from cluster_sim.hardware.device import Device
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.memory_use import MemoryUse
from cluster_sim.physics.placement import place_on_gpus
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from tests.machines import device, model, small_gpu, tiny_model

SRAM = {"capacity": "1 GB", "bandwidth": "100 GB/s"}


def hybrid(overlap: float, **changes: Any) -> Device:
    return small_gpu(weight_memory=SRAM | {"overlap": overlap}, **changes)


def test_weights_are_read_from_their_memory_and_kv_from_the_other() -> None:
    """Times of a device with an infinite compute peak and two memories.

    The part of the context takes as long as with one memory, the rest takes a hundredth.
    """
    fast = {"bf16": "1000 PFLOP/s"}
    still = {"default": {"step": "0 s", "layer": "0 s"}}
    one, two = (GpuSteps(tiny_model(), gpu) for gpu in (small_gpu(peak=fast, overheads=still), hybrid(0.0, peak=fast, overheads=still)))  # fmt: skip
    assert two.ramp(StepWork(batch=1, growth=1, growing=1)).first_s == approx(
        one.ramp(StepWork(batch=1, growth=1, growing=1)).first_s / 100
    )
    assert two.ramp(StepWork(batch=1, growth=1, growing=1)).slope_s == approx(
        one.ramp(StepWork(batch=1, growth=1, growing=1)).slope_s
    )


@pytest.mark.parametrize("overlap", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("prompt", [0, 64])
def test_of_reading_kv_and_all_else_the_shorter_hides_by_the_overlap(
    overlap: float, prompt: int
) -> None:
    """The sum of both less the share of the lesser, step by step, on either side of where they are
    equal.
    """

    def step_s(steps: GpuSteps, context: int) -> tuple[float, float, int]:
        return (
            steps.ramp(
                StepWork(
                    batch=4, growth=4, context=context, prompt_tokens=prompt, sampled=5, pairs=2080
                )
            )
            if prompt
            else steps.ramp(StepWork(batch=4, growth=4, context=context))
        )

    still = {"default": {"step": "100 us", "layer": "20 us"}}
    apart, together = (
        GpuSteps(tiny_model(), hybrid(share, overheads=still)) for share in (0.0, overlap)
    )
    else_s = step_s(apart, 0)[0]
    for context in (0, 100, 2_000, 4_000, 8_000, 100_000):
        kv_s = step_s(apart, context)[0] - else_s
        first_s, slope_s, steps = step_s(together, context)
        assert first_s == approx(else_s + kv_s - overlap * min(else_s, kv_s))
        for later in {0, min(steps, 2) - 1, min(steps, 500) - 1}:
            assert first_s + later * slope_s == approx(step_s(together, context + 4 * later)[0])


seconds = st.one_of(st.just(0.0), st.floats(1e-9, 10.0))


@given(seconds, seconds, seconds, seconds, st.floats(0.0, 1.0), st.integers(0, 60))
def test_what_overlaps_is_one_line_for_as_long_as_it_says(
    one_s: float, one_slope: float, other_s: float, other_slope: float, share: float, later: int
) -> None:
    first_s, slope_s, steps = Ramp(one_s, one_slope).overlapped(Ramp(other_s, other_slope), share)
    assert steps >= 1
    later = min(later, steps - 1)
    one, other = one_s + later * one_slope, other_s + later * other_slope
    assert first_s + later * slope_s == approx(
        one + other - share * min(one, other), rel=1e-6, abs=1e-6
    )


def test_parts_of_a_step_with_two_memories_add_up_to_it() -> None:
    parts = GpuSteps(
        model("llama-3.3-70b"),
        device("hybrid-sram-hbm"),
        ReplicaLayout(
            tensor_parallel=8, pipeline_parallel=8, weights="fp8", kv_cache="fp8", engine="compiled"
        ),
    ).parts(
        StepWork(
            batch=64,
            context=640_000,
            prompt_tokens=512,
            sampled=65,
            pairs=131_328,
            window_pairs=131_328,
        )
    )
    assert sum(parts.values()) == approx(1.0)
    assert all(share >= 0.0 for share in parts.values())


def test_weights_of_their_own_memory_leave_all_of_the_other_to_kv_and_must_fit() -> None:
    """Tiny model in bf16: 106,816 weights of 2 B; a token takes 2 x 2 heads x 16 x 2 B in each of
    two layers, 256 B.
    """
    roomy, narrow = (small_gpu(memory={"capacity": "1 MB", "bandwidth": "1 GB/s"}, weight_memory={"capacity": size, "bandwidth": "1 GB/s"}) for size in ("300 kB", "200 kB"))  # fmt: skip
    room, none = (
        place_on_gpus(tiny_model(), gpu, ReplicaLayout(), MemoryUse(0.9, 0.0))
        for gpu in (roomy, narrow)
    )
    assert room.weight_bytes == 2 * 106_816
    assert room.weight_free_bytes == approx(270_000 - 213_632)
    assert room.kv_tokens == 900_000 // 256
    assert none.kv_tokens == 0


def test_a_model_that_drafts_takes_weight_memory_too() -> None:
    target, drafter = (
        place_on_gpus(tiny_model(layers=layers), hybrid(0.0), ReplicaLayout(), MemoryUse(1.0, 0.0))
        for layers in (4, 2)
    )
    both = target.beside(drafter)
    assert both.kv_bytes == target.kv_bytes
    assert both.weight_free_bytes == approx(1e9 - target.weight_bytes - drafter.weight_bytes)
    assert both.kv_token_bytes == target.kv_token_bytes + drafter.kv_token_bytes
