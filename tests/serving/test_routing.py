"""Routers pick what their rules say, seen from outside or counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.load import ReportedLoad
from cluster_sim.serving.routing import (
    Load,
    Picker,
    PowerOfTwo,
    PrefixAffinity,
    Random,
    RoutingSetting,
)
from cluster_sim.serving.routing.picker import Scan
from cluster_sim.serving.routing.stale import stale
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from tests.laws.test_conservation import column, run
from tests.machines import small_gpu, tiny_model
from tests.serve import serve


@dataclass
class Loaded:
    """A replica with so many requests."""

    number: int
    requests: int
    waiting: int = 0
    pending_prompt_tokens: int = 0
    kv_share: float = 0.0

    def falls_below_s(self, tokens: int) -> float:
        return inf

    @property
    def running(self) -> int:
        return self.requests - self.waiting

    @property
    def pending_tokens(self) -> int:
        return 100 * self.requests


def loads(*requests: int) -> list[Load]:
    return [Loaded(number, count) for number, count in enumerate(requests)]


def prompt(*pieces: int, tokens: int | None = None) -> Request:
    """A prompt of pieces of 100 tokens each, known by their numbers."""
    request = Request(0, 0.0, tokens or 100 * len(pieces), 10)
    request.pieces = tuple((piece, 100) for piece in pieces)
    return request


@pytest.mark.parametrize("staleness_s", [0.0, 5e-3])
@pytest.mark.parametrize("name", ReportedLoad._fields)
def test_a_policy_may_decide_by_any_figure_of_a_load(name: str, staleness_s: float) -> None:
    """The figures are those of the replica's requests: who runs, who waits, what they still need."""

    class Least:
        """Picks the replica where the figure is least."""

        def picker(self, rng: np.random.Generator, setting: RoutingSetting) -> Picker:
            return stale(Scan(self.pick), staleness_s)

        def pick(self, request: Request, loads: Sequence[Load]) -> int:
            for load in loads:
                assert load.waiting + load.running == load.requests
                assert 0 <= load.pending_prompt_tokens <= load.pending_tokens
                assert 0.0 <= load.kv_share <= 1.0
                assert (load.pending_tokens == 0) is (load.requests == 0)
            figures = [getattr(load, name) for load in loads]
            return figures.index(min(figures))

    requests = [Request(number, 1e-3 * number, 30, 20) for number in range(40)]
    limits = SchedulerLimits(2, 200, 4096)
    policy: Any = Least()
    serve(
        requests,
        GpuSteps(tiny_model(), small_gpu()),
        lambda: Continuous().scheduler(limits, KVCacheSpec(200, 10)),
        stepping=False,
        replicas=3,
        policy=policy,
    )
    assert all(request.finish_s > request.arrival_s for request in requests)
    if name != "number":
        assert {request.replica for request in requests} == {0, 1, 2}


