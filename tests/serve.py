"""Runs a list of requests through replicas, without a scenario around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from simpy import Environment, Timeout

from cluster_sim.deployment.deployment import FrontEndCosts
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.routing import LeastRequests, Routing, RoutingSetting
from cluster_sim.serving.scheduler import Scheduler
from cluster_sim.sim.cancellation import Cancellation
from cluster_sim.sim.front_end import FrontEnd
from cluster_sim.sim.load_changes import LoadChanges
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_options import PLAIN
from cluster_sim.sim.router import Router
from cluster_sim.sim.timetable import timetable
from cluster_sim.workload.random_streams import stream


def serve(
    requests: Sequence[Request],
    times: StepTimes,
    make_scheduler: Callable[[], Scheduler],
    stepping: bool,
    replicas: int = 1,
    policy: Routing | None = None,
    latency_s: float = 0.0,
    *,
    prepares_ahead: bool = False,
    cancel_s: Mapping[Request, float] | None = None,
) -> Recorder:
    """All requests served to their end; their times are filled in.

    cancel_s: when the clients of some requests leave, after these have arrived.
    """
    env, recorder = Environment(), Recorder()
    options = PLAIN._replace(prepares_ahead=prepares_ahead)
    if stepping:
        options = options._replace(max_steps=1)
    engines = [
        Replica(env, index, make_scheduler(), lambda _: times, recorder, options)
        for index in range(replicas)
    ]
    setting = RoutingSetting(dict.fromkeys(range(replicas), "pool"))
    picker = (policy or LeastRequests()).picker(stream(0, "routing"), setting)
    router = Router(
        env,
        picker,
        engines,
        [FrontEnd(env, engine, FrontEndCosts(), latency_s) for engine in engines],
        recorder,
    )
    if picker.follows_loads:
        for engine in engines:
            engine.subscribe(LoadChanges(picker))
    env.process(timetable(env, iter(requests), router.route))
    cancellation = Cancellation(env, router, engines, None, recorder)
    for request, at_s in (cancel_s or {}).items():
        leaves = Timeout(env, at_s, request)
        leaves.callbacks.append(lambda event: cancellation.cancel(event.value))
    env.run()
    return recorder
