"""The front end accepts requests together and tokenises them in batches, by mental arithmetic."""

from __future__ import annotations

import pytest
from simpy import Environment, Event

from cluster_sim.deployment.deployment import FrontEndCosts
from cluster_sim.request import Request
from cluster_sim.sim.front_end import MAX_BATCH, FrontEnd


class Scheduler:
    """A replica that writes down when requests reach it."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.at_s: list[float] = []

    def receive(self, delivery: Event) -> None:
        assert isinstance(delivery.value, Request)
        self.at_s.append(self.env.now)


def delivered(arrivals_s: list[float], costs: FrontEndCosts, tokens: int = 1000) -> list[float]:
    """Seconds at which requests of so many tokens reach the scheduler, with a latency of 10 s."""
    env = Environment()
    replica = Scheduler(env)
    front_end = FrontEnd(env, replica, costs, 10.0)  # type: ignore[arg-type] # receives alone

    def arrive(env: Environment):  # type: ignore[no-untyped-def]  # SimPy process
        for number, at_s in enumerate(arrivals_s):
            yield env.timeout(at_s - env.now)
            front_end.send(Request(number, at_s, tokens, 1))

    env.process(arrive(env))
    env.run()
    return replica.at_s


def test_without_costs_only_the_latency_counts() -> None:
    assert delivered([0.0, 0.0, 1.0], FrontEndCosts(0.0, 0.0)) == [10.0, 10.0, 11.0]


def test_one_request_takes_its_own_tokens() -> None:
    assert delivered([2.0], FrontEndCosts(0.5, 1e-3)) == [2.0 + 0.5 + 1.0 + 10.0]


def test_requests_that_arrive_meanwhile_are_done_together() -> None:
    """The first one is done after 1.5 s; both others then take 2 x 1.5 s, and wait for each other."""
    assert delivered([0.0, 0.2, 1.0], FrontEndCosts(0.5, 1e-3)) == [11.5, 14.5, 14.5]


def test_all_are_accepted_at_once_and_tokenised_by_32() -> None:
    """After the first request 40 others are accepted in 20 s, and tokenised in 32 s and 8 s."""
    at_s = delivered([0.0] * 41, FrontEndCosts(0.5, 1e-3))
    assert MAX_BATCH == 32
    assert at_s == [11.5] + [pytest.approx(63.5)] * 32 + [pytest.approx(71.5)] * 8
