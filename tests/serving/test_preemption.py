"""Preemption at the brim of the KV cache, on cases that a pencil settles: blocks of 10 tokens."""

from __future__ import annotations

import pytest

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler

VLLM = ("first_chunk", "full_isl")
EVICTING = (*VLLM, "max_utilization")


def scheduler_of(
    policy: str,
    blocks: int,
    *,
    order: str = "fcfs",
    watermark: float = 0.0,
    caches: bool = False,
) -> ContinuousScheduler:
    batching = Continuous.model_validate({"capacity_scheduler_policy": policy, "order": order})
    spec = KVCacheSpec(blocks * 10, 10, prefix_caching=caches, watermark=watermark)
    return batching.scheduler(SchedulerLimits(8, 200, 4096), spec)


def add(scheduler: ContinuousScheduler, *requests: Request) -> None:
    for each in requests:
        scheduler.expect(each)
        scheduler.enqueue(each)


def run(scheduler: ContinuousScheduler, steps: int) -> list[list[int]]:
    """Numbers of the requests preempted in each of the steps."""
    preempted = []
    for step in range(steps):
        output = scheduler.schedule(float(step), 1)
        preempted.append([each.number for each in output.preempted])
        scheduler.advance(1, step + 1.0)
    return preempted


def at_the_brim(*, priority: tuple[int, int] = (0, 0), output: int = 4) -> list[Request]:
    """Two prompts of 19 tokens in 5 blocks, whose second decoding step needs 3 blocks each."""
    requests = [Request(number, 0.0, 19, output) for number in range(2)]
    for each, urgency in zip(requests, priority, strict=True):
        each.priority = urgency
        each.pieces, each.output_piece = ((each.number, 19),), 100 + each.number
    return requests


@pytest.mark.parametrize("policy", EVICTING)
def test_the_newest_is_preempted_and_waits_in_front_of_all_others(policy: str) -> None:
    scheduler = scheduler_of(policy, 5)
    first, second = at_the_brim()
    third = Request(2, 0.5, 30, 2)
    add(scheduler, first, second, third)
    assert run(scheduler, 3) == [[], [], [1]]
    assert list(scheduler.running) == [first]
    assert list(scheduler.waiting) == [second, third]
    assert second.generated == 2  # it keeps its answer, and prefills 19 + 2 tokens again


@pytest.mark.parametrize("policy", EVICTING)
def test_nobody_starts_in_a_step_with_a_preemption(policy: str) -> None:
    """The two blocks of the second request are free then, and a third request would fit."""
    scheduler = scheduler_of(policy, 5)
    first, second = at_the_brim()
    add(scheduler, first, second)
    run(scheduler, 2)
    third = Request(2, 2.0, 10, 2)
    add(scheduler, third)
    assert scheduler.schedule(2.0, 1).preempted == [second]
    assert not scheduler.output.chunks
    assert scheduler.output.steps == 1


@pytest.mark.parametrize(("caches", "tokens"), [(False, 21), (True, 1)])
@pytest.mark.parametrize("policy", EVICTING)
def test_full_blocks_of_the_preempted_are_found_again(
    policy: str, caches: bool, tokens: int
) -> None:
    """20 of its 21 tokens are in two full blocks, which the first request does not need."""
    scheduler = scheduler_of(policy, 5, caches=caches)
    first, second = at_the_brim()
    add(scheduler, first, second)
    run(scheduler, 4)
    assert first.finish_s == 4.0
    scheduler.schedule(4.0, 1)
    assert scheduler.output.chunks == [(second, tokens)]


@pytest.mark.parametrize("policy", EVICTING)
def test_by_priority_the_least_urgent_is_preempted_though_it_came_first(policy: str) -> None:
    scheduler = scheduler_of(policy, 5, order="priority")
    first, second = at_the_brim(priority=(1, 0))
    add(scheduler, first, second)
    assert run(scheduler, 3) == [[], [], [0]]
    assert list(scheduler.running) == [second]


def test_a_waiting_request_preempts_nobody_however_urgent_it_is() -> None:
    scheduler = scheduler_of("full_isl", 5, order="priority")
    first, second = at_the_brim(priority=(1, 1), output=2)
    urgent = Request(2, 0.5, 30, 2, priority=-9)
    add(scheduler, first, second)
    run(scheduler, 1)
    add(scheduler, urgent)
    assert run(scheduler, 1) == [[]]
    assert list(scheduler.waiting) == [urgent]


@pytest.mark.parametrize("policy", [*EVICTING, "guaranteed_no_evict"])
@pytest.mark.parametrize(("watermark", "count"), [(0.0, 2), (0.19, 2), (0.2, 1), (1.0 - 1e-9, 1)])
def test_the_watermark_keeps_whole_blocks_free_beside_running_requests(
    policy: str, watermark: float, count: int
) -> None:
    """The first prompt takes 8 of 10 blocks. The second one takes 1 and leaves 1 free.

    A watermark of 0.19 keeps 1 block free: 1.9 is rounded down. One of 0.2 keeps 2.

    The first request runs alone and needs no free block: a watermark of all blocks admits it.
    """
    scheduler = scheduler_of(policy, 10, watermark=watermark)
    add(scheduler, Request(0, 0.0, 80, 1), Request(1, 0.0, 10, 1))
    scheduler.schedule(0.0, 1)
    assert len(scheduler.running) == count


@pytest.mark.parametrize("policy", VLLM)
def test_the_watermark_delays_a_resumed_request_until_the_others_have_room(policy: str) -> None:
    """After its preemption 2 of 5 blocks are free and 3 are needed, with the watermark 4.

    The first request ends with 3 blocks at 4 s; until then nothing changes.
    """
    scheduler = scheduler_of(policy, 5, watermark=0.2)
    first, second = at_the_brim()
    add(scheduler, first, second)
    assert run(scheduler, 4) == [[], [], [1], []]
    assert scheduler.schedule(4.0, 1).chunks == [(second, 21)]
