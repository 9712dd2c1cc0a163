"""A replica whose devices slow down and recover: between steps, never within one, and for stretches
as for steps.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simpy import Environment, Event

from cluster_sim.hardware.operating_point import FULL_SPEED, OperatingPoint
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_regions import WaferPlan
from cluster_sim.request import Request
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_options import PLAIN, ReplicaOptions
from cluster_sim.sim.timetable import timetable
from tests.laws.test_stretches_equal_steps import (
    jobs,
    limits,
    make_requests,
    make_scheduler,
    model_of,
    small_wafer,
)
from tests.machines import small_gpu, tiny_model

paces = st.builds(
    OperatingPoint, *(st.sampled_from([1.0, 0.9, 0.5, 0.1]) for _ in OperatingPoint._fields)
)
changes = st.lists(st.tuples(st.floats(1e-4, 0.05), paces), max_size=8)


def serve_at(
    changes: list[tuple[float, OperatingPoint]],
    requests: list[Request],
    scheduler: Any,
    times_at: Any,
    stepping: bool,
) -> Recorder:
    """Requests served by one replica, whose pace changes after each of these gaps [s]."""
    env, recorder = Environment(), Recorder()
    options = ReplicaOptions(max_steps=1) if stepping else PLAIN
    replica = Replica(env, 0, scheduler, times_at, recorder, options)

    def change() -> Generator[Event, Any, None]:
        for gap_s, pace in changes:
            yield env.timeout(gap_s)
            replica.set_operating_point(pace)

    def arrive(request: Request) -> None:
        recorder.requests.append(request)
        replica.expect(request)
        replica.receive(env.event().succeed(request))

    env.process(timetable(env, iter(requests), arrive))
    env.process(change())
    env.run()
    return recorder


def rows_of(recorder: Recorder) -> list[dict[str, float]]:
    rows = np.frombuffer(recorder.stretches).reshape(-1, len(STRETCH_COLUMNS))
    return [dict(zip(STRETCH_COLUMNS, row.tolist(), strict=True)) for row in rows]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs, limits, changes, st.sampled_from(["gpu", "wafer"]))
def test_stretch_and_step_agree_while_the_pace_changes(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    changes: list[tuple[float, OperatingPoint]],
    machine: str,
) -> None:
    model = model_of(limit)

    @cache
    def times_at(pace: OperatingPoint) -> StepTimes:
        if machine == "wafer":
            return WaferSteps(model, small_wafer().at(pace), WaferPlan(2))
        return GpuSteps(model, small_gpu().at(pace))

    seen = []
    for stepping in (False, True):
        requests = make_requests(gaps, limit)
        recorder = serve_at(changes, requests, make_scheduler(limit), times_at, stepping)
        seen.append(requests)
        for row, after in pairwise(rows_of(recorder)):
            assert (
                row["began_s"] + Ramp(row["first_s"], row["slope_s"]).total_s(int(row["steps"]))
                <= after["began_s"] + 1e-9
            )
    for stretched, stepped in zip(*seen, strict=True):
        assert stretched.first_token_s == pytest.approx(stepped.first_token_s, rel=1e-9)
        assert stretched.finish_s == pytest.approx(stepped.finish_s, rel=1e-9)


def test_the_step_under_way_is_finished_before_a_new_pace_holds() -> None:
    class Seconds:
        """A step of 1 s, of 2 s with half of the memory."""

        def __init__(self, pace: OperatingPoint) -> None:
            self.each_s = 1.0 / pace.memory

        def ramp(self, _: StepWork) -> Ramp:
            return Ramp(self.each_s)

    requests = [Request(0, 0.0, 4, 6)]
    limit = {
        "blocks": 10,
        "block_tokens": 4,
        "max_sequences": 1,
        "budget": 8,
        "chunked": True,
        "window": 0,
    }
    recorder = serve_at(
        [(2.5, OperatingPoint(memory=0.5)), (4.0, FULL_SPEED)],
        requests,
        make_scheduler(limit),
        Seconds,
        False,
    )
    # steps end at 1, 2, 3, then 5, 7, then 8
    assert [(row["began_s"], row["steps"], row["first_s"], row["memory_share"]) for row in rows_of(recorder)] == [
        (0.0, 1, 1.0, 1.0), (1.0, 2, 1.0, 1.0), (3.0, 2, 2.0, 0.5), (7.0, 1, 1.0, 1.0),
    ]  # fmt: skip
    assert requests[0].finish_s == 8.0


def seconds_at(pace: OperatingPoint) -> tuple[float, float]:
    """Of a step bound by reading, one token after 1,000, and of one bound by computing, 10,000
    prompt tokens; neither has a start of its own.
    """
    bare = {"overheads": {"default": {"step": "0 s", "layer": "0 s"}}}
    reading = small_gpu(peak={"bf16": "1 TFLOP/s"}, **bare)
    computing = small_gpu(memory={"capacity": "10 GB", "bandwidth": "1 TB/s"}, **bare)
    decode, prefill = (GpuSteps(tiny_model(), device.at(pace)) for device in (reading, computing))
    return decode.ramp(StepWork(batch=1, growth=1, context=1000)).first_s, prefill.ramp(
        StepWork(prompt_tokens=10_000, sampled=1, pairs=50_005_000)
    ).first_s


def test_decoding_hardly_follows_the_clock_and_prefill_does() -> None:
    decode, prefill = (
        slow / whole
        for slow, whole in zip(
            seconds_at(OperatingPoint(clock=0.8)), seconds_at(FULL_SPEED), strict=True
        )
    )
    assert decode == pytest.approx(1 / 0.971, rel=0.01)  # reading goes as 0.8^0.13 = 0.971
    assert prefill == pytest.approx(1.25, rel=0.01)


def test_half_of_the_memory_takes_decoding_twice_as_long_and_hardly_slows_prefill() -> None:
    decode, prefill = (
        slow / whole
        for slow, whole in zip(
            seconds_at(OperatingPoint(memory=0.5)), seconds_at(FULL_SPEED), strict=True
        )
    )
    assert decode == pytest.approx(2.0, rel=0.01)
    assert prefill == pytest.approx(1.0, rel=0.01)


def test_what_others_leave_of_a_memory_and_what_refreshing_leaves_multiply() -> None:
    env = Environment()
    limit = {
        "blocks": 10,
        "block_tokens": 4,
        "max_sequences": 1,
        "budget": 8,
        "chunked": True,
        "window": 0,
    }
    replica = Replica(
        env,
        0,
        make_scheduler(limit),
        lambda point: GpuSteps(tiny_model(), small_gpu().at(point)),
        Recorder(),
    )
    replica.set_shares(0.75, 0.5, 1.0)
    replica.set_throttle(0.9, 0.8)
    assert replica.operating_point == pytest.approx(OperatingPoint(0.9, 0.6, 0.5))
    replica.set_shares(1.0, 1.0, 1.0)
    assert replica.operating_point == pytest.approx(OperatingPoint(0.9, 0.8, 1.0))