@pytest.mark.parametrize("staleness_s", [0.0, 0.04])
def test_the_shortest_queue_is_joined_as_it_was_when_the_report_was_made(
    tmp_path: Path, staleness_s: float
) -> None:
    """Against queues counted from the table of requests; without staleness the report is made for
    each request anew.
    """
    router = {"policy": "least_requests", "staleness": f"{staleness_s} s"}
    results = run(tmp_path, "on_off", "", cluster={"router": router})
    served = column(results, "status") == "finished"
    arrival_s, finish_s, replica = (
        column(results, name)[served] for name in ("arrival_s", "finish_s", "replica")
    )
    reported_s = arrival_s
    if staleness_s:
        everyone_s = column(results, "arrival_s")  # the rejected too: their coming makes a report
        reported_s = np.array(
            [
                np.min(everyone_s[everyone_s // staleness_s == period])
                for period in arrival_s // staleness_s
            ]
        )
    for index, at_s in enumerate(reported_s):
        there = (arrival_s < at_s) & (finish_s > at_s)
        queues = [int(np.sum(there & (replica == number))) for number in range(2)]
        assert replica[index] == queues.index(min(queues))


def test_random_picks_every_replica_alike() -> None:
    picker = Random().picker(np.random.default_rng(3))
    counts = np.bincount([picker.pick(prompt(), loads(0, 0, 0, 0, 0)) for _ in range(20_000)])
    chi_square = float(np.sum((counts - 4_000) ** 2) / 4_000)
    assert chi_square < 18.5  # 0.1 % of the time more, with 4 degrees of freedom


def test_power_of_two_picks_the_emptier_of_every_pair_alike() -> None:
    """With loads 0 < 1 < 2 < 3, replica i wins the pairs with those above it: 3, 2, 1 and 0 of 6."""
    picker = PowerOfTwo().picker(np.random.default_rng(3))
    counts = np.bincount(
        [picker.pick(prompt(), loads(0, 1, 2, 3)) for _ in range(20_000)], minlength=4
    )
    assert counts / 20_000 == pytest.approx([3 / 6, 2 / 6, 1 / 6, 0.0], abs=0.015)
    assert picker.pick(prompt(), loads(9)) == 0


def affinity(**keys: Any) -> Picker:
    return PrefixAffinity.model_validate(keys).picker(np.random.default_rng(0))


def send(picker: Picker, request: Request, *requests: int) -> int:
    """Pick a replica among those with so many requests, send it there."""
    replicas = loads(*requests)
    index = picker.pick(request, replicas)
    assert index is not None
    picker.sent(request, replicas[index])
    return index


def test_a_prompt_follows_its_longest_prefix() -> None:
    picker = affinity()
    assert send(picker, prompt(1, 2, 3), 5, 3, 4) == 1  # nothing known yet: the least loaded
    assert (
        send(picker, prompt(1, 7, 8, 9), 5, 9, 4) == 2
    )  # a quarter of it is at 1: not enough to draw it there
    assert send(picker, prompt(1, 2, 3, 4), 0, 30, 0) == 1
    assert send(picker, prompt(1, 7, 8), 0, 30, 30) == 2
    assert picker.pick(prompt(1), loads(0, 8, 7)) == 2  # both have it: the less loaded of them


def test_where_loads_differ_too_much_the_least_loaded_is_picked() -> None:
    """Too much is by more than 64 requests and by more than half, unless the scenario says
    otherwise.
    """
    picker = affinity()
    send(picker, prompt(1, 2), 0, 1)
    assert picker.pick(prompt(1, 2), loads(64, 0)) == 0
    assert picker.pick(prompt(1, 2), loads(65, 0)) == 1
    assert picker.pick(prompt(1, 2), loads(300, 200)) == 0
    assert picker.pick(prompt(1, 2), loads(301, 200)) == 1
    strict = affinity(balance_abs=2, balance_rel=1.0)
    send(strict, prompt(1, 2), 0, 1)
    assert [strict.pick(prompt(1, 2), loads(load, 1)) for load in (3, 4)] == [0, 1]


def test_a_short_match_draws_nothing() -> None:
    picker = affinity(cache_threshold=0.5)
    send(picker, prompt(1), 0, 1)
    assert picker.pick(prompt(1, tokens=201), loads(1, 0)) == 1
    assert picker.pick(prompt(1, tokens=200), loads(1, 0)) == 1
    assert picker.pick(prompt(1, tokens=199), loads(1, 0)) == 0


def test_the_router_forgets_the_end_of_the_prompt_that_was_sent_longest_ago() -> None:
    picker = affinity(remembered_tokens=500, cache_threshold=0.0)
    send(picker, prompt(1, 2, 3), 0, 1)
    send(picker, prompt(1, 7, 8, 9), 0, 1)  # 600 tokens by now: 3 is forgotten
    send(picker, prompt(1, 2, 3), 1, 0)  # 1 and 2 are known still; with it 9 goes
    send(picker, prompt(4, 5, 6), 1, 0)
    assert picker.pick(prompt(1, 7, 8), loads(1, 0)) == 0


def test_prompts_without_pieces_go_to_the_least_loaded() -> None:
    picker = affinity()
    assert send(picker, prompt(tokens=100), 2, 1) == 1
    assert send(picker, prompt(tokens=100), 1, 2) == 0


def test_a_refused_prompt_leaves_no_trace_with_the_router() -> None:
    from simpy import Environment

    from cluster_sim.results.recorder import Recorder
    from cluster_sim.serving.admission import Gate
    from cluster_sim.sim.router import Router, RouterOptions

    class Refusing(Loaded):
        longest, is_open = 10_000, True

        def holds(self, request: Request) -> bool:
            return True

    class First(Scan):
        def sent(self, request: Request, load: Load) -> None:
            raise AssertionError("nothing was sent")

    recorder = Recorder()
    gate = Gate("closed", lambda *_: True)
    replicas: Any = [Refusing(0, 0)]
    picker, options = First(lambda *_: 0), RouterOptions(gate)
    Router(Environment(), picker, replicas, [], recorder, options).route(prompt(1, 2))
    assert recorder.rejected == {0: "closed"}
