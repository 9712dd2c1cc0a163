"""Blocks of a KV cache are counted as they would be one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import DecodingBlocks
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.kv_cache.swap_space import SwapSpace
from cluster_sim.serving.scheduler.decoding import DecodingSequences


@given(
    st.integers(1, 16),
    st.lists(st.tuples(st.integers(-40, 40), st.booleans()), max_size=30),
    st.integers(0, 100),
)
def test_blocks_taken_are_those_of_each_sequence_rounded_up(
    block: int, sequences: list[tuple[int, bool]], clock: int
) -> None:
    blocks, staying = DecodingBlocks(block), []
    for offset, leaves in sequences:
        offset += 41 - clock if offset + clock < 1 else 0
        blocks.join(offset, 1)
        if leaves:
            blocks.leave(offset, 1)
        else:
            staying.append(offset)
    taken = blocks.taken(clock)
    assert taken == sum(-(-(offset + clock) // block) for offset in staying)
    blocks.tokens = sum(offset + clock for offset in staying)
    assert taken <= blocks.most(0)


jobs = st.lists(
    st.tuples(st.integers(1, 50), st.integers(2, 40)), max_size=12
)  # prompt, answer [tokens]


@given(jobs, st.integers(1, 16), st.integers(0, 30), st.integers(0, 20))
def test_taken_promised_and_free_blocks_make_up_the_capacity(
    lengths: list[tuple[int, int]], block: int, steps: int, promised: int
) -> None:
    """Sequences join one step apart, some finish on the way, and blocks are promised."""
    decoding = DecodingSequences(DecodingBlocks(block))
    kv = KVCacheManager(KVCacheSpec(10_000 * block, block), decoding.blocks, decoding)
    running: list[Request] = []
    kv.promise(promised)
    for number, (prompt, answer) in enumerate(lengths):
        request = Request(number, 0.0, prompt, answer)
        request.generated = 1
        decoding.join(request, prompt)
        running.append(request)
        for finished in decoding.advance(1) or []:
            decoding.leave(finished, finished.footprint)
            running.remove(finished)
    steps = min([steps, *(decoding.steps_left(request) for request in running)])
    own = [request.prompt_tokens + decoding.generated(request) - 1 + steps for request in running]
    assert kv.free_after(steps) == 10_000 - promised - sum(-(-tokens // block) for tokens in own)
    assert kv.taken() + kv.free_after(0) == kv.capacity
    kv.keep_promise(promised)
    assert kv.taken() + kv.free_after(0) == kv.capacity


@given(jobs, st.integers(1, 60), st.booleans())
def test_keys_in_limited_views_are_those_of_each_sequence(
    lengths: list[tuple[int, int]], tokens: int, is_chunked: bool
) -> None:
    """Sequences join one step apart and leave when they finish, be it as they fill the window.

    In the chunk of its own a query of position p reads the p % tokens + 1 keys from its beginning.
    """
    decoding = DecodingSequences(DecodingBlocks(16), LimitedView(tokens, is_chunked))
    work, running = StepWork(), list[Request]()
    until = 0
    for number in range(100):
        if number < len(lengths):
            request = Request(number, 0.0, *lengths[number])
            request.generated = 1
            decoding.join(request, request.prompt_tokens)
            running.append(request)
        steps = decoding.write(work)
        keys = [request.prompt_tokens + decoding.generated(request) for request in running]
        assert work.context == sum(keys)
        if is_chunked:
            assert work.windowed == sum((key - 1) % tokens + 1 for key in keys)
            assert work.growing == len(keys)
            until = min(tokens - (key - 1) % tokens for key in keys) if keys else steps
        else:
            assert work.windowed == sum(min(key, tokens) for key in keys)
            assert work.growing == sum(key < tokens for key in keys)
            until = min((tokens - key for key in keys if key < tokens), default=steps)
        assert steps <= until
        for finished in decoding.advance(1) or []:
            decoding.leave(finished, finished.footprint)
            running.remove(finished)
    assert not running
    assert work.windowed == work.growing == 0


def test_the_host_stores_blocks_until_it_is_full_and_each_takes_its_time_both_ways() -> None:
    swap = SwapSpace(5, 2e-3)
    assert swap.has_space(5)
    assert not swap.has_space(6)
    assert swap.store(3) == 6e-3
    assert not swap.has_space(3)
    assert swap.fetch(3) == 6e-3
    assert swap.free_blocks == 5
