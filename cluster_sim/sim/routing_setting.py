"""Facts that a routing policy may use during a run, and schedulers that report to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from simpy import Environment

from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.kv_cache.shared_store import StoreView
from cluster_sim.serving.routing import KvEvents, RoutingSetting
from cluster_sim.serving.scheduler import Scheduler


def routing_setting(env: Environment, scenario: Scenario, fleet: Fleet) -> RoutingSetting:
    """Return the facts that the routing policy of a scenario may use."""
    return RoutingSetting(
        {spec.number: spec.deployment.name for spec in fleet.replicas if spec.role != "decode"},
        [each.name for each in scenario.workload.classes],
        KvEvents(lambda: env.now) if scenario.cluster.router.reads_kv_events else None,
    )


def scheduler_maker(
    spec: ReplicaSpec, seed: int, events: KvEvents | None, store: StoreView | None = None
) -> Callable[[], Scheduler]:
    """Return a function that makes the scheduler of a replica, with an empty KV cache.

    Parameters
    ----------
    spec
        Replica.
    seed
        Seed of the scenario.
    events
        Reports of the blocks in prefix caches; None if nobody reads them.
    store
        Tier that the replica shares with others; None if there is none.
    """
    if events is None or spec.role == "decode":
        return partial(build_scheduler, spec.deployment, seed, store=store)
    return lambda: build_scheduler(spec.deployment, seed, events.of_new_cache(spec.number), store)
