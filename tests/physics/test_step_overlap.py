"""Two-batch overlap: slots of both halves, sizes from which engines split, and published gains."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.physics.exchange_kinds import ExchangePlan
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.gpu_layers import EXCHANGE
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.replica_layout import GraphPlan, GroupNetwork, ReplicaLayout
from cluster_sim.physics.step_overlap import HalfTimes, OverlapShape, SplitFrom, two_batches
from cluster_sim.physics.step_work import StepWork
from tests.machines import device, model

TIMES = st.floats(0.0, 10.0)
PLAN = ReplicaLayout(
    data_parallel=32,
    expert_parallel=32,
    weights="fp8",
    kv_cache="fp8",
    engine="SGLang 0.5",
    exchange=ExchangePlan("deepep_normal", "deepep_low_latency"),
    network=GroupNetwork(4, 50e9, 2e-6),
    graphs=GraphPlan(decode_sequences=tuple(range(1, 513))),
)
"""DeepSeek-R1 on four nodes of eight H100 with a port of 400 Gb/s each."""


@cache
def steps(overlap: str = "none") -> GpuSteps:
    layout = PLAN._replace(overlap=overlap)  # type: ignore[arg-type]
    return GpuSteps(model("deepseek-r1"), device("h100-sxm"), layout)


def decode(per_device: int, context: int = 2000) -> StepWork:
    batch = 32 * per_device
    return StepWork(batch=batch, sampled=batch, growth=batch, context=batch * context)


def prefill(per_device: int) -> StepWork:
    pairs = 32 * per_device * per_device // 2
    return StepWork(prompt_tokens=32 * per_device, sampled=32, pairs=pairs)


@given(
    times=st.lists(TIMES, min_size=7, max_size=7),
    count=st.integers(1, 60),
    dense=st.integers(0, 5),
    occupied=st.floats(0.0, 0.5),
)
def test_no_step_is_shorter_than_its_longest_part(
    times: list[float], count: int, dense: int, occupied: float
) -> None:
    *of_half, keys_s = times
    half = HalfTimes(*of_half)
    step = two_batches(half, Ramp(keys_s), OverlapShape(count, count + dense, occupied)).first_s
    computing = 2.0 * (half.outside_s + half.around_s + half.experts_s + half.shared_s + keys_s)
    exchanging = 2.0 * (half.dispatch_s + half.combine_s)
    first = half.shared_s / count  # shared experts of one half run beside nothing of their own
    assert step >= computing - first - 1e-9 * computing
    assert step >= exchanging * (1.0 - 1e-9)
    assert step <= (computing + (1.0 + 2.0 * occupied) * exchanging) * (1.0 + 1e-9)


def test_the_longer_part_of_each_slot_counts() -> None:
    """Two layers; per layer and half 3 of attention, 1 of shared, 2 of other experts, 4 to send, 2
    back: 3 + (4 + 4 + 3 + 4) + (4 + 4 + 3 + 2) with nothing but shared experts at the end."""
    half = HalfTimes(0.0, 6.0, 2.0, 4.0, 8.0, 4.0)
    assert two_batches(half, Ramp(0.0), OverlapShape(2, 2)).first_s == 3 + 15 + 13


def test_kernels_that_occupy_processors_slow_computing() -> None:
    """A fifth of 1 us of each exchange adds to 10 us of computing beside it."""
    half = HalfTimes(0.0, 10.0, 0.0, 10.0, 1.0, 1.0)
    free, occupied = (
        two_batches(half, Ramp(0.0), OverlapShape(1, 1, share)).first_s for share in (0.0, 0.2)
    )
    assert occupied - free == pytest.approx(3 * 0.2)  # nothing computes beside the last combine


@pytest.mark.parametrize("work", [decode(128), decode(200, context=20), prefill(4096)])
def test_later_steps_are_on_the_line_of_the_first(work: StepWork) -> None:
    ramp = steps("two_batch").ramp(work)
    for later in (1, 5, min(ramp.valid_steps - 1, 1000)):
        if later < ramp.valid_steps:
            exact = steps("two_batch").ramp(work.later(later)).first_s
            assert ramp.first_s + later * ramp.slope_s == pytest.approx(exact, rel=1e-12)


def test_verification_and_drafts_overlap_too() -> None:
    work = decode(128)
    plain, overlapped = steps(), steps("two_batch")
    assert overlapped.verify(work, 2).first_s < plain.verify(work, 2).first_s
    assert overlapped.draft(work, 1).first_s < plain.draft(work, 1).first_s
    assert overlapped.verify(work, 1).first_s == pytest.approx(overlapped.ramp(work).first_s)


def test_small_steps_run_as_one_batch() -> None:
    """vLLM splits from 32 decoding tokens and 512 tokens with prompts on."""
    limits = SplitFrom(32, 512)
    assert not limits.splits(31, has_prompts=False)
    assert limits.splits(32, has_prompts=False)
    assert not limits.splits(511, has_prompts=True)
    assert steps("two_batch").ramp(decode(1)) == steps().ramp(decode(1))


@pytest.mark.parametrize("tokens", [2048, 4096, 8192])
def test_prefill_gains_what_was_published(tokens: int) -> None:
    """27 to 35 % (LMSYS, May 2025), without a constant fitted to it.

    With experts by measured kernels it is 24 to 47 %.
    """
    gain = steps().ramp(prefill(tokens)).first_s / steps("two_batch").ramp(prefill(tokens)).first_s
    assert 1.2 < gain < 1.5


def test_decode_gains_with_large_batches_alone() -> None:
    """A gain from about 64 sequences per device on, a loss below; 25 % were published of 256."""
    gains = {
        batch: steps().ramp(decode(batch)).first_s / steps("two_batch").ramp(decode(batch)).first_s
        for batch in (16, 128, 256)
    }
    assert gains[16] < 0.9
    assert 1.0 < gains[128] < 1.2
    assert 1.15 < gains[256] < 1.4


def test_parts_of_an_overlapped_step_show_what_is_left_of_the_exchange() -> None:
    plain, overlapped = (steps(overlap).parts(prefill(4096)) for overlap in ("none", "two_batch"))
    assert sum(overlapped.values()) == pytest.approx(1.0)
    assert 0.0 < overlapped[EXCHANGE] < 0.3 * plain[EXCHANGE]
    assert overlapped["overhead"] >= 0.0
