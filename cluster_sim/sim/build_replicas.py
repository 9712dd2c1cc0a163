"""Wiring of the replicas of a run: their schedulers, options and roles."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.deployment.power_caps import caps_move, device_caps_move, device_caps_w
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.serving.routing import RoutingSetting
from cluster_sim.serving.scheduler import DecodeScheduler, PrefillScheduler
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.decode_capacity import DecodeCapacity
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.device_clock import DeviceClock
from cluster_sim.sim.kv_network import KvNetwork
from cluster_sim.sim.prefill_replica import PrefillReplica
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_options import ALL_STEPS, ReplicaOptions
from cluster_sim.sim.routing_setting import scheduler_maker
from cluster_sim.sim.shared_tiers import SharedTiers


class Replicas(NamedTuple):
    """All replicas in order of number, and the replicas of the roles `prefill` and `decode`."""

    everyone: list[Replica[Any]]
    prefilling: list[PrefillReplica]
    decoding: list[DecodeReplica]
    capacity: DecodeCapacity
    """Capacity of the decode replicas for single requests."""


def build_replicas(  # noqa: PLR0913 - wires replicas to their parts
    env: CountingEnvironment,
    scenario: Scenario,
    fleet: Fleet,
    recorder: Recorder,
    network: KvNetwork | None,
    setting: RoutingSetting,
) -> Replicas:
    """Return the replicas of a run, by role and by number."""
    tiers = None if network is None else SharedTiers(fleet, network)
    longest = {
        deployment: build_scheduler(deployment).longest
        for deployment in fleet.deployments
        if deployment.role == "decode"
    }
    capacity = DecodeCapacity(
        {spec.number: longest[spec.deployment] for spec in fleet.replicas if spec.role == "decode"}
    )
    replicas, caps_w = Replicas([], [], [], capacity), device_caps_w(scenario)
    moves, locks = device_caps_move(scenario), caps_move(scenario)
    for spec in fleet.replicas:
        cap_w = caps_w[spec.number]
        has_loop = moves or cap_w is not None
        has_control = has_loop or locks or spec.deployment.pool.frequency is not None
        store = None if tiers is None else tiers.view(spec)
        new_scheduler = scheduler_maker(spec, scenario.seed, setting.kv_events, store)
        options = ReplicaOptions(
            max_steps=_max_steps(scenario, spec),
            prepares_ahead=spec.deployment.pool.replica.engine.async_scheduling,
            ready_s=spec.deployment.ready_s,
            device_clock=(
                DeviceClock(spec.deployment, cap_w, has_loop=has_loop) if has_control else None
            ),
            rebuild=new_scheduler,
            host_path=None if network is None else network.host_path(spec),
            store_path=None if tiers is None else tiers.path(spec),
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
    if tiers is not None:
        tiers.subscribe(replicas.everyone)
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
