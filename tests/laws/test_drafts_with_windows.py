"""Drafts of models with sliding windows: keys, pages and times as counted sequence by sequence."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster_sim.physics.cache_groups import CacheGroup, pages_held
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.speculative_steps import Drafts, SpeculativeSteps
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import SpeculativeBlocks
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.kv_cache.speculative_groups import SpeculativeGroupedBlocks
from cluster_sim.serving.scheduler import Continuous, Drafting, SchedulerLimits
from cluster_sim.serving.scheduler.speculative_window import SpeculativeWindow
from cluster_sim.serving.speculation import Speculation
from cluster_sim.workload.random_streams import numbered
from tests.machines import small_gpu, tiny_model
from tests.serve import serve

ONE = SpeculativeBlocks.ONE
GROUPS = (CacheGroup(4, 2), CacheGroup(2, 3, "window", 9), CacheGroup(4, 1, "window", 30))

sequences = st.lists(
    st.tuples(
        st.integers(0, 40),  # step at which it joins
        st.integers(1, 60),  # tokens when it joins
        st.integers(1, 40),  # steps until it leaves
        st.integers(ONE, 2 * ONE),  # rate: up to one draft of all is accepted
    ),
    min_size=1,
    max_size=6,
)


def present(rows: list[tuple[int, int, int, int]], now: int) -> list[tuple[Fraction, int]]:
    """Tokens and rate of each sequence in the batch at step `now`."""
    return [
        (Fraction(length * ONE + (now - first) * rate, ONE), rate)
        for first, length, steps, rate in rows
        if first <= now < first + steps
    ]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(sequences, st.integers(1, 4), st.data())
def test_keys_and_pages_are_those_of_a_count_of_each_sequence(
    rows: list[tuple[int, int, int, int]], drafts: int, data: st.DataObject
) -> None:
    """A window reads w + k keys once w - 1 tokens stand before the step, and all before that."""
    window, blocks = SpeculativeWindow(9, drafts), SpeculativeGroupedBlocks(GROUPS, drafts)
    now = 0
    while now <= 80:
        for first, length, steps, rate in rows:
            offset = length * ONE - first * rate
            if first + steps == now:
                blocks.leave(offset, rate)
                window.sequences.leave(offset, rate, now)
            if first == now:
                blocks.join(offset, rate)
                window.sequences.join(offset, rate, now)
        blocks.count_tokens(now)
        inside = present(rows, now)
        keys = sum(min(tokens + 1 + drafts, 9 + drafts) for tokens, _ in inside)
        assert window.keys(now) == float(keys)
        assert blocks.tokens == float(sum(tokens for tokens, _ in inside))
        assert blocks.taken(now) == pages(inside, drafts)
        changes = [first for first, *_ in rows] + [first + steps for first, _, steps, _ in rows]
        until = min((step - now for step in changes if step > now), default=81)
        until = min(until, blocks.steps_until_change(now), window.sequences.steps_until_change(now))
        step = data.draw(st.integers(1, until))
        assert blocks.most(step) >= blocks.taken(now + step)
        if inside:
            assert blocks.taken(now + step) == pages(
                [(tokens + Fraction(step * rate, ONE), rate) for tokens, rate in inside],
                drafts,
                now=inside,
            )
        now += step
        blocks.advance(now)
        window.sequences.advance(now)


def pages(
    inside: list[tuple[Fraction, int]], drafts: int, now: list[tuple[Fraction, int]] | None = None
) -> int:
    """Pages of all groups: windows hold what the queries of a step see at most, once they are full.

    A window that is not full at the beginning of a stretch grows until its end.
    """
    total = 0
    for block, each, view, size, _ in GROUPS:
        spare = drafts + ceil(block / 2)
        if view == "context":
            total += each * ceil(sum(tokens + spare for tokens, _ in inside) / block)
            continue
        # the window of the first query and the drafts, at any place within a block
        most = max(
            len({(at + key) // block for key in range(size + drafts)}) for at in range(block)
        )
        before = inside if now is None else now
        full = [tokens + spare >= most * block for tokens, _ in before]
        growing = sum(
            tokens + spare for (tokens, _), is_full in zip(inside, full, strict=True) if not is_full
        )
        total += each * (ceil(Fraction(growing) / block) + most * sum(full))
    return total


def test_pages_of_many_sequences_are_enough_for_each_and_its_drafts() -> None:
    """Against vLLM's rule, by which a sequence holds whole blocks for its tokens and its drafts."""
    drafts, rng = 3, np.random.default_rng(5)
    blocks = SpeculativeGroupedBlocks(GROUPS, drafts)
    lengths = [int(length) for length in rng.integers(40, 400, 300)]
    for length in lengths:
        blocks.join(length * ONE, 2 * ONE)
    held = sum(pages_held(GROUPS, length + 1 + drafts, 1 + drafts) for length in lengths)
    assert blocks.taken(0) == pytest.approx(held, rel=0.02)


