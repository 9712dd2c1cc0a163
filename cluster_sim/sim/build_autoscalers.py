"""Wiring of autoscaling: one process for each pool that is scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.autoscaler import Autoscaler, ScaledPool
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.kv_transfers import KvTransfers
from cluster_sim.sim.lifecycle import Lifecycle
from cluster_sim.sim.pool_demand import DecodeDemand, EntryDemand, PoolDemand
from cluster_sim.sim.router import Router


class ScaledParts(NamedTuple):
    """Parts of a run that autoscaling reads and changes."""

    lifecycles: Sequence[Lifecycle]
    """States of all replicas, by number."""
    router: Router
    """Router, at which requests wait while no replica is open."""
    transfers: KvTransfers | None
    """KV transfers, at which requests wait for a decode replica; None if there are none."""
    recorder: Recorder
    """Recorder of the changes."""


def build_autoscalers(env: CountingEnvironment, fleet: Fleet, parts: ScaledParts) -> None:
    """Start a process for each pool of the fleet that is scaled."""
    for deployment in fleet.deployments:
        if (spec := deployment.pool.autoscale) is None:
            continue
        numbers = fleet.numbers(deployment.name)
        pool = ScaledPool(
            name=deployment.name,
            spec=spec,
            wake_s=deployment.wake_s,
            nodes=[fleet.replicas[number].nodes for number in numbers],
            lifecycles=[parts.lifecycles[number] for number in numbers],
            demand=_demand(fleet, parts, numbers[0]),
        )
        Autoscaler(env, pool, parts.recorder)


def _demand(fleet: Fleet, parts: ScaledParts, first: int) -> PoolDemand:
    """Return the demand for the pool whose first replica has this number."""
    if parts.transfers is None or fleet.replicas[first].role != "decode":
        return EntryDemand(parts.router, parts.lifecycles[first].replica)
    prefilling = [
        parts.lifecycles[spec.number].replica for spec in fleet.replicas if spec.role == "prefill"
    ]
    return DecodeDemand(parts.router, parts.transfers, prefilling)
