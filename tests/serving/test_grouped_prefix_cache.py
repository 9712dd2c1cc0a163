"""Windows, chunks and states are found again only where what they need is kept."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from cluster_sim.physics.cache_groups import CacheGroup, View
from cluster_sim.physics.limited_view import NO_VIEW, LimitedView
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from tests.oracles import Job, Limits, serve_token_by_token

WINDOW = (CacheGroup(4), CacheGroup(4, 2, "window", 9))
VIEWS: tuple[View, ...] = ("window", "window", "chunk")
STATE = (CacheGroup(8), CacheGroup(1, 3, "state", slots=2))


def scheduler_of(
    groups: tuple[CacheGroup, ...],
    pages: int,
    max_sequences: int = 8,
    budget: int = 100,
    policy: CapacitySchedulerPolicy = "first_chunk",
) -> ContinuousScheduler:
    limited = [group for group in groups if group.view in ("window", "chunk")]
    view = LimitedView(limited[0].view_tokens, limited[0].view == "chunk") if limited else NO_VIEW
    limits = SchedulerLimits(max_sequences, budget, 4096, view=view)
    spec = KVCacheSpec(1000, 4, prefix_caching=True, groups=groups, pages=pages)
    return Continuous(capacity_scheduler_policy=policy).scheduler(limits, spec)


def request(number: int, arrival_s: float, *pieces: tuple[int, int], output: int = 2) -> Request:
    made = Request(number, arrival_s, sum(tokens for _, tokens in pieces), output)
    made.pieces, made.output_piece = pieces, 1000 + number
    return made


def serve(
    scheduler: ContinuousScheduler,
    requests: list[Request],
    *,
    stretches: bool = False,
    counts: bool = True,
) -> list[int]:
    """Serve requests in steps of one second; returns the pages taken after each.

    counts: the free ones are counted as well, which takes note of those that are free again.
    """
    arriving, left, now, kv = list(requests), len(requests), 0.0, scheduler._kv
    seen = []
    while left:
        while arriving and arriving[0].arrival_s <= now:
            scheduler.expect(arriving[0])
            scheduler.enqueue(arriving.pop(0))
        steps = scheduler.schedule(now, (1 << 20) if stretches else 1).steps
        if not steps:
            now = max(now, arriving[0].arrival_s)
            continue
        if arriving:
            steps = max(min(steps, int(arriving[0].arrival_s - now)), 1)
        now += steps
        left -= len(scheduler.advance(steps, now))
        taken = scheduler.blocks_taken()
        assert 0 <= taken <= kv.capacity
        if counts:
            kv.forget_until(kv.capacity - taken)
            assert taken + sum(kv.count_queue()) == kv.capacity
        seen.append(taken)
    assert scheduler.blocks_taken() == scheduler.pending_tokens == 0
    return seen


def hits(scheduler: ContinuousScheduler, *requests: Request) -> list[int]:
    serve(scheduler, list(requests))
    return [request.prefix_hit_tokens for request in requests]


def test_a_window_is_found_behind_a_shared_prefix_that_another_has_passed() -> None:
    """30 tokens are shared: 7 blocks of 4. The window needs 8 keys before token 28, two blocks."""
    first = request(0, 0, (1, 30), (2, 30))
    second = request(1, 50, (1, 30), (3, 30))
    assert hits(scheduler_of(WINDOW, 200), first, second) == [0, 28]


def test_windows_alone_are_found_behind_a_shared_prefix() -> None:
    """No layer needs the whole text: 8 keys before token 28 are enough."""
    first, second = request(0, 0, (1, 30), (2, 30)), request(1, 50, (1, 30), (3, 30))
    assert hits(scheduler_of((CacheGroup(4, 2, "window", 9),), 200), first, second) == [0, 28]


def test_a_window_that_was_evicted_lets_nothing_be_found() -> None:
    """All blocks of the whole context are in use, by one that decodes on; the window is gone."""
    first = request(0, 0, (1, 32), (2, 32), output=60)
    filler = request(1, 5, (7, 88))
    second = request(2, 20, (1, 32), (3, 8))
    # 16 blocks and 2 x 3 of the window; 22 and 2 x 22 more for a prompt of 88.
    assert hits(scheduler_of(WINDOW, 22 + 66 + 4), first, filler, second) == [0, 0, 0]
    first, filler, second = (
        request(0, 0, (1, 32), (2, 32), output=60),
        request(1, 5, (7, 4)),
        request(2, 20, (1, 32), (3, 8)),
    )
    assert hits(scheduler_of(WINDOW, 22 + 66 + 4), first, filler, second) == [0, 0, 32]


def test_states_are_found_where_a_step_or_an_answer_ended_not_in_between() -> None:
    """A prefix of 40 that went on to 60 saved its state at 56 alone; the next turn begins there."""
    first = request(0, 0, (1, 40), (2, 20), output=3)
    alike = request(1, 50, (1, 40), (3, 20))
    again = request(2, 100, (1, 40), (2, 20), (1000, 3), (4, 9))
    assert hits(scheduler_of(STATE, 200), first, alike, again) == [0, 0, 56]


def test_a_state_at_the_end_of_a_chunk_is_found_by_others() -> None:
    """Chunks of 30 end at 30, 60 and 70; blocks of 8 before them at 24, 56 and 64.

    Of 60 shared tokens 56 are found. Behind them a chunk goes from 56 to 68, and saves 64. Of 40
    shared tokens 24 are found, as nothing was saved between 24 and 56.
    """
    first = request(0, 0, (1, 40), (2, 20), (3, 10))
    second = request(1, 50, (1, 40), (2, 20), (4, 8))
    third = request(2, 100, (1, 40), (5, 25))
    scheduler = scheduler_of(STATE, 200, budget=30)
    assert hits(scheduler, first, second, third) == [0, 56, 24]


def test_hits_end_where_blocks_of_all_groups_do() -> None:
    """Blocks of 6 and of 4 tokens end together every 12: of 30 shared tokens 24 are found."""
    groups = (CacheGroup(6), CacheGroup(4, 1, "window", 5))
    first, second = request(0, 0, (1, 30), (2, 6)), request(1, 50, (1, 30), (3, 6))
    assert hits(scheduler_of(groups, 200), first, second) == [0, 24]


def test_nothing_of_a_chunk_is_needed_where_a_chunk_begins() -> None:
    """Two chunks of 16 lie in a prefix of 40; the third has begun and is kept up to its end."""
    groups = (CacheGroup(4), CacheGroup(4, 1, "chunk", 16))
    first, second = request(0, 0, (1, 40), (2, 40)), request(1, 50, (1, 40), (3, 40))
    assert hits(scheduler_of(groups, 200), first, second) == [0, 40]
    scheduler = scheduler_of(groups, 200)
    first, second = request(0, 0, (1, 40), (2, 40)), request(1, 50, (1, 40), (3, 40))
    serve(scheduler, [first])
    scheduler._kv._prefix._pieces.pop((1, 10))  # type: ignore[union-attr]
    serve(scheduler, [second])
    assert second.prefix_hit_tokens == 32


def test_requests_that_share_blocks_take_those_of_their_windows_apart() -> None:
    """37 and 36 tokens, 32 of them shared: 10 and 9 blocks less 8, and 3 of each window."""
    scheduler = scheduler_of(WINDOW, 200)
    first, second = request(0, 0, (1, 32), (2, 4), output=9), request(1, 1, (1, 32), (3, 4))
    for each in (first, second):
        scheduler.expect(each)
        scheduler.enqueue(each)
        scheduler.schedule(each.arrival_s, 1)
        scheduler.advance(1, each.arrival_s + 1)
    assert second.prefix_hit_tokens == 32
    assert scheduler.blocks_taken() == 10 + 9 - 8 + 2 * (3 + 3)


def any_groups(rng: random.Random) -> tuple[CacheGroup, ...]:
    """A group that grows; windows of one size or chunks; states."""
    groups = [CacheGroup(rng.choice([1, 2, 4, 8]), rng.randint(1, 3))]
    view, size = rng.choice(VIEWS), rng.randint(2, 60)
    groups += [
        CacheGroup(rng.choice([1, 2, 4, 8]), rng.randint(1, 3), view, size)
        for _ in range(rng.randint(0, 2))
    ]
    if rng.random() < 0.4:
        groups.append(CacheGroup(1, rng.randint(1, 3), "state", slots=2))
    return tuple(groups)


def any_requests(rng: random.Random) -> list[Request]:
    """Requests that begin alike, and later turns of earlier ones."""
    now, made = 0.0, list[Request]()
    for number in range(rng.randint(2, 25)):
        now += rng.choice([0, 0, 1, 5, 20])
        shared, earlier = rng.randint(0, 3), rng.choice([*made, None])
        pieces = [(shared, 13 * shared), (100 + number, rng.randint(1, 80))]
        if earlier is not None and earlier.output_piece is not None and rng.random() < 0.5:
            answer = (earlier.output_piece, earlier.output_tokens)
            pieces = [*earlier.pieces, answer, (300 + number, rng.randint(1, 20))]
        kept = tuple(piece for piece in pieces if piece[1])
        made.append(request(number, now, *kept, output=rng.randint(1, 40)))
        if rng.random() < 0.3:
            made[-1].output_piece = None
    return made


def stretches_agree(seed: int) -> tuple[int, int]:
    """Whether steps in stretches find and preempt what single steps do; (hits, preemptions)."""
    seen = []
    for stretches in (False, True):
        rng = random.Random(seed)
        groups = any_groups(rng)
        sizes = rng.randint(20, 300), rng.randint(1, 8), rng.randint(8, 120)
        policy = random.Random(seed).choice(get_args(CapacitySchedulerPolicy))
        scheduler = scheduler_of(groups, *sizes, policy)
        requests = [each for each in any_requests(rng) if each.footprint <= scheduler.longest]
        serve(scheduler, requests, stretches=stretches)
        seen.append([
            (each.first_token_s, each.finish_s, each.prefix_hit_tokens, each.preemptions)
            for each in requests
        ])  # fmt: skip
    assert seen[0] == seen[1], seed
    return sum(row[2] > 0 for row in seen[0]), sum(row[3] for row in seen[0])


def tables_agree(seed: int) -> int:
    """Whether pages one by one give the same hits and times at every step; returns the hits."""
    rng = random.Random(seed)
    groups = any_groups(rng)
    pages, sequences, budget = rng.randint(20, 300), rng.randint(1, 8), rng.randint(8, 120)
    policy = random.Random(seed).choice(get_args(CapacitySchedulerPolicy))
    scheduler = scheduler_of(groups, pages, sequences, budget, policy)
    requests = [each for each in any_requests(rng) if each.footprint <= scheduler.longest]
    jobs = [
        Job(each.arrival_s, each.prompt_tokens, each.output_tokens, pieces=each.pieces, answer=each.output_piece)
        for each in requests
    ]  # fmt: skip
    told: list[int] = []
    tables = [(group.block_tokens, group.pages * group.slots, *group[2:4]) for group in groups]
    limits = Limits(
        pages, 1, sequences, budget, chunked=True, prefix_caching=True, groups=tables,
        watch=lambda taken, _: told.append(taken), policy=policy,
    )  # fmt: skip
    serve_token_by_token(jobs, limits, lambda *_: 1.0)
    taken = serve(scheduler, requests, counts=False)
    assert [each.prefix_hit_tokens for each in requests] == [job.hit for job in jobs], seed
    assert [(each.first_token_s, each.finish_s) for each in requests] == [
        (job.first_s, job.finish_s) for job in jobs
    ], seed
    assert taken == told, seed
    return sum((job.hit or 0) > 0 for job in jobs)


@pytest.mark.parametrize("seed", range(20))
def test_hits_are_those_of_pages_one_by_one(seed: int) -> None:
    tables_agree(seed)


@pytest.mark.slow
def test_hits_are_those_of_pages_one_by_one_in_many_cases() -> None:
    assert sum(tables_agree(seed) for seed in range(20, 420)) > 500


@pytest.mark.parametrize("seed", range(20))
def test_a_stretch_finds_what_its_steps_find(seed: int) -> None:
    stretches_agree(seed)


@pytest.mark.slow
def test_a_stretch_finds_what_its_steps_find_in_many_cases() -> None:
    rows = [stretches_agree(seed) for seed in range(20, 520)]
    assert sum(found for found, _ in rows) > 500
    assert sum(preempted for _, preempted in rows) > 300
