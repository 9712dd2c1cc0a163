"""Policies that keep many replicas in order choose as policies that look at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from random import Random
from typing import Any

import numpy as np
import pytest

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing import (
    LeastRequests,
    LeastWork,
    Picker,
    PrefixAffinity,
    RoutingSetting,
)
from cluster_sim.serving.routing.picker import index_of
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from cluster_sim.serving.scheduler.speculative import Drafting
from cluster_sim.serving.speculation import Speculation
from cluster_sim.workload.random_streams import numbered
from tests.machines import small_gpu, tiny_model
from tests.serve import serve

MANY = RoutingSetting(dict.fromkeys(range(1000), "pool"))
AFFINITY = {"balance_abs": 6, "remembered_tokens": 900}
POLICIES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "least_requests": (LeastRequests, {}),
    "least_work": (LeastWork, {}),
    "prefix_affinity": (PrefixAffinity, AFFINITY),
}


def in_order(name: str, staleness: str) -> Picker:
    """A policy for many replicas."""
    policy, keys = POLICIES[name]
    described = policy.model_validate(keys | {"staleness": staleness})
    picker: Picker = described.picker(np.random.default_rng(0), MANY)
    return picker


class Clock:
    now_s = 0.0


@dataclass
class Falling:
    """A replica whose work falls by a number of tokens in each step, as in a stretch."""

    number: int
    clock: Clock
    requests: int = 0
    tokens: int = 0
    per_step: int = 0
    step_s: float = 1.0
    steps: int = 0
    began_s: float = 0.0
    waiting = running = pending_prompt_tokens = 0
    kv_share = 0.0

    @property
    def pending_tokens(self) -> int:
        ended = int((self.clock.now_s - self.began_s) / self.step_s)
        return self.tokens - self.per_step * max(min(ended, self.steps - 1), 0)

    def falls_below_s(self, tokens: int) -> float:
        if not self.per_step:
            return inf
        steps = max(ceil((self.tokens - tokens + 1) / self.per_step), 0)
        return self.began_s + steps * self.step_s if steps < self.steps else inf

    def begin(self, random: Random) -> None:
        """Begin other steps: with the work that is left, or less."""
        self.tokens = random.randint(0, self.pending_tokens)
        self.began_s, self.step_s = self.clock.now_s, random.choice([0.03125, 0.25, 1.0])
        self.steps = random.randint(0, 40)
        self.per_step = random.randint(0, self.tokens // max(self.steps, 1))


def drawn_request(number: int, now_s: float, random: Random) -> Request:
    """A request whose prompt is a path in a tree of pieces."""
    path = [random.randrange(3) for _ in range(random.randint(0, 5))]
    pieces = tuple((hash(tuple(path[: end + 1])), 40 + end) for end in range(len(path)))
    tokens = sum(length for _, length in pieces) + random.randint(1, 60)
    return Request(number, now_s, tokens, 10, True, pieces)


class Cluster:
    """Replicas that open, close, and whose loads change at random; a policy is told of it."""

    def __init__(self, picker: Picker, replicas: int, random: Random) -> None:
        self.picker, self.random, self.clock = picker, random, Clock()
        self.replicas = [Falling(2 * number, self.clock) for number in range(replicas)]
        self.open: list[Falling] = []
        for replica in self.replicas:
            replica.requests, replica.tokens = random.randint(0, 3), random.randint(0, 900)
            self.reopen(replica)

    def reopen(self, replica: Falling) -> None:
        self.open.append(replica)
        self.open.sort(key=lambda load: load.number)
        self.picker.opened(replica)

    def happen(self) -> None:
        """Let something happen at one replica."""
        random, replica = self.random, self.random.choice(self.replicas)
        what = random.choice(["step", "step", "finish", "finish", "cancel", "close", "open"])
        if what == "close" and len(self.open) > 2 and replica in self.open:
            self.open.remove(replica)
            self.picker.closed(replica)
        elif what == "open" and replica not in self.open:
            self.reopen(replica)
        elif what in ("step", "finish", "cancel"):
            if what != "step" and replica.requests:
                replica.requests -= 1
            replica.begin(random)
            self.picker.changed(replica.number)

    def send(self, request: Request, index: int) -> None:
        replica = self.open[index]
        replica.requests += 1
        replica.tokens += request.prompt_tokens
        self.picker.sent(request, replica)


@pytest.mark.parametrize("staleness", ["0 s", "300 ms"])
@pytest.mark.parametrize("name", POLICIES)
def test_the_same_replica_is_chosen_whatever_happens(name: str, staleness: str) -> None:
    random = Random(7)
    cluster = Cluster(in_order(name, staleness), 40, random)
    chosen = set()
    for number in range(1200):
        cluster.clock.now_s += random.choice([0.0, 0.0078125, 0.125, 0.5])
        for _ in range(random.randint(0, 6)):
            cluster.happen()
        request = drawn_request(number, cluster.clock.now_s, random)
        index = cluster.picker.pick_open(request, cluster.open, cluster.clock.now_s)
        assert index == cluster.picker.pick(request, cluster.open)
        chosen.add(index)
        if random.random() < 0.1:  # only some replicas can hold it
            index = cluster.picker.pick(request, cluster.open[:2])
        cluster.send(request, index)
    assert len(chosen) > 5


@dataclass
class Compared(Picker):
    """A policy that keeps an order, and looks at all replicas too."""

    picker: Picker
    picks: int = 0
    follows_loads = True

    def pick(self, request: Request, loads: Sequence[Load]) -> int | None:
        return self.picker.pick(request, loads)

    def pick_open(self, request: Request, loads: Sequence[Load], now_s: float) -> int | None:
        index = self.picker.pick_open(request, loads, now_s)
        assert index == self.picker.pick(request, loads)
        self.picks += 1
        return index

    def sent(self, request: Request, load: Load) -> None:
        self.picker.sent(request, load)

    def opened(self, load: Load) -> None:
        self.picker.opened(load)

    def changed(self, number: int) -> None:
        self.picker.changed(number)


RUNS: dict[str, dict[str, Any]] = {
    "stretches": {},
    "steps": {"stepping": True},
    "drafts": {"drafts": 3},
    "prepared ahead": {"ahead": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("staleness", ["0 s", "2 ms"])
@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("name", POLICIES)
def test_the_same_replica_is_chosen_while_replicas_run(name: str, how: str, staleness: str) -> None:
    """Batches are full, requests are preempted, and prompts are found in the prefix cache."""
    random, compared = Random(5), Compared(in_order(name, staleness))

    class Policy:
        def picker(self, rng: np.random.Generator, setting: RoutingSetting) -> Picker:
            return compared

    now_s, requests = 0.0, []
    for number in range(400):
        now_s += random.choice([0.0, 0.0, 1e-4, 3e-4])
        requests.append(drawn_request(number, now_s, random))
        requests[-1].output_tokens = random.randint(1, 90)
    keys = RUNS[how]
    limits, space = SchedulerLimits(4, 300, 4096), KVCacheSpec(700, 10, prefix_caching=True)
    drafting = Drafting(Speculation(draft_tokens=3, acceptance=0.6), numbered(1, "speculation"))
    policy: Any = Policy()
    serve(
        requests,
        GpuSteps(tiny_model(), small_gpu()),
        lambda: Continuous().scheduler(
            limits, space, drafting=drafting if "drafts" in keys else None
        ),
        keys.get("stepping", False),
        replicas=35,
        policy=policy,
        prepares_ahead=keys.get("ahead", False),
    )
    assert compared.picks == len(requests)
    assert len({request.replica for request in requests}) > 20
    assert all(request.finish_s > request.arrival_s for request in requests)


def test_a_replica_is_found_among_the_open_ones_by_its_number() -> None:
    clock = Clock()
    for numbers in ([0, 1, 2], [0, 2, 3, 9], [5], [4, 6, 8]):
        loads: list[Load] = [Falling(number, clock) for number in numbers]
        assert [index_of(number, loads) for number in numbers] == list(range(len(numbers)))
