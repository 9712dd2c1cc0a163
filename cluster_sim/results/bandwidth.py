"""What took the bandwidth of memories and links, and how long memories were what steps waited for:
functions of Results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.transformer import step_kv_bytes
from cluster_sim.results.run import Run
from cluster_sim.topology import MEMORY

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Traffic:
    """What went over the memories, or over one kind of link, of a pool's devices: means over them
    and over equal bins of time.
    """

    pool: str
    what: str
    """`memory`, or the kind of link."""
    capacity_bytes_per_s: float
    """Of one device; of a memory what can be reached, of a link one direction."""
    by_kind: Mapping[str, Array]
    """Bytes a second of one device in each bin: of `steps`, `collectives`, `KV in`, `KV out`."""

    @property
    def total(self) -> Array:
        """Of all kinds."""
        total: Array = np.sum(list(self.by_kind.values()), axis=0)
        return total


@dataclass(frozen=True)
class PoolOverTime:
    """One pool over time, means over its replicas in equal bins."""

    pool: str
    memory: Traffic
    links: tuple[Traffic, ...]
    saturated: Array
    """Share of the time in which kernels read as fast as they can: the memory is what steps wait
    for."""
    compute: Array
    """FLOP over what could be done at the peak."""
    kv_room: Array
    """Share of the KV room that is taken."""


def memory_bound_s(results: Run, deployment: Deployment, rows: Array) -> Array:
    """Of these stretches of a pool, how long its memories were read as fast as kernels can [s].

    That is their bytes over what kernels reach alone, see hardware.Efficiency, and over the share
    that other traffic left; at most the stretch.
    """
    table, model, pool = results.stretches, deployment.model, deployment.pool
    plan, device = pool.replica, deployment.device
    names = (
        "steps",
        "batch",
        "prompt_tokens",
        "context",
        "growth",
        "windowed",
        "growing",
        "bytes",
        "began_s",
        "ended_s",
        "memory_share",
    )
    column = {name: table[name].to_numpy()[rows] for name in names if name in table.column_names}
    steps, middle = column["steps"], 0.5 * (column["steps"] - 1)
    ranks = 1 if pool.is_wafer else plan.tensor_parallel
    tokens = column["batch"] + column["prompt_tokens"]
    context, windowed = (
        column["context"] + middle * column["growth"],
        column["windowed"] + middle * column["growing"],
    )
    kv = np.minimum(
        steps * step_kv_bytes(model, plan.kv_cache, ranks, tokens, context, windowed),
        column["bytes"],
    )
    reading, of_kv = 1.0, 1.0
    if device.efficiency is not None:
        reading, of_kv = (
            device.efficiency.weight_bandwidth.of(deployment.weights),
            device.efficiency.kv_bandwidth,
        )
    rate = (
        deployment.devices_per_replica
        * device.memory.bandwidth_bytes_per_s
        * column.get("memory_share", 1.0)
    )
    bound_s: Array = np.minimum(
        ((column["bytes"] - kv) / reading + kv / of_kv) / rate,
        column["ended_s"] - column["began_s"],
    )
    return bound_s


def saturated_fraction(results: Run, pool: str | None = None) -> float:
    """Of the time in which steps run, the share in which memories are what they wait for."""
    table, bound_s, running_s = results.stretches, 0.0, 0.0
    fleet = results.fleet
    for deployment in fleet.deployments:
        if pool in (None, deployment.name):
            numbers = fleet.numbers(deployment.name)
            rows = np.nonzero(np.isin(table["replica"].to_numpy(), numbers))[0]
            bound_s += float(np.sum(memory_bound_s(results, deployment, rows)))
            running_s += float(
                np.sum((table["ended_s"].to_numpy() - table["began_s"].to_numpy())[rows])
            )
    return bound_s / running_s if running_s else 0.0


def over_time(results: Run, points: int = 300) -> tuple[Array, list[PoolOverTime]]:
    """(edges of the bins [s], each pool over them)."""
    edges_s = np.linspace(0.0, results.info.simulated_s or 1.0, points + 1)
    return edges_s, [
        _pool(results, deployment, edges_s) for deployment in results.fleet.deployments
    ]


def _pool(results: Run, deployment: Deployment, edges_s: Array) -> PoolOverTime:
    pool, device = deployment.pool, deployment.device
    numbers = results.fleet.numbers(deployment.name)
    stretches, transfers = results.stretches, results.transfers
    rows = np.nonzero(np.isin(stretches["replica"].to_numpy(), numbers))[0]
    began_s, ended_s = (stretches[name].to_numpy()[rows] for name in ("began_s", "ended_s"))
    bin_s, devices = float(edges_s[1] - edges_s[0]), len(numbers) * deployment.devices_per_replica

    def spread(amounts: Array) -> Array:
        """A second, over bins."""
        return _spread(began_s, ended_s, amounts, edges_s)

    kv: dict[str, Array] = {}
    for name, column in (("KV in", "to_replica"), ("KV out", "from_replica")):
        mine = np.isin(transfers[column].to_numpy(), numbers)
        if mine.any():
            first_s, last_s, moved = (
                transfers[at].to_numpy()[mine] for at in ("began_s", "ended_s", "bytes")
            )
            kv[name] = _spread(first_s, last_s, moved, edges_s) / devices
    memory = device.memory.bandwidth_bytes_per_s * device.memory.reachable
    links = []
    if kv:
        kind, capacity = _way_out(results, numbers)
        links.append(Traffic(pool.name, kind, capacity, kv))
    if not pool.is_wafer and pool.replica.tensor_parallel > 1:
        links.append(
            _collectives(
                results.fleet,
                deployment,
                spread(_exchanged(results, deployment, rows)) / len(numbers),
            )
        )
    kv_tokens, growth = (stretches[name].to_numpy()[rows] for name in ("kv_tokens", "growth"))
    held = (
        kv_tokens
        + 0.5
        * stretches["steps"].to_numpy()[rows]
        * (growth + stretches["prompt_tokens"].to_numpy()[rows])
    ) * (ended_s - began_s)
    peak = devices * device.peak.of(deployment.weights)[1]
    return PoolOverTime(
        pool.name,
        Traffic(
            pool.name,
            MEMORY,
            memory,
            {"steps": spread(stretches["bytes"].to_numpy()[rows]) / devices} | kv,
        ),
        tuple(links),
        spread(memory_bound_s(results, deployment, rows)) / len(numbers),
        spread(stretches["flop"].to_numpy()[rows]) / peak,
        np.minimum(spread(held) / (len(numbers) * deployment.kv_tokens), 1.0)
        if bin_s
        else np.zeros(len(edges_s) - 1),
    )


def _exchanged(results: Run, deployment: Deployment, rows: Array) -> Array:
    """Bytes that cross each device's link, one direction, for the all-reduces of these stretches: 2
    (n - 1) / n of each tensor.
    """
    table, model, plan = results.stretches, deployment.model, deployment.pool.replica
    ranks = plan.tensor_parallel
    tokens = (table["batch"].to_numpy()[rows] + table["prompt_tokens"].to_numpy()[rows]) * table[
        "steps"
    ].to_numpy()[rows]
    exchanged: Array = (
        2
        * model.layers
        * 2
        * (ranks - 1)
        / ranks
        * model.hidden
        * ACTIVATION_BYTES
        * tokens
        / plan.data_parallel
    )
    return exchanged


def _collectives(fleet: Fleet, deployment: Deployment, bytes_per_s: Array) -> Traffic:
    topology = fleet.topology
    first, second = fleet.replicas[fleet.numbers(deployment.name)[0]].rank_devices[:2]
    edge = topology.route(first, second).edges[0]
    return Traffic(
        deployment.name, topology.kind(edge), topology.capacity(edge), {"collectives": bytes_per_s}
    )


def _way_out(results: Run, numbers: Sequence[int]) -> tuple[str, float]:
    """The narrowest link near one of the pool's devices on the way of its KV: its kind, and what of
    it is one device's [B/s].
    """
    transfers, topology, replicas = (
        results.transfers,
        results.fleet.topology,
        results.fleet.replicas,
    )
    start, end = transfers["from_replica"].to_numpy(), transfers["to_replica"].to_numpy()
    row = int(np.nonzero(np.isin(start, numbers) | np.isin(end, numbers))[0][0])
    route = topology.route(replicas[start[row]].server, replicas[end[row]].server)
    place = replicas[start[row] if start[row] in numbers else end[row]].server
    near = [
        edge
        for edge in route.edges
        if topology.node(place) in (topology.node(edge[0]), topology.node(edge[1]))
    ]
    edge = min(near, key=lambda edge: topology.part(edge) * topology.capacity(edge))
    return topology.kind(edge), topology.part(edge) * topology.capacity(edge)


def _spread(began_s: Array, ended_s: Array, amounts: Array, edges_s: Array) -> Array:
    """Amounts spread evenly over their times, as means a second over the bins between the edges."""
    length_s = np.maximum(ended_s - began_s, 1e-9)
    times_s = np.concatenate([began_s, began_s + length_s])
    order = np.argsort(times_s, kind="stable")
    times_s = times_s[order]
    rate = np.cumsum(np.concatenate([amounts / length_s, -amounts / length_s])[order])
    so_far = np.append(0.0, np.cumsum(rate[:-1] * np.diff(times_s)))
    if not len(times_s):
        return np.zeros(len(edges_s) - 1)
    means: Array = np.diff(np.interp(edges_s, times_s, so_far)) / np.diff(edges_s)
    return np.maximum(means, 0.0)
