"""Power of nodes over time, from the stretches of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster_sim.physics.node_power import surroundings_w

if TYPE_CHECKING:
    from cluster_sim.deployment.deployment import Deployment
    from cluster_sim.hardware.power_and_cooling import Power
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


@dataclass(frozen=True)
class PowerOverTime:
    """Piecewise constant power of a node: `watts[i]` from `time_s[i]` until `time_s[i + 1]`.

    `time_s` has one element more than `watts`.
    """

    name: str
    """Name of the node, such as `pool/0`."""
    time_s: Array
    watts: Array
    """Power at the plug of the node, without the site's PUE [W]."""
    devices_w: Array
    """Power of the node's devices [W], part of `watts`."""

    @property
    def energy_j(self) -> float:
        """Integral of the power [J]."""
        return float(np.sum(self.watts * np.diff(self.time_s)))

    @property
    def peak_w(self) -> float:
        """Maximum power [W], over intervals of any positive length."""
        return float(np.max(self.watts[np.diff(self.time_s) > 0.0], initial=0.0))


class _Pieces(NamedTuple):
    """Piecewise constant power; the last piece lasts until the end of the run."""

    from_s: Array
    watts: Array


class _StretchEnergy(NamedTuple):
    """Stretches of all replicas, in order of replicas."""

    replica: Array
    began_s: Array
    ended_s: Array
    energy_j: Array
    lost_s: dict[int, float]
    """Time at which heat shut a replica down [s], by number of the replica."""


def nodes(run: RunData, pool: str | None = None) -> list[PowerOverTime] | None:
    """Return the power of every node of one pool, or of all pools, over the run.

    Power is constant within a stretch at the stretch's mean, which is exact for energy. A device
    without a replica draws its idle power.

    Parameters
    ----------
    run
        Tables of a run.
    pool
        Name of a pool. Default: all pools.

    Returns
    -------
    list of PowerOverTime or None
        Power by node; None if a device has no power model.
    """
    chosen = [deployment for deployment in run.fleet.deployments if pool in (None, deployment.name)]
    if any(deployment.device.power is None for deployment in chosen):
        return None
    stretches = _stretches(run)
    return [
        node
        for deployment in chosen
        for node in _nodes(deployment, _replicas(run, deployment, stretches), run.info.simulated_s)
    ]


def together(nodes: Sequence[PowerOverTime]) -> PowerOverTime:
    """Return the summed power of several nodes over time.

    Parameters
    ----------
    nodes
        Power of each node over the same run.

    Examples
    --------
    >>> node = PowerOverTime("x/0", np.array([0.0, 2.0]), np.array([100.0]), np.array([80.0]))
    >>> together([node, node]).energy_j  # 2 nodes of 100 W for 2 s
    400.0
    """
    total = _summed([_Pieces(node.time_s[:-1], node.watts) for node in nodes])
    of_devices = _summed([_Pieces(node.time_s[:-1], node.devices_w) for node in nodes])
    end_s = max((float(node.time_s[-1]) for node in nodes), default=0.0)
    return PowerOverTime("all", np.append(total.from_s, end_s), total.watts, of_devices.watts)


def _stretches(run: RunData) -> _StretchEnergy:
    table, events = run.stretches, run.events
    order = np.argsort(table["replica"].to_numpy(), kind="stable")
    down = events["what"].to_numpy() == "shutdown"
    numbers, times_s = (events[name].to_numpy()[down].tolist() for name in ("replica", "at_s"))
    replica, began_s, ended_s, energy_j = (
        table[name].to_numpy()[order] for name in ("replica", "began_s", "ended_s", "energy_j")
    )
    lost_s = dict(zip(numbers, times_s, strict=True))
    return _StretchEnergy(replica, began_s, ended_s, energy_j, lost_s)


def _replicas(run: RunData, deployment: Deployment, stretches: _StretchEnergy) -> list[_Pieces]:
    """Return the power of one device of each replica of a deployment."""
    power, replicas = deployment.device.power, []
    assert power is not None
    for number in run.fleet.numbers(deployment.name):
        selected = slice(*np.searchsorted(stretches.replica, (number, number + 1)))
        device = _device(
            power,
            stretches.began_s[selected],
            stretches.ended_s[selected],
            stretches.energy_j[selected] / deployment.devices_per_replica,
        )
        if number in stretches.lost_s:
            device = _Pieces(
                np.append(device.from_s, stretches.lost_s[number]),
                np.append(device.watts, power.idle_w),
            )
        replicas.append(device)
    return replicas


def _device(power: Power, began_s: Array, ended_s: Array, energy_j: Array) -> _Pieces:
    """Return the power of one device of a replica that is never lost."""
    # a stretch ends when the next begins, up to rounding
    knots_s = np.maximum.accumulate(np.stack([began_s, ended_s], axis=1).ravel())
    length_s = ended_s - began_s
    idle_w = np.full(len(length_s), power.loaded_idle_w)
    running_w = np.divide(energy_j, length_s, out=idle_w.copy(), where=length_s > 0.0)
    watts = np.stack([running_w, idle_w], axis=1).ravel()
    return _Pieces(np.append(0.0, knots_s), np.append(power.loaded_idle_w, watts))


def _nodes(
    deployment: Deployment, replicas: Sequence[_Pieces], end_s: float
) -> Iterator[PowerOverTime]:
    """Yield the power of each node of a deployment, whose replicas fill its nodes in order.

    `replicas` holds the power of one device per replica.
    """
    node, power, size = (
        deployment.pool.node,
        deployment.device.power,
        deployment.devices_per_replica,
    )
    assert power is not None
    for number in range(deployment.pool.nodes):
        first, last = number * node.devices, (number + 1) * node.devices
        held = {
            index: min(last, (index + 1) * size) - max(first, index * size)
            for index in range(first // size, -(-last // size))
            if index < len(replicas)
        }
        empty = node.devices - sum(held.values())
        devices = _summed(
            [
                _Pieces(np.zeros(1), np.array([empty * power.idle_w])),
                *(
                    _Pieces(replicas[index].from_s, count * replicas[index].watts)
                    for index, count in held.items()
                ),
            ]
        )
        watts = devices.watts
        if node.power is not None:
            watts = watts + surroundings_w(node.power, watts, node.devices * power.limit_w)
        time_s = np.append(devices.from_s, max(end_s, float(devices.from_s[-1])))
        yield PowerOverTime(f"{deployment.name}/{number}", time_s, watts, devices.watts)


def _summed(powers: Sequence[_Pieces]) -> _Pieces:
    """Return the sum of several powers, which all begin at time 0."""
    changes = [np.diff(power.watts, prepend=0.0) for power in powers]
    time_s = np.concatenate([power.from_s for power in powers])
    change = np.concatenate(changes)
    order = np.argsort(time_s, kind="stable")
    return _Pieces(time_s[order], np.cumsum(change[order]))
