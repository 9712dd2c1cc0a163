"""Wiring of the front door: the router, its policy, admission and the front ends of servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.admission import Gate, Prefill
from cluster_sim.serving.routing import RoutingSetting
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.front_end import FrontEnd
from cluster_sim.sim.load_changes import LoadChanges
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.router import Router, RouterOptions
from cluster_sim.topology import FRONT_DOOR
from cluster_sim.workload.random_streams import stream


def build_router(  # noqa: PLR0913 - wires the front door to the replicas
    env: CountingEnvironment,
    scenario: Scenario,
    fleet: Fleet,
    replicas: Sequence[Replica[Any]],
    recorder: Recorder,
    setting: RoutingSetting,
) -> Router:
    """Return the router of a run, which hears of the events of all replicas."""
    entries = [replica for replica in replicas if replica.is_entry]
    specs = [fleet.replicas[replica.number] for replica in entries]
    delays_s = [
        fleet.topology.route(FRONT_DOOR, spec.server).latency_s + spec.deployment.request_overhead_s
        for spec in specs
    ]
    front_ends = [
        FrontEnd(env, replica, spec.deployment.front_end, delay_s)
        for replica, spec, delay_s in zip(entries, specs, delays_s, strict=True)
    ]
    picker = scenario.cluster.router.picker(stream(scenario.seed, "routing"), setting)
    is_scaled = any(pool.autoscale is not None for pool in scenario.cluster.pools)
    options = RouterOptions(
        _gate(scenario, specs, delays_s), scenario.cluster.retry_lost, holds=is_scaled
    )
    router = Router(env, picker, entries, front_ends, recorder, options)
    for replica in replicas:
        replica.subscribe(router)
    if picker.follows_loads:
        changes = LoadChanges(picker)
        for replica in entries:
            replica.subscribe(changes)
    return router


def _gate(
    scenario: Scenario, specs: Sequence[ReplicaSpec], delays_s: Sequence[float]
) -> Gate | None:
    """Return the gate of the admission policy; None if it admits every request."""
    admission = scenario.cluster.admission
    if admission.refuses_nobody:
        return None
    prefill = [
        Prefill(delay_s, spec.deployment.prefill_tokens_per_s)
        for spec, delay_s in zip(specs, delays_s, strict=True)
    ]
    return admission.gate(prefill, [slo.ttft_s for slo in scenario.slos])
