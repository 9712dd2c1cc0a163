"""The next step is prepared while a step runs: steps of one second, of which a pencil keeps track."""

from __future__ import annotations

import pytest

from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler import Continuous, SchedulerLimits
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from tests.serve import serve


class Seconds:
    """Steps that all take one second."""

    def ramp(self, work: StepWork) -> Ramp:
        return Ramp(1.0)


def scheduler() -> ContinuousScheduler:
    limits = SchedulerLimits(max_sequences=2, max_batched_tokens=100, max_context=1000)
    return Continuous().scheduler(limits, KVCacheSpec(1000, 10))


def first_tokens_s(*requests: Request, late: bool, stepping: bool = False) -> list[float]:
    serve(requests, Seconds(), scheduler, stepping, prepares_ahead=late)  # type: ignore[arg-type]
    return [request.first_token_s for request in requests]


@pytest.mark.parametrize("stepping", [False, True])
@pytest.mark.parametrize(
    ("arrival_s", "in_time", "late"),
    [
        (2.5, 4.0, 5.0),  # the step from 3 to 4 s was prepared at 2 s
        (3.5, 5.0, 6.0),
        (8.5, 10.0, 11.0),
        (9.5, 11.0, 11.0),  # nothing follows the last step of the first request
        (12.5, 13.5, 13.5),  # the engine is idle
    ],
)
def test_a_request_that_arrives_in_a_step_joins_the_next_or_the_one_after_it(
    arrival_s: float, in_time: float, late: float, stepping: bool
) -> None:
    """The first request has ten steps, from 0 to 10 s."""
    for is_late, expected in ((False, in_time), (True, late)):
        requests = Request(0, 0.0, 20, 10), Request(1, arrival_s, 20, 10)
        at_s = first_tokens_s(*requests, late=is_late, stepping=stepping)
        assert at_s == [1.0, expected]


def test_the_batch_goes_on_without_the_one_that_arrives() -> None:
    """Its tokens come every second, whatever arrives."""
    requests = Request(0, 0.0, 20, 10), Request(1, 2.5, 20, 4)
    first_tokens_s(*requests, late=True)
    assert [request.finish_s for request in requests] == [10.0, 8.0]


def test_requests_that_arrive_in_one_step_keep_their_order() -> None:
    """One batch slot is left: the first of them gets it at 4 s, the second at the end of the first."""
    requests = Request(0, 0.0, 20, 10), Request(1, 2.2, 20, 3), Request(2, 2.5, 20, 2)
    assert first_tokens_s(*requests, late=True) == [1.0, 5.0, 8.0]
