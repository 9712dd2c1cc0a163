"""What an admission reserves, on cases that a pencil settles: blocks of 10 tokens."""

from __future__ import annotations

from typing import get_args

import pytest

from cluster_sim.deployment.fleet import resolve
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from tests.machines import engine
from tests.scenarios import make_pool, make_scenario

POLICIES: tuple[CapacitySchedulerPolicy, ...] = get_args(CapacitySchedulerPolicy)


def scheduler_of(
    policy: CapacitySchedulerPolicy,
    blocks: int,
    budget: int = 200,
    stages: int = 1,
    *,
    caches: bool = False,
) -> ContinuousScheduler:
    spec = KVCacheSpec(blocks * 10, 10, prefix_caching=caches)
    batching = Continuous(capacity_scheduler_policy=policy)
    limits = SchedulerLimits(8, budget, 4096, pipeline_stages=stages)
    return batching.scheduler(limits, spec)


def admitted(scheduler: ContinuousScheduler, *requests: Request) -> list[int]:
    """Numbers of the requests that run in the first step."""
    for request in requests:
        scheduler.expect(request)
        scheduler.enqueue(request)
    scheduler.schedule(0.0, 1)
    return [request.number for request in scheduler.running]


def request(number: int, prompt: int, output: int) -> Request:
    return Request(number, 0.0, prompt, output)


@pytest.mark.parametrize(
    ("policy", "blocks", "count"),
    [
        ("first_chunk", 9, 3),  # 4 and 4 blocks, and one of the third prompt is enough
        ("full_isl", 11, 2),
        ("full_isl", 12, 3),  # three prompts of 4 blocks
        ("max_utilization", 11, 2),
        ("max_utilization", 12, 3),
        ("guaranteed_no_evict", 17, 2),
        ("guaranteed_no_evict", 18, 3),  # 40 + 21 - 1 tokens are 6 blocks each
    ],
)
def test_requests_are_admitted_while_what_each_reserves_is_free(
    policy: CapacitySchedulerPolicy, blocks: int, count: int
) -> None:
    """Three prompts of 40 tokens with answers of 21; 90 tokens per step cut the third prompt."""
    requests = [request(number, 40, 21) for number in range(3)]
    assert len(admitted(scheduler_of(policy, blocks, 90), *requests)) == count


@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_that_does_not_fit_stops_those_behind_it(policy: CapacitySchedulerPolicy) -> None:
    """10 blocks: 6 are taken, 5 are wanted, and one that would fit waits behind."""
    waits = scheduler_of(policy, 10)
    assert admitted(waits, request(0, 60, 1), request(1, 50, 1), request(2, 10, 1)) == [0]


def test_a_resumed_request_reserves_its_own_tokens_as_well() -> None:
    """A prompt of 20 and 15 generated tokens are 4 blocks; the other prompt takes 3 of 6."""
    resumed = request(1, 20, 30)
    resumed.generated = 15
    assert admitted(scheduler_of("full_isl", 6), request(0, 30, 5), resumed) == [0]
    assert admitted(scheduler_of("full_isl", 7), request(0, 30, 5), resumed) == [0, 1]


@pytest.mark.parametrize(("policy", "blocks"), [("full_isl", 9), ("guaranteed_no_evict", 11)])
def test_blocks_that_others_use_need_not_be_free(
    policy: CapacitySchedulerPolicy, blocks: int
) -> None:
    """Two texts of 50 tokens share 40, which are 4 blocks: 5 + 1 blocks, with answers 7 + 3.

    The second prompt is found once the first is in the cache. By then the first one has 6 blocks.
    """
    for count, expected in ((blocks - 3, [0]), (blocks, [0, 1])):
        scheduler = scheduler_of(policy, count, caches=True)
        first, second = request(0, 50, 21), request(1, 50, 21)
        first.pieces, second.pieces = ((1, 40), (2, 10)), ((1, 40), (3, 10))
        assert admitted(scheduler, first) == [0]
        scheduler.advance(1, 1.0)
        assert admitted(scheduler, second) == expected


def test_to_completion_the_longest_answer_that_the_client_allows_is_reserved() -> None:
    """Three prompts of 40 tokens; answers of up to 21 tokens are 6 blocks each, up to 31 are 7."""
    for limit, blocks, count in ((0, 18, 3), (21, 18, 3), (31, 20, 2), (31, 21, 3), (9, 18, 3)):
        requests = [request(number, 40, 21) for number in range(3)]
        for each in requests:
            each.output_limit = limit
        assert len(admitted(scheduler_of("guaranteed_no_evict", blocks), *requests)) == count
    requests = [request(number, 40, 21) for number in range(3)]
    for each in requests:
        each.output_limit = 31
    assert len(admitted(scheduler_of("full_isl", 12), *requests)) == 3  # it reserves no answers


