"""Scenario -> Results: sets the processes up, lets time pass, gathers the tables."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from simpy import Environment, Event

from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.power_caps import device_caps_w
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.deployment.thermal_groups import thermal_groups
from cluster_sim.hardware.operating_point import FULL_PACE
from cluster_sim.loading.sampling import sampled
from cluster_sim.request import Request
from cluster_sim.results.build_tables import build_tables
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.results import Results
from cluster_sim.results.run_info import RunInfo
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.admission import Gate, Prefill
from cluster_sim.serving.disaggregation import HandOver as HandOverPlan
from cluster_sim.serving.scheduler import DecodeScheduler, PrefillScheduler
from cluster_sim.sim.fabric import Bus, Fabric, HostWay
from cluster_sim.sim.kv_transfer import HandOver, Links
from cluster_sim.sim.power_cap import Capped
from cluster_sim.sim.replica import DecodeReplica, PrefillReplica, Replica
from cluster_sim.sim.router import Router
from cluster_sim.sim.source import Clients, Conversations, timetable
from cluster_sim.sim.thermal_governor import thermal_governors
from cluster_sim.topology import FRONT_DOOR, MEMORY, Topology, parallel_paths_between
from cluster_sim.workload.classes import labelled
from cluster_sim.workload.generate import drawn, replayed
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.sessions import scripts
from cluster_sim.workload.traces import Tally

Progress = Callable[[float, int], None]
"""Told the simulated seconds and the requests that have left, about ten times a second of wall
time."""

Watch = Callable[[float, Recorder], None]
"""Shown the simulated seconds and the rows recorded so far as often; it must leave them as they
are."""

_REPORT_EVERY_S = 0.1


def simulate(
    scenario: Scenario, progress: Progress | None = None, watch: Watch | None = None
) -> Results:
    """Run `scenario` to its end, or the sample of it that it asks for.

    Raises ScenarioError where a trace turns out to be malformed on the way.
    """
    began = time.perf_counter()
    scenario = sampled(scenario)
    env, recorder, tally = Environment(), Recorder(), Tally()
    fleet = resolve(scenario)
    until_s = scenario.duration_s if scenario.duration_s is not None else float("inf")

    answered: Callable[[Request], None] | None = None  # in an open loop no client waits
    latencies_s: list[float] = []
    closed = _closed_loop(
        env,
        scenario,
        until_s,
        lambda request: latencies_s[request.replica] if request.replica >= 0 else 0.0,
    )
    if closed is not None:
        answered = closed.answered
    replicas = _replicas(env, scenario, recorder, answered)
    fabric = _fabric(env, scenario, replicas, recorder)
    paths = [fleet.topology.route(FRONT_DOOR, spec.server) for spec in fleet.replicas]
    latencies_s += [path.latency_s for path in paths]
    overheads_s = [spec.deployment.request_overhead_s for spec in fleet.replicas]
    entries = [replica for replica in replicas if not isinstance(replica, DecodeReplica)]
    ways_s = [paths[replica.number].latency_s + overheads_s[replica.number] for replica in entries]
    picker = scenario.cluster.router.picker(stream(scenario.seed, "routing"))
    router = Router(env, picker, entries, ways_s, recorder, answered, _gate(scenario, ways_s))
    route: Callable[[Request], None] = router.route
    groups = thermal_groups(scenario)
    thermal_governors(env, fleet, groups, replicas, recorder)
    for replica in replicas:
        replica.on_lost = router.fail if isinstance(replica, DecodeReplica) else router.lost
    if classes := scenario.workload.classes:
        route = labelled(route, classes, scenario.seed)
    if (shared := scenario.workload.shared_prefix) is not None:
        route = shared.before(route, scenario.seed)
    if closed is not None:
        closed.route = route
    else:
        env.process(timetable(env, _requests(scenario, until_s, tally), route))
    beats = _run(env, recorder, until_s + scenario.drain_s, progress, watch)
    for replica in replicas:
        replica.stop(env.now)
    if fabric is not None:
        fabric.stop()
    wall_s = time.perf_counter() - began
    tables = build_tables(scenario, recorder, paths, groups)
    info = RunInfo(
        wall_s=wall_s,
        # SimPy numbers events as they are scheduled; the next number is how many there were.
        events=next(env._eid) - beats,
        simulated_s=tables.simulated_s,
        notes=tuple(tally.said()),
        sessions=closed.ended if isinstance(closed, Conversations) else None,
    )
    return Results(scenario, **tables._asdict(), info=info)


def _replicas(
    env: Environment,
    scenario: Scenario,
    recorder: Recorder,
    answered: Callable[[Request], None] | None,
) -> list[Replica]:
    """Of all pools in order."""
    stepping = scenario.stepping == "step"
    fleet, replicas = resolve(scenario), list[Replica]()
    longest_decoded = max(
        (
            build_scheduler(deployment).longest
            for deployment in fleet.deployments
            if deployment.role == "decode"
        ),
        default=0,
    )
    caps_w = device_caps_w(scenario)
    for spec in fleet.replicas:
        deployment, number = spec.deployment, spec.number
        step_times = deployment.times_at(FULL_PACE)
        batch = build_scheduler(deployment, scenario.seed)
        if isinstance(batch, PrefillScheduler):
            replicas.append(
                PrefillReplica(
                    env,
                    number,
                    batch,
                    step_times,
                    recorder,
                    stepping,
                    answered,
                    longest_decoded,
                )
            )
        elif isinstance(batch, DecodeScheduler):
            replicas.append(
                DecodeReplica(
                    env,
                    number,
                    batch,
                    step_times,
                    recorder,
                    stepping,
                    answered,
                )
            )
        else:
            replicas.append(
                Replica(
                    env,
                    number,
                    batch,
                    step_times,
                    recorder,
                    stepping,
                    answered,
                )
            )
        replicas[-1].times_at = deployment.times_at
        if (cap_w := caps_w[number]) is not None:
            replicas[-1].cap = Capped(deployment, cap_w)
        replicas[-1].ready_s = deployment.ready_s
    return replicas


def _fabric(
    env: Environment,
    scenario: Scenario,
    replicas: list[Replica],
    recorder: Recorder,
) -> Fabric | None:
    """What moves KV from replica to replica and between devices and their hosts; None where there
    is none to be moved.
    """
    fleet, specs = resolve(scenario), resolve(scenario).replicas
    topology = fleet.topology
    decoders = [replica for replica in replicas if isinstance(replica, DecodeReplica)]
    if not decoders and not any(deployment.keeps_kv_on_host for deployment in fleet.deployments):
        return None
    memories = [[f"{device}/{MEMORY}" for device in spec.rank_devices] for spec in specs]
    buses = {
        topology.resource((spec.server, own[0])): _bus(spec.deployment.pool)
        for spec, own in zip(specs, memories, strict=True)
    }
    fabric = Fabric(env, lambda resource: topology.capacity(resource), buses, recorder)  # type: ignore[arg-type]  # resources are edges
    for replica, memory, spec in zip(replicas, buses, specs, strict=True):
        deployment, places = spec.deployment, spec.rank_devices
        fabric.join(
            replica, memory, _collective_links(topology, places), _brought(topology, places[0])
        )
        host = topology.host(places[0]) if deployment.keeps_kv_on_host else None
        bandwidth = deployment.swap_bandwidth_bytes_per_s
        if host is not None and bandwidth:
            own = [f"{place}/{MEMORY}" for place in places]
            kind = "swap" if deployment.pool.kv.preemption == "swap" else "offload"
            replica.to_host = HostWay(
                fabric,
                parallel_paths_between(topology, own, [_dram(topology, host)]),
                kind,
                replica.number,
                len(places) * bandwidth,
            )
    if not decoders:
        return fabric
    plan = scenario.cluster.hand_over or HandOverPlan()
    links = Links(
        lambda start, end: parallel_paths_between(topology, memories[start], memories[end]),
        lambda tokens, number: specs[number].deployment.kv_bytes(tokens),
        scenario.model.layers,
    )
    hand_over = HandOver(
        env, decoders, plan.chooser(DecodeReplica), plan.kv_transfer, links, recorder, fabric
    )
    for replica in replicas:
        if isinstance(replica, PrefillReplica):
            hand_over.take_from(replica)
    return fabric


def _dram(topology: Topology, host: str) -> str:
    """The host's memory, or the host where its node's file does not say how that is reached."""
    dram = f"{topology.node(host)}/dram"
    return dram if dram in topology else host


def _bus(pool: Pool) -> Bus:
    memory = pool.node.device.memory
    return Bus(memory.bandwidth_bytes_per_s * memory.reachable, memory.stream_loss, memory.mix_loss)


def _brought(topology: Topology, device: str) -> float:
    """What all links of a device but its memory's carry, both directions together [B/s]."""
    return sum(
        2.0 * topology.capacity((device, other))
        for other in topology.neighbours(device)
        if topology.kind((device, other)) != MEMORY
    )


