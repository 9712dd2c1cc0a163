"""The fleet of a scenario: its deployments, the table of their replicas, and their locations."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.placement_order import replica_devices
from cluster_sim.physics.kv_shards import device_pairs
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR, GroupPath, Topology, group_path


@dataclass(frozen=True, eq=False)
class ReplicaSpec:
    """One row of the table of replicas."""

    number: int
    """Number among all replicas of the cluster. Tables and events use it."""
    deployment: Deployment
    """Deployment of the replica."""
    index: int
    """Number of the replica within its pool."""
    device_numbers: range
    """Numbers of the devices, counted over the nodes of the pool."""

    @property
    def role(self) -> str:
        """Phases of a request that the replica serves: `both`, `prefill` or `decode`."""
        return self.deployment.role

    @property
    def label(self) -> str:
        """Name of the pool and number within it, such as `gpus/0`."""
        return f"{self.deployment.name}/{self.index}"

    @property
    def nodes(self) -> range:
        """Numbers of the pool's nodes that hold the replica."""
        per_node = self.deployment.pool.node.devices
        return range(self.device_numbers[0] // per_node, self.device_numbers[-1] // per_node + 1)

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Names of all devices of the replica. Its server is at the first."""
        return tuple(self._place(number) for number in self.device_numbers)

    @cached_property
    def rank_devices(self) -> list[str]:
        """Names of the devices of the first attention data-parallel rank."""
        return self.devices_of_rank(0)

    def devices_of_rank(self, rank: int) -> list[str]:
        """Return the devices that hold the KV cache of the requests of one attention rank.

        They are in the order of pipeline stages. Without attention data parallelism they are all
        devices of the replica.
        """
        stages = self.deployment.kv_shards.stages
        stage = len(self.device_numbers) // stages
        count = stage // self.deployment.attention_ranks
        first = rank * count
        return [
            self._place(number)
            for start in range(0, len(self.device_numbers), stage)
            for number in self.device_numbers[start + first : start + first + count]
        ]

    @property
    def server(self) -> str:
        """Name of the device that requests reach."""
        return self._place(self.device_numbers[0])

    def _place(self, number: int) -> str:
        node, device = divmod(number, self.deployment.pool.node.devices)
        return f"{self.deployment.name}/{node}/device{device}"


@dataclass(frozen=True, eq=False)
class Fleet:
    """All deployments of a scenario, the table of their replicas, and their locations."""

    deployments: tuple[Deployment, ...]
    """Deployments in the order of the file's pools."""
    cluster: Cluster
    """Cluster of the deployments."""

    @cached_property
    def replicas(self) -> tuple[ReplicaSpec, ...]:
        """All replicas in order of their numbers, pool by pool."""
        rows: list[ReplicaSpec] = []
        for deployment in self.deployments:
            rows += [
                ReplicaSpec(len(rows) + index, deployment, index, numbers)
                for index, numbers in enumerate(replica_devices(deployment))
            ]
        return tuple(rows)

    def deployment(self, pool: str) -> Deployment:
        """Return the deployment of the pool with this name."""
        return next(deployment for deployment in self.deployments if deployment.name == pool)

    def first_replica(self, role: str) -> ReplicaSpec | None:
        """Return the first replica of a role; None if no pool has the role."""
        return next((replica for replica in self.replicas if replica.role == role), None)

    def numbers(self, pool: str) -> Sequence[int]:
        """Return the numbers of the replicas of the pool with this name; none for unknown names."""
        return self._numbers.get(pool, [])

    def devices_held(self, pool: str) -> dict[int, dict[int, int]]:
        """Return the number of devices that replicas of a pool hold, by node and by replica.

        Replicas have their numbers within the pool. A node without replicas is absent.
        """
        held: dict[int, dict[int, int]] = {}
        for number in self.numbers(pool):
            spec = self.replicas[number]
            devices, per_node = spec.device_numbers, spec.deployment.pool.node.devices
            for node in spec.nodes:
                first, last = node * per_node, (node + 1) * per_node
                count = min(last, devices[-1] + 1) - max(first, devices[0])
                held.setdefault(node, {})[spec.index] = count
        return held

    @cached_property
    def first_nodes(self) -> dict[str, int]:
        """Number of the first node of each pool among all nodes, by name of the pool."""
        counts = accumulate((each.pool.nodes for each in self.deployments), initial=0)
        return dict(zip((each.name for each in self.deployments), counts, strict=False))

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {deployment.name: [] for deployment in self.deployments}
        for replica in self.replicas:
            numbers[replica.deployment.name].append(replica.number)
        return numbers

    @cached_property
    def topology(self) -> Topology:
        """All vertices and links.

        Raises ValueError if a generated fabric has too few ports for the nodes.
        """
        return build_topology(self.cluster)

    @cached_property
    def answer_latencies_s(self) -> list[float]:
        """Latency of answers from each replica to the front door [s], by number of the replica.

        It is that of the network and of detokenisation. Times in the table of requests are times at
        the front door, so they include it.
        """
        return [
            self.topology.route(FRONT_DOOR, replica.server).latency_s
            + replica.deployment.pool.replica.engine.detokenisation_s
            for replica in self.replicas
        ]


def build_topology(cluster: Cluster) -> Topology:
    """Return all vertices and links of a cluster.

    Raises ValueError if a generated fabric has too few ports for the nodes.
    """
    nodes = {
        f"{pool.name}/{number}": pool.node for pool in cluster.pools for number in range(pool.nodes)
    }
    domains = {
        f"{pool.name}/{number}": pool.domain
        for pool in cluster.pools
        if pool.domain is not None
        for number in range(pool.nodes)
    }
    return Topology(nodes, cluster.network, domains)


def kv_group_path(topology: Topology, source: ReplicaSpec, target: ReplicaSpec) -> GroupPath:
    """Return the bandwidth of KV transfers from the first attention rank of a replica to another's.

    Raises LookupError if no route leads from one of the devices to its partner.
    """
    pairs = device_pairs(source.deployment.kv_shards, target.deployment.kv_shards)
    return group_path(topology, source.rank_devices, target.rank_devices, pairs)


_FLEETS: dict[int, Fleet] = {}
"""Fleets by the identity of their scenarios, kept as long as the scenarios."""


def resolve(scenario: Scenario) -> Fleet:
    """Return the fleet of a scenario, one object per scenario.

    Nothing is computed yet: each part is computed when it is used first.

    Examples
    --------
    >>> import cluster_sim
    >>> fleet = resolve(cluster_sim.load_scenario("example:burst_70b", "cs3"))
    >>> [replica.label for replica in fleet.replicas]
    ['cs3/0', 'cs3/1']
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