def test_a_limit_beyond_the_cache_reserves_all_of_it() -> None:
    """Such a request runs alone: 7 blocks hold it, and a second one waits for its end."""
    first, second = request(0, 40, 3), request(1, 5, 3)
    first.output_limit = 4000
    scheduler = scheduler_of("guaranteed_no_evict", 7)
    assert admitted(scheduler, first, second) == [0]
    for step in range(3):
        scheduler.advance(1, step + 1.0)
        scheduler.schedule(step + 1.0, 1)
    assert first.finish_s == 3.0
    assert list(scheduler.running) == [second]


def test_reserved_blocks_are_not_in_use_before_they_hold_tokens() -> None:
    """A prompt of 40 tokens reserves 6 blocks to completion and uses 4 after its first step."""
    scheduler = scheduler_of("guaranteed_no_evict", 10)
    admitted(scheduler, request(0, 40, 21))
    scheduler.advance(1, 1.0)
    assert scheduler.blocks_taken() == 4
    assert scheduler.kv_share(0) == pytest.approx(0.5)  # with the block of the next step


def test_max_utilization_takes_the_blocks_of_a_whole_prompt_at_once() -> None:
    """A prompt of 100 tokens in chunks of 30; elsewhere the first chunk takes 3 blocks of the 10."""
    for policy, expected in (("full_isl", 3), ("max_utilization", 10)):
        scheduler = scheduler_of(policy, 12, 30)
        admitted(scheduler, request(0, 100, 5))
        scheduler.advance(1, 1.0)
        assert scheduler.blocks_taken() == expected


@pytest.mark.parametrize(("stages", "steps"), [(1, 1), (2, 0)])
def test_max_utilization_pauses_the_last_that_started_a_step_early_with_stages(
    stages: int, steps: int
) -> None:
    """Two prompts of 19 tokens in 4 blocks: the second step of decoding needs 3 blocks each."""
    scheduler = scheduler_of("max_utilization", 4, stages=stages)
    first, second = request(0, 19, 10), request(1, 19, 10)
    assert admitted(scheduler, first, second) == [0, 1]
    scheduler.advance(1, 1.0)
    for step in range(steps):
        assert not scheduler.schedule(2.0 + step, 1).preempted
        scheduler.advance(1, 3.0 + step)
    assert scheduler.schedule(9.0, 1).preempted == [second]
    assert scheduler.waiting.first is second
    assert list(scheduler.running) == [first]


def test_a_request_alone_is_never_paused() -> None:
    """19 + 21 tokens fill the 4 blocks; two steps ahead of its end it would need a fifth."""
    scheduler = scheduler_of("max_utilization", 4, stages=2)
    alone = request(0, 19, 22)
    admitted(scheduler, alone)
    for step in range(22):
        scheduler.advance(1, step + 1.0)
        scheduler.schedule(step + 1.0, 1)
    assert alone.finish_s == 22.0
    assert alone.preemptions == 0


def test_the_engine_chooses_and_the_scenario_overrides() -> None:
    pools = [make_pool(replica={"engine": engine(capacity_scheduler_policy="full_isl")})]
    scenario = make_scenario(cluster={"pools": pools})
    profile = resolve(scenario).deployments[0].pool.replica.engine
    for batching, expected in (
        (Continuous(), "full_isl"),
        (Continuous(capacity_scheduler_policy="first_chunk"), "first_chunk"),
    ):
        assert batching.with_defaults(profile).capacity_scheduler_policy == expected
    default = resolve(make_scenario()).deployments[0].pool.replica.engine
    assert default.capacity_scheduler_policy == "first_chunk"


@pytest.mark.parametrize(
    "batching",
    [
        Continuous(capacity_scheduler_policy="guaranteed_no_evict"),
        Continuous(prefill_first=PrefillFirst()),
    ],
)
def test_a_lost_replica_reserves_nothing(batching: Continuous) -> None:
    """Two requests of 6 blocks fit into 14 with a spare block, before a loss as well as after."""
    scheduler = batching.scheduler(SchedulerLimits(8, 200, 4096), KVCacheSpec(140, 10))
    for first in (0, 10):
        requests = [request(first + number, 50, 11) for number in range(3)]
        assert admitted(scheduler, *requests) == [first, first + 1]
        assert scheduler.drain(0.0) == requests
