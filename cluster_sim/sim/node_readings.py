"""NodeReadings: power of the nodes at their plugs, as the managers of racks and rows read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.physics.node_power import surroundings_w
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.power_meter import PowerMeter
from cluster_sim.sim.replica import Replica


class _OnNode(NamedTuple):
    """Replicas on one node."""

    deployment: Deployment
    devices: dict[int, int]
    """Number of the node's devices that each replica has, by number of the replica."""


class NodeReading(NamedTuple):
    """Reading of one node."""

    watts: float
    """Mean power at its plug since the last reading [W]."""
    is_slowed: bool
    """Whether a power cap lowers the clock of its devices."""


class NodeReadings:
    """Mean power of every node since the last reading, and whether its cap slows it."""

    def __init__(self, fleet: Fleet, replicas: Sequence[Replica[Any]], recorder: Recorder) -> None:
        self._replicas = replicas
        self._nodes = [node for each in fleet.deployments for node in _nodes(fleet, each)]
        watched = {number for node in self._nodes for number in node.devices}
        self._meter = PowerMeter(fleet.replicas, replicas, watched, recorder)
        self._watched = sorted(watched)
        self._since_s = 0.0

    def read(self, now_s: float) -> list[NodeReading]:
        """Return the readings of all nodes in order; `now_s` is after the last reading [s]."""
        drawn = self._meter.read(self._watched, self._since_s, now_s)
        device_w = {
            number: float(np.sum(power.watts * np.diff(power.edges_s))) / (now_s - self._since_s)
            for number, power in drawn.items()
        }
        self._since_s = now_s
        return [self._reading(node, device_w) for node in self._nodes]

    def _reading(self, node: _OnNode, device_w: dict[int, float]) -> NodeReading:
        pool, power = node.deployment.pool, node.deployment.device.power
        assert power is not None
        devices_w = sum(count * device_w[number] for number, count in node.devices.items())
        if node.devices and not devices_w:  # the node is off
            return NodeReading(0.0, is_slowed=False)
        devices_w += power.idle_w * (pool.node.devices - sum(node.devices.values()))
        watts = devices_w
        if pool.node.power is not None:
            limit_w = pool.node.devices * power.limit_w
            watts += float(surroundings_w(pool.node.power, devices_w, limit_w))
        slowed = any(self._replicas[number].is_power_capped for number in node.devices)
        return NodeReading(watts, is_slowed=slowed)


def _nodes(fleet: Fleet, deployment: Deployment) -> list[_OnNode]:
    """Return the nodes of a deployment, with the replicas on each."""
    numbers, held = fleet.numbers(deployment.name), fleet.devices_held(deployment.name)
    return [
        _OnNode(
            deployment,
            {numbers[index]: count for index, count in held.get(node, {}).items()},
        )
        for node in range(deployment.pool.nodes)
    ]