def _collective_links(topology: Topology, places: list[str]) -> list[Hashable]:
    """The links of a replica's first device, one in each direction, that its collectives cross;
    none where it is alone.
    """
    if len(places) == 1:
        return []
    there, back = (
        topology.route(*ends) for ends in ((places[0], places[1]), (places[1], places[0]))
    )
    return [topology.resource(there.edges[0]), topology.resource(back.edges[-1])]


def _closed_loop(
    env: Environment,
    scenario: Scenario,
    until_s: float,
    answer_latency_s: Callable[[Request], float],
) -> Clients | Conversations | None:
    """The clients that wait for answers; None where requests come by a timetable."""
    workload, warmup_s = scenario.workload, scenario.warmup_s
    if (sessions := workload.sessions) is not None:
        starts_s = None
        if sessions.arrivals is not None:
            times_s = sessions.arrivals.times(stream(scenario.seed, "arrivals"))
            starts_s = islice(times_s, sessions.arrivals.requests)
        own = scripts(sessions, scenario.seed)
        return Conversations(
            env,
            own,
            starts_s,
            sessions.concurrency or 0,
            sessions.requests,
            until_s,
            warmup_s,
            answer_latency_s,
        )
    arrivals = workload.arrivals
    if arrivals is not None and (clients := arrivals.waiting_clients()) is not None:
        return Clients(
            env,
            workload.lengths(scenario.seed),
            clients.number,
            clients.think_time_s,
            arrivals.requests,
            until_s,
            warmup_s,
            answer_latency_s,
        )
    return None


