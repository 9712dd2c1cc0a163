"""A router that reads KV events knows what the prefix caches of its replicas hold."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing import KvEvents, PrefixAffinity, RoutingSetting
from cluster_sim.serving.routing.held_prefixes import BlockHolders, HeldPrefixes
from cluster_sim.serving.routing.picker import Picker, Scan
from cluster_sim.serving.routing.prefix_memory import HeldMemory
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from tests.machines import small_gpu, tiny_model
from tests.scenarios import WORKLOAD, make_pool, make_scenario, unchecked_scenario
from tests.serve import serve
from tests.serving.test_replicas_in_order import Compared, drawn_request

BLOCK, BLOCKS = 10, 60
EVENTS = {"policy": "prefix_affinity", "knows": "kv_events"}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Served:
    """Replicas with few blocks that report them, and a router that may read the reports."""

    def __init__(self, replicas: int) -> None:
        self.clock, self.schedulers = Clock(), list[Any]()
        self.events = KvEvents(self.clock)
        members = dict.fromkeys(range(replicas), "pool")
        self.setting = RoutingSetting(members, kv_events=self.events)

    def new_scheduler(self) -> Any:
        tell = self.events.of_new_cache(len(self.schedulers))
        space = KVCacheSpec(BLOCK * BLOCKS, BLOCK, prefix_caching=True, tell=tell)
        limits = SchedulerLimits(4, 300, 4096)
        self.schedulers.append(Continuous().scheduler(limits, space))
        return self.schedulers[-1]

    def run(self, picker: Picker, requests: int = 300) -> list[Request]:
        random, now_s, sent = Random(5), 0.0, []
        for number in range(requests):
            now_s += random.choice([0.0, 1e-3, 4e-3])
            sent.append(drawn_request(number, now_s, random))
            sent[-1].output_tokens = random.randint(1, 90)

        class Policy:
            def picker(self, rng: np.random.Generator, setting: RoutingSetting) -> Picker:
                return picker

        policy: Any = Policy()
        times = GpuSteps(tiny_model(), small_gpu())
        serve(sent, times, self.new_scheduler, True, len(self.setting.pools), policy=policy)
        return sent


def test_a_router_without_delay_knows_what_each_cache_holds() -> None:
    """Compared with a search of the cache itself, to a block; blocks are evicted all the time."""
    served = Served(3)
    memory = HeldMemory(served.events.queue(0.0), is_large=False)
    seen: list[tuple[int, int]] = []

    def compared(request: Request, loads: Sequence[Load]) -> int:
        memory.update()
        for load in loads:
            cache = served.schedulers[load.number]._kv._prefix
            found = min(cache.find(request)[0] * BLOCK, request.prompt_tokens)
            known = min(memory.longest(load.number, request), request.prompt_tokens - 1)
            assert found - BLOCK < known < found + BLOCK
            seen.append((found, known))
        return request.number % len(loads)

    served.run(Scan(compared))
    assert sum(found > 0 for found, _ in seen) > 100
    assert sum(found == 0 for found, _ in seen) > 100


def test_many_replicas_are_searched_as_few_are() -> None:
    served = Served(40)
    policy = PrefixAffinity.model_validate({"knows": "kv_events", "balance_abs": 6})
    compared = Compared(policy.picker(np.random.default_rng(0), served.setting))
    requests = served.run(compared, 400)
    assert compared.picks == len(requests)
    assert sum(request.prefix_hit_tokens > 0 for request in requests) > 50


def test_holders_of_the_longest_prefix_are_those_that_a_search_of_all_finds() -> None:
    """Pieces of 25 tokens; replicas have some blocks of the last one, and some are closed."""
    random, holders = Random(2), BlockHolders()
    caches = [HeldPrefixes(number, holders) for number in range(8)]
    for _ in range(2000):
        cache, end = random.choice(caches), random.randint(0, 3)
        cache.forget()
        for piece in range(end):
            cache.record(piece, 30 if piece < end - 1 else random.choice([10, 20, 30]))
        holders.closed = set(random.sample(range(8), random.randint(0, 7)))
        request = Request(0, 0.0, 80, 10, True, tuple((piece, 25) for piece in range(3)))
        known = {
            number: cache.longest(request)
            for number, cache in enumerate(caches)
            if number not in holders.closed
        }
        numbers, tokens = holders.of_longest(request)
        assert tokens == max(known.values())
        if tokens:
            assert numbers == {number for number, held in known.items() if held == tokens}


def test_an_event_is_known_after_its_delay() -> None:
    clock = Clock()
    events = KvEvents(clock)
    memory = HeldMemory(events.queue(0.5), is_large=False)
    tell = events.of_new_cache(3)
    prompt = Request(0, 0.0, 100, 10, True, ((7, 64), (8, 36)))
    tell(7, 64)
    for clock.now_s, known in ((0.4, 0), (0.5, 64)):
        memory.update()
        assert memory.longest(3, prompt) == known
    tell(8, 32)
    clock.now_s = 1.0
    memory.update()
    assert memory.longest(3, prompt) == 96
    events.of_new_cache(3)  # the replica comes back with an empty cache
    clock.now_s = 1.5
    memory.update()
    assert memory.longest(3, prompt) == 0


def chat(router: dict[str, Any], **changes: Any) -> Any:
    """Six system prompts on three replicas."""
    pool = make_pool(devices=3) | {"kv": {"prefix_caching": True}}
    traffic = {
        "arrivals": {"process": "poisson", "rate": "30 /s"},
        "shared_prefix": {"tokens": 200, "groups": 6},
    }
    return cluster_sim.simulate(
        make_scenario(
            duration="4 s",
            cluster={"pools": [pool], "router": router},
            workload=WORKLOAD | traffic,
            **changes,
        )
    ).requests


def test_requests_follow_the_blocks_whatever_the_stepping() -> None:
    """At random, each replica computes each system prompt: more than six times in all."""
    table = chat(EVENTS | {"delay": "5 ms"})
    assert table.equals(chat(EVENTS | {"delay": "5 ms"}, stepping="step"))
    hits, others = (
        int((each["prefix_hit_tokens"].to_numpy() > 0).sum())
        for each in (table, chat({"policy": "random"}))
    )
    assert hits > others >= table.num_rows - 3 * 6


@pytest.mark.parametrize(
    ("kv", "router", "fault"),
    [
        ({}, EVENTS, "pool 'gpus' has no prefix cache to report on; expected kv.prefix_caching: true"),
        ({"prefix_caching": True}, EVENTS | {"knows": "sent", "delay": "5 ms"}, "only KV events have a delay; expected knows: kv_events, or staleness for loads"),
    ],
)  # fmt: skip
def test_events_that_nobody_sends_or_reads_are_refused(
    kv: dict[str, Any], router: dict[str, Any], fault: str
) -> None:
    pool = make_pool() | {"kv": kv}
    scenario = unchecked_scenario(cluster={"pools": [pool], "router": router})
    assert [text for _, text in faults_of(scenario)] == [fault]
