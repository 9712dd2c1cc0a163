"""Wiring of the fabric: memories, links and hosts of all replicas."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from simpy import Environment

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.sim.decode_capacity import DecodeCapacity
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.group_links import group_links
from cluster_sim.sim.host_path import SharedHostPath
from cluster_sim.sim.kv_paths import KvEnd, RankPaths
from cluster_sim.sim.kv_sending import KvPaths
from cluster_sim.sim.kv_transfers import KvTransfers
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.prefill_replica import PrefillReplica
from cluster_sim.sim.rank_tenants import RankTenants
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.transfer_policy import TransferPolicy
from cluster_sim.topology import (
    MEMORY,
    Edge,
    ParallelPaths,
    Topology,
    parallel_paths_between,
)


class KvNetwork:
    """Fabric for KV cache transfers between replicas, and between devices and their hosts.

    Parameters
    ----------
    env
        Environment of the simulation.
    fleet
        Deployments of the scenario and their replicas.
    recorder
        Recorder of the run.
    links_fail
        Whether links may fail or lose bandwidth. The links of all devices are then looked at
        instead of those of the first one.
    is_shared
        Whether transfers and engine steps share links and memories.
    """

    def __init__(
        self,
        env: Environment,
        fleet: Fleet,
        recorder: Recorder,
        *,
        links_fail: bool = False,
        is_shared: bool = True,
    ) -> None:
        self._env, self._recorder = env, recorder
        self._specs, self._topology = fleet.replicas, fleet.topology
        present = self._topology.without(()) if links_fail else self._topology
        self.paths = RankPaths(fleet, present)
        """Paths between replicas."""
        buses: dict[Hashable, MemoryBus] = {}
        for spec in fleet.replicas:
            bus = _bus(spec.deployment)
            for places in self.paths.first_devices(spec.number):
                buses[self._memory(places[0])] = bus
        self._limits: dict[Hashable, float] = {}
        self.fabric = Fabric(env, self._capacity, buses, recorder, is_shared=is_shared)

    def host_path(self, spec: ReplicaSpec) -> SharedHostPath | None:
        """Return the path between a replica's devices and their host; None if it is not used."""
        deployment = spec.deployment
        host = self._topology.host(spec.server) if deployment.keeps_kv_on_host else None
        bandwidth = deployment.swap_bandwidth_bytes_per_s
        if host is None or not bandwidth:
            return None
        paths = parallel_paths_between(
            self._topology,
            self.paths.memories(KvEnd(spec.number)),
            [_host_memory(self._topology, host)],
        )
        kind = "swap" if deployment.pool.kv.preemption == "swap" else "offload"
        size = len(spec.rank_devices)
        return SharedHostPath(self.fabric, paths, kind, spec.number, size * bandwidth)

    def limit(self, resource: Hashable, bytes_per_s: float) -> None:
        """Add a resource beside the links, with its bandwidth [B/s]."""
        self._limits[resource] = bytes_per_s

    def _capacity(self, resource: Any) -> float:
        """Return the bandwidth of a link or of another resource [B/s]."""
        limit = self._limits.get(resource)
        return self._topology.capacity(resource) if limit is None else limit

    def join(self, replicas: Sequence[Replica[Any]]) -> None:
        """Add all replicas to the fabric, with their memories and links."""
        for replica, spec in zip(replicas, self._specs, strict=True):
            parts = self.paths.first_devices(spec.number)
            tenants = RankTenants(replica, len(parts)).parts if len(parts) > 1 else [replica]
            for tenant, places in zip(tenants, parts, strict=True):
                device = _device(places[0])
                links = group_links(self._topology, spec, device)
                self.fabric.join(
                    tenant, self._memory(places[0]), links, _brought(self._topology, device)
                )
            replica.subscribe(self.fabric)

    def connect(
        self,
        prefilling: Sequence[PrefillReplica],
        decoding: Sequence[DecodeReplica],
        capacity: DecodeCapacity,
        plan: Disaggregation,
    ) -> KvTransfers:
        """Connect prefill replicas with decode replicas by KV transfers, and return these."""
        transfers = KvTransfers(
            self._env,
            decoding,
            capacity,
            TransferPolicy(plan.chooser(), plan.kv_transfer, asks=plan.asks),
            self._kv_paths(),
            self._recorder,
            self.fabric,
        )
        for source in prefilling:
            source.subscribe(transfers)
        for target in decoding:
            target.subscribe(capacity)
            target.subscribe(transfers)
        return transfers

    # Links that fail

    def keep_share(self, link: Edge, share: float) -> None:
        """Let both directions of a link keep a share of their bandwidth; 1 for a whole link."""
        for edge in (link, link[::-1]):
            self.fabric.keep_share(self._topology.resource(edge), share)

    def crosses(self, links: Iterable[Edge]) -> Callable[[ParallelPaths], bool]:
        """Return a function that tells whether paths cross one of some links."""
        edges = {edge for link in links for edge in (link, link[::-1])}
        return lambda paths: not edges.isdisjoint(paths.edges)

    def _kv_paths(self) -> KvPaths:
        specs = self._specs
        return KvPaths(
            self.paths.between,
            lambda tokens, number: specs[number].deployment.kv_bytes(tokens),
            lambda number: specs[number].deployment.model.layers,
            self.paths.end,
        )

    def _memory(self, place: str) -> Hashable:
        """Return the resource of a device's memory, given its name."""
        return self._topology.resource((_device(place), place))


def _device(memory: str) -> str:
    """Return the device of a memory."""
    return memory.removesuffix(f"/{MEMORY}")


def needs_kv_network(fleet: Fleet) -> bool:
    """Return whether KV cache moves between replicas, or between devices and their hosts."""
    return any(
        deployment.role == "decode"
        or deployment.keeps_kv_on_host
        or deployment.shared_tier is not None
        for deployment in fleet.deployments
    )


def _host_memory(topology: Topology, host: str) -> str:
    """Return the host's memory; the host itself if its node's file gives no link to the memory."""
    dram = f"{topology.node(host)}/dram"
    return dram if dram in topology else host


def _bus(deployment: Deployment) -> MemoryBus:
    memory = deployment.device.memory
    bandwidth = memory.bandwidth_bytes_per_s * memory.reachable
    return MemoryBus(bandwidth, memory.stream_loss, memory.mix_loss)


def _brought(topology: Topology, device: str) -> float:
    """Return the bandwidth of all links of a device, except that of its memory [B/s].

    Both directions are counted.
    """
    return sum(
        2.0 * topology.capacity((device, other))
        for other in topology.neighbours(device)
        if topology.kind((device, other)) != MEMORY
    )
