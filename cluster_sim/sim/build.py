"""Wiring of a run: all processes of a scenario with their parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.deployment.power_caps import device_caps_w
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.deployment.site_faults import SiteFaults
from cluster_sim.deployment.thermal_groups import ThermalGroup, thermal_groups
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.admission import Gate, Prefill
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.serving.routing import RoutingSetting
from cluster_sim.serving.scheduler import DecodeScheduler, PrefillScheduler
from cluster_sim.sim.build_autoscalers import ScaledParts, build_autoscalers
from cluster_sim.sim.build_traffic import (
    ClosedLoop,
    build_clients,
    build_closed_loop,
    label_requests,
    open_loop_requests,
)
from cluster_sim.sim.cancellation import Cancellation
from cluster_sim.sim.clients import Server
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.closed_loop import (
    FrontDoorPath,
)
from cluster_sim.sim.decode_capacity import DecodeCapacity
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.failures import FaultInjector
from cluster_sim.sim.front_end import FrontEnd
from cluster_sim.sim.kv_network import KvNetwork, needs_kv_network
from cluster_sim.sim.lifecycle import Lifecycle
from cluster_sim.sim.link_faults import LinkFaults, LinkParts
from cluster_sim.sim.load_changes import LoadChanges
from cluster_sim.sim.power_cap import CappedClock
from cluster_sim.sim.prefill_replica import PrefillReplica
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_options import ALL_STEPS, ReplicaOptions
from cluster_sim.sim.router import Router, RouterOptions
from cluster_sim.sim.routing_setting import routing_setting, scheduler_maker
from cluster_sim.sim.thermal_governor import thermal_governors
from cluster_sim.sim.timetable import timetable
from cluster_sim.topology import FRONT_DOOR, Route
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.traces import Tally


@dataclass(frozen=True)
class Simulation:
    """The processes of one run, wired and not yet started."""

    scenario: Scenario
    env: CountingEnvironment
    recorder: Recorder
    replicas: Sequence[Replica[Any]]
    """All replicas, in order of number."""
    fabric: Fabric | None
    """Fabric for transfers of KV cache; None if there are no transfers."""
    paths: Sequence[Route]
    """Path from the front door to each replica, by number."""
    groups: Sequence[ThermalGroup]
    """Groups of devices with equal temperatures; empty if temperatures are not simulated."""
    lifecycles: Sequence[Lifecycle]
    """States of the replicas, by number."""
    cancellation: Cancellation
    """Cancellation of requests whose clients leave."""
    closed_loop: ClosedLoop | None
    """Clients that wait for answers; None if requests arrive at given times."""
    tally: Tally
    """Counts of the rows of a trace that were omitted."""
    injector: FaultInjector | None
    """Process of the faults of nodes and devices; None if there are none."""

    def stop(self) -> None:
        """End the run: record the work in progress."""
        for replica in self.replicas:
            replica.stop(self.env.now)
        if self.fabric is not None:
            self.fabric.stop()


def build(scenario: Scenario, fleet: Fleet) -> Simulation:
    """Return the processes of a run, wired and not yet started.

    Parameters
    ----------
    scenario
        Scenario of the run.
    fleet
        Deployments of the scenario and their replicas.
    """
    env, recorder, tally = CountingEnvironment(), Recorder(), Tally()
    faults = SiteFaults(scenario, fleet)
    network, transfers = None, None
    if needs_kv_network(fleet):
        network = KvNetwork(env, fleet, recorder, links_fail=faults.hit_links)
    setting = routing_setting(env, scenario, fleet)
    replicas = _build_replicas(env, scenario, fleet, recorder, network, setting)
    if network is not None:
        network.join(replicas.everyone)
        if replicas.decoding:
            plan = scenario.cluster.disaggregation or Disaggregation()
            transfers = network.connect(
                replicas.prefilling, replicas.decoding, replicas.capacity, plan
            )
    groups = thermal_groups(scenario)
    paths = [fleet.topology.route(FRONT_DOOR, spec.server) for spec in fleet.replicas]
    router = _build_router(env, scenario, fleet, replicas.everyone, recorder, setting)
    lifecycles = [
        Lifecycle(env, replica, spec.deployment.load_s or 0.0, recorder)
        for replica, spec in zip(replicas.everyone, fleet.replicas, strict=True)
    ]
    thermal_governors(env, fleet, groups, replicas.everyone, lifecycles, recorder)
    build_autoscalers(
        env, fleet, ScaledParts(replicas.everyone, lifecycles, router, transfers, recorder)
    )
    injector = None
    if not faults.are_none:
        parts = LinkParts(replicas.everyone, lifecycles, router, network, transfers)
        links = LinkFaults(fleet, faults.places, parts)
        injector = FaultInjector(env, faults, lifecycles, recorder, links)
    answer_s = [*fleet.answer_latencies_s, 0.0]
    cancellation = Cancellation(env, router, replicas.everyone, transfers, recorder)
    server = Server(router.route, cancellation.cancel, answer_s)
    clients = build_clients(env, scenario, server, recorder)
    send = label_requests(scenario, router.route if clients is None else clients.send)
    front_door = FrontDoorPath(send, answer_s)
    closed_loop = build_closed_loop(env, scenario, front_door, tally)
    if closed_loop is None:
        env.process(timetable(env, open_loop_requests(scenario, tally), send))
    elif clients is not None:
        clients.subscribe(closed_loop)
    if (waiting := clients or closed_loop) is not None:
        router.subscribe(waiting)
        for replica in replicas.everyone:
            replica.subscribe(waiting)
    return Simulation(
        scenario=scenario,
        env=env,
        recorder=recorder,
        replicas=replicas.everyone,
        fabric=None if network is None else network.fabric,
        paths=paths,
        groups=groups,
        lifecycles=lifecycles,
        cancellation=cancellation,
        closed_loop=closed_loop,
        tally=tally,
        injector=injector,
    )


class _Replicas(NamedTuple):
    """All replicas in order of number, and the replicas of the roles `prefill` and `decode`."""

    everyone: list[Replica[Any]]
    prefilling: list[PrefillReplica]
    decoding: list[DecodeReplica]
    capacity: DecodeCapacity
    """Capacity of the decode replicas for single requests."""


def _build_replicas(  # noqa: PLR0913 - wires replicas to their parts
    env: CountingEnvironment,
    scenario: Scenario,
    fleet: Fleet,
    recorder: Recorder,
    network: KvNetwork | None,
    setting: RoutingSetting,
) -> _Replicas:
    longest = {
        deployment: build_scheduler(deployment).longest
        for deployment in fleet.deployments
        if deployment.role == "decode"
    }
    capacity = DecodeCapacity(
        {spec.number: longest[spec.deployment] for spec in fleet.replicas if spec.role == "decode"}
    )
    replicas, caps_w = _Replicas([], [], [], capacity), device_caps_w(scenario)
    for spec in fleet.replicas:
        cap_w = caps_w[spec.number]
        new_scheduler = scheduler_maker(spec, scenario.seed, setting.kv_events)
        options = ReplicaOptions(
            max_steps=_max_steps(scenario, spec),
            prepares_ahead=spec.deployment.pool.replica.engine.async_scheduling,
            ready_s=spec.deployment.ready_s,
            power_cap=None if cap_w is None else CappedClock(spec.deployment, cap_w),
            rebuild=new_scheduler,
            host_path=None if network is None else network.host_path(spec),
        )
        scheduler = new_scheduler()
        number, times_at = spec.number, spec.deployment.times_at
        match spec.role:
            case "prefill":
                prefilling = PrefillReplica(
                    env,
                    number,
                    cast(PrefillScheduler, scheduler),
                    times_at,
                    recorder,
                    options,
                    decoding=capacity,
                )
                replicas.prefilling.append(prefilling)
                replicas.everyone.append(prefilling)
            case "decode":
                decoding = DecodeReplica(
                    env, number, cast(DecodeScheduler, scheduler), times_at, recorder, options
                )
                replicas.decoding.append(decoding)
                replicas.everyone.append(decoding)
            case _:
                replicas.everyone.append(
                    Replica(env, number, scheduler, times_at, recorder, options)
                )
    return replicas


def _max_steps(scenario: Scenario, spec: ReplicaSpec) -> int:
    """Return the maximum number of steps that a replica runs in one sleep.

    It is 1 if the KV cache is sent layer by layer, or if its blocks are reported to the router:
    listeners then need the start or the end of each step.
    """
    plan, router = scenario.cluster.disaggregation or Disaggregation(), scenario.cluster.router
    by_layer = spec.role == "prefill" and plan.kv_transfer == "layers"
    reports = spec.role != "decode" and router.reads_kv_events
    return 1 if by_layer or reports or scenario.stepping == "step" else ALL_STEPS


def _build_router(  # noqa: PLR0913 - wires the front door to the replicas
    env: CountingEnvironment,
    scenario: Scenario,
    fleet: Fleet,
    replicas: Sequence[Replica[Any]],
    recorder: Recorder,
    setting: RoutingSetting,
) -> Router:
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
