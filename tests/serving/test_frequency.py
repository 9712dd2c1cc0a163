"""Frequency policies that predict: which clock they choose, by mental arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import pytest
from pytest import approx

from cluster_sim.hardware.clock_grid import ClockGrid
from cluster_sim.request import Request
from cluster_sim.serving.frequency import (
    Decoding,
    DynamoLlm,
    Known,
    Objectives,
    Remaining,
    ThrottllEm,
)
from cluster_sim.serving.frequency.steady_state import Traffic, steady_state


class Profile:
    """Prefill takes 1 ms and decode 10 ms, both divided by the clock; power is a parabola."""

    grid = ClockGrid(1e9, 0.2e9, 0.05e9)
    max_sequences = 100

    def decode_s(self, sequences: int, context_tokens: float, clock: float) -> float:
        return 0.010 / clock

    def prefill_s(self, tokens: float, clock: float) -> float:
        return 0.001 * tokens / clock

    def decode_w(self, sequences: int, context_tokens: float, clock: float) -> float:
        return 200.0

    def prefill_w(self, tokens: float, clock: float) -> float:
        return 500.0

    def idle_w(self, clock: float) -> float:
        return 100.0 + 1000.0 * (clock - 0.7) ** 2  # least at 0.7


class Replica:
    """A replica with these requests in decode and these prompt tokens in the queue."""

    number = requests = waiting = 0
    prefills = False

    def __init__(self, rest: Sequence[Remaining] = (), pending_prompt_tokens: int = 0) -> None:
        self._rest = list(rest)
        self.pending_prompt_tokens = pending_prompt_tokens

    @property
    def decoding(self) -> Decoding:
        return Decoding(len(self._rest), float(sum(each.context_tokens for each in self._rest)))

    def remaining(self) -> list[Remaining]:
        return self._rest


def rest(tokens: int, arrival_s: float = 0.0) -> Remaining:
    return Remaining(Request(0, arrival_s, 10, tokens), tokens, 10)


def test_steady_traffic_shares_the_time_between_prefill_and_decode() -> None:
    # 2 prompts/s of 0.1 s keep it busy for 0.2 s/s; 2 x 10 tokens/s in steps of 10 ms for 0.2 s/s
    state = steady_state(Profile(), Traffic(2.0, 100.0, 100.0**2, 11.0), 1.0, 99.0)
    assert state is not None
    assert state.tpot_s == approx(0.010 / 0.8)
    # mean wait of those that wait: 0.5 x 0.1 s / 0.8; one in 100 waits log(0.2 / 0.01) times that
    assert state.ttft_s == approx(0.0625 * log(20.0) + 0.010 + 0.1)
    assert state.watts == approx(0.2 * 500 + 0.2 * 200 + 0.6 * (100 + 1000 * 0.3**2))


def test_a_replica_that_cannot_keep_up_has_no_steady_state() -> None:
    assert steady_state(Profile(), Traffic(10.0, 100.0, 100.0**2, 11.0), 1.0, 99.0) is None


def known(**limits: float) -> Known:
    return Known(Profile(), [Objectives(**limits)])


@pytest.mark.parametrize(
    ("limits", "replica", "clock"),
    [
        ({"tpot_s": 0.014}, Replica([rest(100)]), 0.75),  # 10 ms / 0.714
        ({"e2el_s": 1.3}, Replica([rest(100)]), 0.80),  # 100 x 10 ms / 1.3 s is 0.77
        ({"e2el_s": 1.3}, Replica([rest(10), rest(100)]), 0.80),  # the longest answer decides
        ({"e2el_s": 1.7}, Replica([rest(100)], 300), 0.80),  # 0.3 s of prefill come first
        ({"e2el_s": 0.9}, Replica([rest(100)]), 1.00),  # lost at any clock
        ({"tpot_s": 0.1}, Replica([rest(100)]), 0.50),  # half of the highest is the lowest
        ({"tpot_s": 0.014}, Replica(), 0.50),
    ],
)
def test_throttll_em_takes_the_lowest_clock_that_keeps_every_deadline(
    limits: dict[str, float], replica: Replica, clock: float
) -> None:
    decider = ThrottllEm.model_validate({"spacing": "50 MHz"}).decider(known(**limits))
    assert decider.decide(replica, 0.0) == approx(clock)


def test_a_deadline_follows_from_both_other_objectives_if_there_is_none() -> None:
    limits = Objectives(ttft_s=1.0, tpot_s=0.1)
    assert limits.deadline_s(Request(0, 2.0, 10, 11)) == approx(2.0 + 1.0 + 10 * 0.1)


def dynamo(limits: dict[str, float], requests_per_s: float) -> tuple[float, float, float]:
    """The clocks at the start, after the first period, and with a long queue after that."""
    policy = DynamoLlm.model_validate({"spacing": "50 MHz", "margin": 0.0})
    decider = policy.decider(known(**limits))
    first = decider.decide(Replica(), 0.0)
    for _ in range(round(5 * requests_per_s)):
        decider.sent(100, 11)
    return first, decider.decide(Replica(), 5.0), decider.decide(Replica([], 5000), 5.5)


def test_dynamo_llm_takes_the_clock_of_least_power_that_keeps_the_objectives() -> None:
    # without work the least power is at 0.7; prefill and decode draw more than idling for longer
    assert dynamo({"ttft_s": 4.0, "tpot_s": 1.0}, 0.2)[:2] == approx((1.0, 0.70), abs=0.051)
    # 10 ms / clock within 12.5 ms needs 0.8, and 2 % of prefill a little more
    assert dynamo({"ttft_s": 4.0, "tpot_s": 0.0125}, 0.2)[1] == approx(0.85)


def test_dynamo_llm_takes_the_highest_clock_when_prompts_wait_too_long() -> None:
    assert dynamo({"ttft_s": 4.0, "tpot_s": 1.0}, 0.2)[2] == 1.0


def test_dynamo_llm_takes_the_highest_clock_under_overload() -> None:
    assert dynamo({"ttft_s": 4.0, "tpot_s": 1.0}, 20.0)[1] == 1.0
