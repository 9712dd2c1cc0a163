"""Checks of an engine's exchange between attention and experts: kinds that a pool cannot run."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.physics.exchange_kinds import KINDS
from cluster_sim.scenario.exchanges import exchanges_of, group_shape
from cluster_sim.schema import Trail
from cluster_sim.serving.profiles import is_written


def exchange_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield kinds of exchange that have no effect, or that the devices of a pool cannot run.

    Parameters
    ----------
    deployment
        Model and pool.
    at
        Trail of the pool's plan.
    """
    pool, trail = deployment.pool, (*at, "engine", "expert_exchange")
    if pool.is_wafer or not is_written(pool.replica.engine, "expert_exchange"):
        return
    kinds = exchanges_of(pool, deployment.model)
    if kinds is None:
        reason = "one rank of attention reduces the outputs of experts and exchanges no tokens"
        yield trail, f"expected auto without data_parallel: {reason}"
        return
    for kind in dict.fromkeys(kinds):
        if (fault := _fault(kind, deployment)) is not None:
            yield trail, f"got {kind}; {fault}"


def _fault(kind: str, deployment: Deployment) -> str | None:
    """Return why the devices of a pool cannot run a kind of exchange; None if they can."""
    pool, device = deployment.pool, deployment.device
    shape = group_shape(pool, deployment.model)
    if kind == "nccl_all_to_all":
        if device.collectives.all_to_all is None:
            return f"expected auto: {device.name} has no figures for all_to_all; collectives.all_to_all in its file gives them"
        if shape.nodes > 1:
            return f"this version simulates it in one node only; expected a group of at most {pool.node.devices} devices, deepep_low_latency, or all_gather_reduce_scatter"
        return None
    if kind not in KINDS:
        return None
    if device.exchanges.of(kind) is None:
        known = [name for name in KINDS if device.exchanges.of(name) is not None]
        remedy = f"exchanges.{kind} in its file gives them"
        return f"expected {' or '.join(['auto', *known])}: {device.name} has no figures for {kind}; {remedy}"
    if shape.expert_parallel != shape.devices:
        return f"it sends tokens to whole experts; expected expert_parallel of {shape.devices}, one group per device of a stage, or auto"
    if shape.nodes > 1 and not KINDS[kind].crosses_nodes:
        return f"it works inside one NVLink domain; expected a group of at most {pool.node.devices} devices, or deepep_low_latency"
    return None
