"""Wiring of a run: all processes of a scenario with their parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.site_faults import SiteFaults
from cluster_sim.deployment.thermal_groups import ThermalGroup, thermal_groups
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.sim.build_autoscalers import ScaledParts, build_autoscalers
from cluster_sim.sim.build_replicas import build_replicas
from cluster_sim.sim.build_router import build_router
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
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.failures import FaultInjector
from cluster_sim.sim.frequency_governor import frequency_governors
from cluster_sim.sim.kv_network import KvNetwork, needs_kv_network
from cluster_sim.sim.lifecycle import Lifecycle
from cluster_sim.sim.link_faults import LinkFaults, LinkParts
from cluster_sim.sim.power_meter import PowerMeter
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.router import Router
from cluster_sim.sim.routing_setting import routing_setting
from cluster_sim.sim.row_power import manage_power
from cluster_sim.sim.thermal_governor import thermal_governors
from cluster_sim.sim.thermometer import Thermometer, watched_replicas
from cluster_sim.sim.timetable import timetable
from cluster_sim.topology import FRONT_DOOR, Route
from cluster_sim.workload.traces import Tally


@dataclass(frozen=True)
class Simulation:
    """The processes of one run, wired and not yet started."""

    scenario: Scenario
    env: CountingEnvironment
    recorder: Recorder
    replicas: Sequence[Replica[Any]]
    """All replicas, in order of number."""
    router: Router
    """Router, which picks a replica for each request."""
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
    tally: Tally
    """Counts of the rows of a trace that were omitted."""
    injector: FaultInjector | None
    """Process of the faults of nodes and devices; None if there are none."""
    closed_loop: ClosedLoop | None = None
    """Clients that wait for answers; None if requests arrive at given times."""

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
        is_shared = scenario.cluster.contention == "shared"
        network = KvNetwork(env, fleet, recorder, links_fail=faults.hit_links, is_shared=is_shared)
    setting = routing_setting(env, scenario, fleet)
    replicas = build_replicas(env, scenario, fleet, recorder, network, setting)
    if network is not None:
        network.join(replicas.everyone)
        if replicas.decoding:
            plan = scenario.cluster.disaggregation or Disaggregation()
            transfers = network.connect(
                replicas.prefilling, replicas.decoding, replicas.capacity, plan
            )
    groups = thermal_groups(scenario)
    if (every_s := scenario.cluster.router.reads_temperatures_every_s) is not None:
        meter = PowerMeter(fleet.replicas, replicas.everyone, watched_replicas(groups), recorder)
        setting = setting._replace(slacks=Thermometer(env, groups, meter, every_s))
    paths = [fleet.topology.route(FRONT_DOOR, spec.server) for spec in fleet.replicas]
    router = build_router(env, scenario, fleet, replicas.everyone, recorder, setting)
    lifecycles = [
        Lifecycle(env, replica, spec.deployment.load_s or 0.0, recorder)
        for replica, spec in zip(replicas.everyone, fleet.replicas, strict=True)
    ]
    if scenario.site is not None and scenario.site.thermal_protection:
        thermal_governors(env, fleet, groups, lifecycles, recorder)
    frequency_governors(env, scenario, fleet, replicas.everyone, recorder)
    manage_power(env, scenario, fleet, replicas.everyone, recorder)
    build_autoscalers(env, fleet, ScaledParts(lifecycles, router, transfers, recorder))
    injector = None
    if not faults.are_none:
        parts = LinkParts(lifecycles, router, network, transfers)
        links = LinkFaults(fleet, faults.places, parts) if faults.hit_links else None
        injector = FaultInjector(env, faults, lifecycles, recorder, links)
    cancellation = Cancellation(env, router, replicas.everyone, transfers, recorder)
    simulation = Simulation(
        scenario=scenario,
        env=env,
        recorder=recorder,
        replicas=replicas.everyone,
        router=router,
        fabric=None if network is None else network.fabric,
        paths=paths,
        groups=groups,
        lifecycles=lifecycles,
        cancellation=cancellation,
        tally=tally,
        injector=injector,
    )
    return replace(simulation, closed_loop=_begin_traffic(simulation, fleet))


def _begin_traffic(simulation: Simulation, fleet: Fleet) -> ClosedLoop | None:
    """Let requests arrive; return the clients that wait for answers, None if there are none."""
    scenario, env, router = simulation.scenario, simulation.env, simulation.router
    answer_s = [*fleet.answer_latencies_s, 0.0]
    server = Server(router.route, simulation.cancellation.cancel, answer_s)
    clients = build_clients(env, scenario, server, simulation.recorder)
    send = label_requests(scenario, router.route if clients is None else clients.send)
    front_door = FrontDoorPath(send, answer_s)
    closed_loop = build_closed_loop(env, scenario, front_door, simulation.tally)
    if closed_loop is None:
        env.process(timetable(env, open_loop_requests(scenario, simulation.tally), send))
    elif clients is not None:
        clients.subscribe(closed_loop)
    if (waiting := clients or closed_loop) is not None:
        router.subscribe(waiting)
        for replica in simulation.replicas:
            replica.subscribe(waiting)
    return closed_loop
