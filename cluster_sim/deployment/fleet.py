"""The fleet of a scenario: its deployments, the table of their replicas, and where they stand."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import Topology


@dataclass(frozen=True, eq=False)
class ReplicaSpec:
    """One row of the table of replicas."""

    number: int
    """Number among all replicas of the cluster, by which tables and events name it."""
    deployment: Deployment
    """Deployment that it is a copy of."""
    index: int
    """Number within its pool."""
    device_numbers: range
    """Numbers of its devices, counted through the nodes of the pool."""

    @property
    def role(self) -> str:
        """Part of a request that it serves: `both`, `prefill` or `decode`."""
        return self.deployment.role

    @property
    def label(self) -> str:
        """Name of its pool and number within it, such as `gpus/0`."""
        return f"{self.deployment.name}/{self.index}"

    @property
    def nodes(self) -> range:
        """Numbers of the pool's nodes that it stands on."""
        per_node = self.deployment.pool.node.devices
        return range(self.device_numbers[0] // per_node, self.device_numbers[-1] // per_node + 1)

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Places of all its devices; its server is at the first."""
        return tuple(self._place(number) for number in self.device_numbers)

    @cached_property
    def rank_devices(self) -> list[str]:
        """Places of the devices that hold the KV of one of its requests.

        With attention data parallelism these are the devices of its first rank, else all.
        """
        count = len(self.device_numbers) // self.deployment.pool.replica.data_parallel
        return [self._place(number) for number in self.device_numbers[:count]]

    @property
    def server(self) -> str:
        """Place of the device that requests reach."""
        return self._place(self.device_numbers[0])

    def _place(self, number: int) -> str:
        node, device = divmod(number, self.deployment.pool.node.devices)
        return f"{self.deployment.name}/{node}/device{device}"


@dataclass(frozen=True, eq=False)
class Fleet:
    """All deployments of a scenario, the table of their replicas, and where they stand."""

    deployments: tuple[Deployment, ...]
    """Deployments in the order of the file's pools."""
    cluster: Cluster
    """Cluster that they stand in."""

    @cached_property
    def replicas(self) -> tuple[ReplicaSpec, ...]:
        """All replicas in order of their numbers, pool by pool."""
        rows: list[ReplicaSpec] = []
        for deployment in self.deployments:
            size = deployment.devices_per_replica
            rows += [
                ReplicaSpec(
                    len(rows) + index, deployment, index, range(index * size, (index + 1) * size)
                )
                for index in range(deployment.replica_count)
            ]
        return tuple(rows)

    def deployment(self, pool: str) -> Deployment:
        """Return the deployment of the pool with this name."""
        return next(deployment for deployment in self.deployments if deployment.name == pool)

    def first_replica(self, role: str) -> ReplicaSpec | None:
        """Return the first replica of a role; None where no pool has it."""
        return next((replica for replica in self.replicas if replica.role == role), None)

    def numbers(self, pool: str) -> Sequence[int]:
        """Return the numbers of the replicas of the pool with this name; none for other names."""
        return self._numbers.get(pool, [])

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {deployment.name: [] for deployment in self.deployments}
        for replica in self.replicas:
            numbers[replica.deployment.name].append(replica.number)
        return numbers

    @cached_property
    def topology(self) -> Topology:
        """All places and links.

        Raises ValueError where a generated fabric has no room for the nodes.
        """
        return build_topology(self.cluster)


def build_topology(cluster: Cluster) -> Topology:
    """Return all places and links of a cluster.

    Raises ValueError where a generated fabric has no room for the nodes.
    """
    nodes = {
        f"{pool.name}/{number}": pool.node for pool in cluster.pools for number in range(pool.nodes)
    }
    return Topology(nodes, cluster.network)


_FLEETS: dict[int, Fleet] = {}
"""Fleets by the identity of their scenarios, for as long as those live."""


def resolve(scenario: Scenario) -> Fleet:
    """Return the fleet of a scenario, the same object for the same scenario.

    It works out nothing yet: each part is computed when it is first asked for.
    """
    fleet = _FLEETS.get(id(scenario))
    if fleet is None:
        cluster = scenario.cluster
        fleet = _FLEETS[id(scenario)] = Fleet(
            tuple(Deployment(pool, scenario.model, cluster.network) for pool in cluster.pools),
            cluster,
        )
        weakref.finalize(scenario, _FLEETS.pop, id(scenario), None).atexit = False
    return fleet
