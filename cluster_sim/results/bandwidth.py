"""Use of the bandwidth of memories and links over time, by kind of traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.results.memory_bound import memory_bound_s
from cluster_sim.results.metrics.machines import ratio
from cluster_sim.results.run_data import RunData
from cluster_sim.results.states import WORKING, states_of
from cluster_sim.topology import FRONT_DOOR, MEMORY
from cluster_sim.typing import Array


@dataclass(frozen=True)
class Traffic:
    """Traffic of the memories, or of one kind of link, of a pool's devices.

    Rates are means over the devices and over equal bins of time.
    """

    pool: str
    what: str
    """Resource: `memory`, or the kind of link."""
    capacity_bytes_per_s: float
    """Bandwidth per device [B/s]: reachable memory bandwidth, or one direction of a link."""
    by_kind: Mapping[str, Array]
    """Rate per device in each bin [B/s], by kind: `steps`, `collectives`, `KV in` and `KV out`."""

    @property
    def total(self) -> Array:
        """Rate per device in each bin, summed over all kinds [B/s]."""
        total: Array = np.sum(list(self.by_kind.values()), axis=0)
        return total


@dataclass(frozen=True)
class PoolOverTime:
    """Utilisation of one pool over time, in equal bins.

    Values are means over the replicas that are ready or draining.
    """

    pool: str
    memory: Traffic
    links: tuple[Traffic, ...]
    saturated: Array
    """Share of the time in which steps wait for memory bandwidth."""
    compute: Array
    """FLOP over the maximum at the peak rate of the devices, from 0 to 1."""
    kv_fraction: Array
    """KV cache usage, from 0 to 1."""


def over_time(run: RunData, points: int = 300) -> tuple[Array, list[PoolOverTime]]:
    """Return the edges of `points` equal bins [s], and the course of each pool over the bins.

    Parameters
    ----------
    run
        Tables of a run.
    points
        Number of bins.
    """
    edges_s = np.linspace(0.0, run.info.simulated_s or 1.0, points + 1)
    return edges_s, [_pool(run, deployment, edges_s) for deployment in run.fleet.deployments]


def _pool(run: RunData, deployment: Deployment, edges_s: Array) -> PoolOverTime:
    """Return the course of one pool over the bins between the edges."""
    pool, device, stretches = deployment.pool, deployment.device, run.stretches
    numbers = run.fleet.numbers(deployment.name)
    rows = np.nonzero(np.isin(stretches["replica"].to_numpy(), numbers))[0]
    began_s, ended_s, flop, moved = (
        stretches[name].to_numpy()[rows] for name in ("began_s", "ended_s", "flop", "bytes")
    )
    working = states_of(run).count(numbers, WORKING).means(edges_s)
    devices = working * deployment.devices_per_replica

    def spread(amounts: Array) -> Array:
        """Return amounts of the stretches as means per second over the bins."""
        return _spread(began_s, ended_s, amounts, edges_s)

    kv = _kv_traffic(run, numbers, devices, edges_s)
    links = []
    if kv:
        kind, capacity = _kv_link(run, numbers)
        links.append(Traffic(pool.name, kind, capacity, kv))
    if not pool.is_wafer and pool.replica.tensor_parallel > 1:
        exchanged = ratio(spread(_exchanged(run, deployment, rows)), working)
        links.append(_collectives(run.fleet, deployment, exchanged))
    return PoolOverTime(
        pool.name,
        Traffic(
            pool.name,
            MEMORY,
            device.memory.bandwidth_bytes_per_s * device.memory.reachable,
            {"steps": ratio(spread(moved), devices)} | kv,
        ),
        tuple(links),
        ratio(spread(memory_bound_s(run, deployment, rows)), working),
        ratio(spread(flop), devices * device.peak.of(deployment.computed_in)[1]),
        np.minimum(ratio(spread(_token_seconds(run, rows)), working * deployment.kv_tokens), 1.0)
        if float(edges_s[1] - edges_s[0])
        else np.zeros(len(edges_s) - 1),
    )


def _kv_traffic(
    run: RunData, numbers: Sequence[int], devices: Array, edges_s: Array
) -> dict[str, Array]:
    """Return the rates of KV cache into and out of each device [B/s]; empty without transfers."""
    transfers, kv = run.transfers, {}
    for name, column in (("KV in", "to_replica"), ("KV out", "from_replica")):
        selected = np.isin(transfers[column].to_numpy(), numbers)
        if selected.any():
            first_s, last_s, moved = (
                transfers[at].to_numpy()[selected] for at in ("began_s", "ended_s", "bytes")
            )
            kv[name] = ratio(_spread(first_s, last_s, moved, edges_s), devices)
    return kv


def _token_seconds(run: RunData, rows: Array) -> Array:
    """Return the integral of KV cache tokens over the time of each stretch [token s]."""
    stretches = run.stretches
    began_s, ended_s, kv_tokens, growth = (
        stretches[name].to_numpy()[rows] for name in ("began_s", "ended_s", "kv_tokens", "growth")
    )
    held: Array = (
        kv_tokens
        + 0.5
        * stretches["steps"].to_numpy()[rows]
        * (growth + stretches["prompt_tokens"].to_numpy()[rows])
    ) * (ended_s - began_s)
    return held


def _exchanged(run: RunData, deployment: Deployment, rows: Array) -> Array:
    """Return the bytes that all-reduces of these stretches send over each device's link.

    A ring all-reduce among n devices sends 2 (n - 1) / n of each tensor in one direction.
    """
    table, model, plan = run.stretches, deployment.model, deployment.pool.replica
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
    """Return the traffic of collectives over the link between a replica's first two devices."""
    topology = fleet.topology
    first, second = fleet.replicas[fleet.numbers(deployment.name)[0]].rank_devices[:2]
    edge = topology.route(first, second).edges[0]
    return Traffic(
        deployment.name, topology.kind(edge), topology.capacity(edge), {"collectives": bytes_per_s}
    )


def _kv_link(run: RunData, numbers: Sequence[int]) -> tuple[str, float]:
    """Return the narrowest link near a device of the pool on the path of its KV transfers.

    The link is given by its kind and its bandwidth per device [B/s].
    """
    transfers, topology, replicas = run.transfers, run.fleet.topology, run.fleet.replicas
    start, end = transfers["from_replica"].to_numpy(), transfers["to_replica"].to_numpy()
    row = int(np.nonzero(np.isin(start, numbers) | np.isin(end, numbers))[0][0])
    own = replicas[start[row] if start[row] in numbers else end[row]]
    place, is_between = own.server, min(start[row], end[row]) >= 0
    if is_between:
        route = topology.route(replicas[start[row]].server, replicas[end[row]].server)
    elif own.deployment.shared_tier is not None:
        route = topology.route(place, FRONT_DOOR)
    else:
        route = topology.route(place, topology.host(place) or FRONT_DOOR)
    near = [
        edge
        for edge in route.edges
        if topology.node(place) in (topology.node(edge[0]), topology.node(edge[1]))
    ]
    edge = min(near, key=lambda edge: topology.part(edge) * topology.capacity(edge))
    return topology.kind(edge), topology.part(edge) * topology.capacity(edge)


def _spread(began_s: Array, ended_s: Array, amounts: Array, edges_s: Array) -> Array:
    """Return amounts that are spread evenly over their times, as means per second over bins."""
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
