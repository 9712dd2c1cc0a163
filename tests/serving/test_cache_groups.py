"""Groups of layers share one pool of pages as block tables of every group and sequence would."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, get_args

import pytest

from cluster_sim.physics.cache_groups import CacheGroup, pages_held
from cluster_sim.physics.page_pool import CacheKind, page_pool
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from tests.oracles import Job, Limits, serve_token_by_token

GEMMA = [CacheKind(10, 8192.0), CacheKind(50, 16384.0, "window", 1024)]


def test_gemma_4_has_five_groups_of_windows_and_one_of_the_whole_context() -> None:
    """A token of a window layer takes 16 KiB, one of a full layer 8 KiB: blocks of 16 and 32."""
    pool = page_pool(GEMMA, 16, 1)
    assert pool.groups == (CacheGroup(32), CacheGroup(16, 5, "window", 1024))
    assert pool.page_bytes == 10 * 16 * 16384


def test_gemma_4_counts_tokens_as_vllm_logs_them() -> None:
    """Of 262,144 tokens 8,192 blocks; of each window those of 1,023 + 8,192 tokens and one more."""
    pages = 262_144 // 32 + 5 * (9215 // 16 + 1 + 1)
    assert page_pool(GEMMA, 16, 1).tokens_per_page(262_144, 8192) == 262_144 / pages


def test_kinds_of_nearly_as_many_layers_are_padded_to_the_larger() -> None:
    """12 and 13 layers make two groups of 13, 12 and 18 two of 12 and 18 / 12."""
    window = CacheKind(12, 100.0, "window", 128)
    near = page_pool([CacheKind(13, 100.0), window], 16, 1)
    far = page_pool([CacheKind(18, 100.0), window], 16, 1)
    assert [group.pages for group in near.groups] == [1, 1]
    assert near.page_bytes == 13 * 1600
    assert [group.pages for group in far.groups] == [2, 1]
    assert far.page_bytes == 12 * 1600


def test_blocks_of_attention_are_as_large_as_a_state() -> None:
    """A state of 2,154,496 B beside 2,048 B a token: 1,052 tokens, and 1,056 by sixteens."""
    pool = page_pool([CacheKind(12, 2048.0), CacheKind(36, 2_154_496.0, "state")], 16, 1)
    assert pool.groups == (CacheGroup(1056), CacheGroup(1, 3, "state"))
    assert pool.page_bytes == 12 * 1056 * 2048


def test_blocks_of_nemotron_3_super_are_those_that_vllm_logged() -> None:
    """8,320 tokens in vllm-project/vllm issue 48401: 512 B a token in fp8 beside a state of
    128 x 64 x 128 values in 32 bit and 3 x 10,240 of its convolution in 16 bit.
    """
    state = 128 * 64 * 128 * 4 + 3 * 10_240 * 2
    pool = page_pool([CacheKind(8, 512.0), CacheKind(40, state, "state")], 16, 1)
    assert pool.groups == (CacheGroup(8320), CacheGroup(1, 5, "state"))


def test_qwen_3_5_has_the_blocks_and_the_sequences_that_vllm_logged() -> None:
    """vLLM 0.19 logged 290,864 tokens and 33.04 sequences of 32,768 (vllm-project/vllm issue 40691).

    Tokens were a quarter of the blocks times the block then: 371 times 784, so 1,484 to 1,487
    blocks. A token has 4 x 512 values, a state 48 x 128 x 128 in 32 bit and 3 x 10,240 in 16 bit.
    """
    state = 48 * 128 * 128 * 4 + 3 * 10_240 * 2.0
    pool = page_pool([CacheKind(16, 4096.0), CacheKind(48, state, "state")], 16, 1)
    assert pool.groups == (CacheGroup(784), CacheGroup(1, 3, "state"))
    assert 290_864 == 371 * 784
    counts = [pages * pool.tokens_per_page(32_768, 16_384) / 32_768 for pages in (1484, 1487)]
    assert [round(count, 2) for count in counts] == [32.98, 33.04]


def test_blocks_of_latent_vectors_beside_states_are_multiples_of_64() -> None:
    """Kimi-Linear in 16 bit: 1,152 B a token, a state of 32 x 128 x 128 values in 32 bit and
    3 x 12,288 of its convolutions in 16 bit: 1,885 tokens, 30 times 64.
    """
    latent = CacheKind(7, 1152.0, kernel_tokens=64)
    state = CacheKind(20, 32 * 128 * 128 * 4 + 3 * 12_288 * 2.0, "state")
    assert page_pool([latent, state], 16, 1).groups == (CacheGroup(1920), CacheGroup(1, 3, "state"))


def test_pipeline_stages_share_the_layers() -> None:
    assert page_pool(GEMMA, 16, 2).page_bytes == 5 * 16 * 16384


@pytest.mark.parametrize(
    ("tokens", "step", "blocks"),
    [(16, 0, 1), (17, 0, 2), (33, 1, 3), (34, 1, 3), (1000, 0, 3), (1000, 100, 9), (100, 100, 7)],
)
def test_a_window_of_32_tokens_touches_three_blocks_and_those_of_a_chunk(
    tokens: int, step: int, blocks: int
) -> None:
    """Of 1,000 tokens, the last 100 prefilled: keys 869 to 999 lie in blocks 54 to 62."""
    assert CacheGroup(16, 1, "window", 32).blocks(tokens, step) == blocks


def test_each_page_of_a_block_counts() -> None:
    groups = (CacheGroup(32), CacheGroup(16, 5, "window", 1024), CacheGroup(1, 3, "state"))
    assert pages_held(groups, 100_000) == 3125 + 5 * 65 + 3


def any_groups(rng: random.Random) -> tuple[CacheGroup, ...]:
    """One group that grows, most of the time, and one to three that do not."""
    groups = []
    if rng.random() < 0.85:
        groups.append(CacheGroup(rng.randint(1, 12), rng.randint(1, 3)))
    for _ in range(rng.randint(1, 3)):
        view = rng.choice(["window", "window", "chunk", "state", "context"])
        block = 1 if view == "state" else rng.randint(1, 12)
        size = rng.randint(1, 60) if view in ("window", "chunk") else 0
        groups.append(CacheGroup(block, rng.randint(1, 3), view, size))  # type: ignore[arg-type]
    return tuple(groups)


def any_case(rng: random.Random) -> tuple[Limits, list[tuple[float, int, int]]]:
    """Limits of an engine, and the arrival [steps], prompt and answer of each request."""
    groups = any_groups(rng)
    limits = Limits(
        blocks=rng.randint(10, 120),
        block_tokens=4,
        max_sequences=rng.randint(1, 8),
        max_batched_tokens=rng.randint(8, 120),
        chunked=rng.random() < 0.8,
        groups=groups,
    )
    now, jobs = 0.0, []
    for _ in range(rng.randint(1, 14)):
        now += rng.choice([0, 0, 1, 5, 20])
        jobs.append((now, rng.randint(1, 120), rng.randint(1, 60)))
    return replace(limits, policy=rng.choice(get_args(CapacitySchedulerPolicy))), jobs


def scheduler_of(limits: Limits, **options: Any) -> ContinuousScheduler:
    spec = KVCacheSpec(1000, 4, groups=tuple(limits.groups), pages=limits.blocks, **options)  # type: ignore[arg-type]
    bounds = SchedulerLimits(
        limits.max_sequences, limits.max_batched_tokens, 4096, chunked_prefill=limits.chunked
    )
    policy = {"capacity_scheduler_policy": limits.policy}
    return Continuous.model_validate(policy).scheduler(bounds, spec)


def run(
    scheduler: ContinuousScheduler, jobs: list[tuple[float, int, int]], *, stretches: bool = False
) -> tuple[list[tuple[float, float]], list[tuple[int, int]], list[Request]]:
    """Serve requests in steps of one second; (first token, finish), and what each step leaves."""
    requests = [
        Request(number, arrival, prompt, output)
        for number, (arrival, prompt, output) in enumerate(jobs)
    ]
    arriving, now, seen = list(requests), 0.0, []
    left = len(requests)
    while left:
        while arriving and arriving[0].arrival_s <= now:
            scheduler.expect(arriving[0])
            scheduler.enqueue(arriving.pop(0))
        output = scheduler.schedule(now, 1 if not stretches else 1 << 20)
        if not output.steps:
            now = max(now, arriving[0].arrival_s)
            continue
        steps = output.steps
        if arriving:
            steps = max(min(steps, int(arriving[0].arrival_s - now)), 1)
        now += steps
        left -= len(scheduler.advance(steps, now))
        taken = scheduler.blocks_taken()
        assert 0 <= taken <= scheduler._kv.capacity
        assert taken + scheduler._kv.free_after(0) == scheduler._kv.capacity
        seen.append((taken, len(scheduler.running)))
    times = [(request.first_token_s, request.finish_s) for request in requests]
    assert scheduler.blocks_taken() == 0
    return times, seen, requests


def fitting(limits: Limits, jobs: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
    longest = scheduler_of(limits).longest
    return [job for job in jobs if job[1] + job[2] - 1 <= longest]


def tables_agree(seed: int) -> int:
    """Whether pages, times and stretches of one random case are those of block tables.

    Returns the number of its steps.
    """
    limits, jobs = any_case(random.Random(seed))
    jobs = fitting(limits, jobs)
    told: list[tuple[int, int]] = []
    plain = [Job(*job) for job in jobs]
    groups = [group[:4] for group in limits.groups]
    watched = replace(limits, groups=groups, watch=lambda *counts: told.append(counts))
    serve_token_by_token(plain, watched, lambda *_: 1.0)
    times, seen, _ = run(scheduler_of(limits), jobs)
    assert times == [(job.first_s, job.finish_s) for job in plain], seed
    assert seen == told, seed
    assert run(scheduler_of(limits), jobs, stretches=True)[0] == times, seed
    return len(seen)


@pytest.mark.parametrize("seed", range(20))
def test_pages_are_those_of_block_tables_at_every_step(seed: int) -> None:
    tables_agree(seed)


@pytest.mark.slow
def test_pages_are_those_of_block_tables_at_every_step_of_many_cases() -> None:
    steps = sum(tables_agree(seed) for seed in range(20, 420))
    assert steps > 15_000