def _gate(scenario: Scenario, ways_s: list[float]) -> Gate | None:
    """What the admission policy lets in; None where it lets in everybody."""
    admission = scenario.cluster.admission
    if admission.refuses_nobody:
        return None
    rates = [
        spec.deployment.prefill_tokens_per_s
        for spec in resolve(scenario).replicas
        if spec.role != "decode"
    ]
    return admission.gate(
        [Prefill(*both) for both in zip(ways_s, rates, strict=True)],
        [slo.ttft_s for slo in scenario.slos],
    )


def _requests(scenario: Scenario, until_s: float, tally: Tally) -> Iterator[Request]:
    workload = scenario.workload
    if workload.trace is not None:
        return replayed(workload.trace, scenario.seed, until_s, scenario.warmup_s, tally)
    assert workload.arrivals is not None
    return drawn(
        workload.arrivals,
        workload.lengths(scenario.seed),
        scenario.seed,
        until_s,
        scenario.warmup_s,
    )


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """The loop makes no reference cycles but millions of rows, which the collector would look
    through again and again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _run(
    env: Environment,
    recorder: Recorder,
    end_s: float,
    progress: Progress | None,
    watch: Watch | None,
) -> int:
    """Let time pass until nothing is left to happen, or until `end_s`. Returns how many events were
    there for those who look on.
    """
    beats = 0

    def heartbeat() -> Generator[Event, Any, None]:
        """Reports about every `_REPORT_EVERY_S` of wall time: simulated sleeps that grow or shrink
        with how long they take.
        """
        nonlocal beats
        beats += 1  # that it began
        sleep_s, last = 1e-3, time.perf_counter()
        while env.peek() != float("inf"):
            beats += 1
            yield env.timeout(sleep_s)
            now = time.perf_counter()
            sleep_s *= min(max(_REPORT_EVERY_S / max(now - last, 1e-6), 0.5), 2.0)
            last = now
            if progress is not None:
                progress(env.now, recorder.left)
            if watch is not None:
                watch(env.now, recorder)
        beats += 1  # that it ends

    if progress is not None or watch is not None:
        env.process(heartbeat())
    with _no_cycle_collection():
        env.run(until=end_s if end_s != float("inf") else None)
    return beats