def test_a_window_is_read_once_for_all_verified_tokens() -> None:
    """Two layers, one with a window of 32: four queries read 32 + 3 keys of it, and 1,003 of the
    other. With a hundredth of the arithmetic to do, reading counts.
    """
    times = GpuSteps(
        tiny_model(window={"tokens": 32, "layers": 1}), small_gpu(peak={"bf16": "1 TFLOP/s"})
    )
    step = {"batch": 1, "growth": 1.0, "sampled": 1, "growing": 0.0}
    nothing_s = times.verify(StepWork(**step, context=0, windowed=0), 4).first_s
    both, bare = (
        times.verify(StepWork(**step, context=context, windowed=windowed), 4)
        for context, windowed in ((1_003, 35), (1_003, 0))
    )
    whole_s = bare.first_s - nothing_s
    assert both.first_s - bare.first_s == pytest.approx(whole_s * 35 / 1_003, rel=1e-9)


@pytest.mark.parametrize(("acceptance", "made"), [(0.0, 1), (1.0, 3)])
@pytest.mark.parametrize("groups", [(), (CacheGroup(8), CacheGroup(4, 2, "window", 20))])
@pytest.mark.parametrize("stepping", [False, True])
def test_times_are_those_of_an_engine_that_looks_at_each_sequence(
    acceptance: float, made: int, groups: tuple[CacheGroup, ...], *, stepping: bool
) -> None:
    """Five prompts at once, answers of 1 + 3n tokens: every step makes one token or three."""
    shapes = [(30, 31), (5, 61), (17, 4), (40, 16), (1, 91)]
    times = SpeculativeSteps(
        GpuSteps(tiny_model(window={"tokens": 20, "layers": 1}), small_gpu()),
        Drafts(2, GpuSteps(tiny_model(layers=1), small_gpu()), 2),
    )
    requests = [Request(number, 0.0, *shape) for number, shape in enumerate(shapes)]
    drafting = Drafting(
        Speculation(draft_tokens=2, acceptance=acceptance), numbered(1, "speculation")
    )
    limits = SchedulerLimits(8, 200, 4096, chunked_prefill=True, view=LimitedView(20))
    spec = KVCacheSpec(8_000, 4, prefix_caching=False, groups=groups, pages=4_000 if groups else 0)

    def scheduler() -> Any:
        return Continuous().scheduler(limits, spec, drafting=drafting)

    serve(requests, times, scheduler, stepping)
    assert [request.finish_s for request in requests] == pytest.approx(
        slowly(shapes, times, made), rel=1e-9
    )


def slowly(shapes: list[tuple[int, int]], times: SpeculativeSteps, made: int) -> list[float]:
    """The first step reads all prompts; every other step adds `made` tokens to each sequence."""
    pairs = sum(prompt * (prompt + 1) // 2 for prompt, _ in shapes)
    seen = sum(min(place + 1, 20) for prompt, _ in shapes for place in range(prompt))
    prompts = sum(prompt for prompt, _ in shapes)
    first = StepWork(prompt_tokens=prompts, sampled=len(shapes), pairs=pairs, window_pairs=seen)
    now_s = times.ramp(first).first_s
    finish_s = [0.0] * len(shapes)
    answers = [1] * len(shapes)
    while open_ := [n for n, (_, output) in enumerate(shapes) if answers[n] < output]:
        stored = [shapes[n][0] + answers[n] - 1 for n in open_]
        work = StepWork(
            batch=len(open_),
            growth=float(made * len(open_)),
            context=sum(tokens + 3 for tokens in stored),
            windowed=sum(min(tokens + 3, 20 + 2) for tokens in stored),
            growing=float(made * sum(tokens + 1 < 20 for tokens in stored)),
            sampled=len(open_),
        )
        now_s += times.ramp(work).first_s
        for n in open_:
            answers[n] += made
            if answers[n] >= shapes[n][1]:
                finish_s[n] = now_s
    return finish_s
