"""Places of a cluster that may fail: nodes, devices and links, and the replicas on them."""

from __future__ import annotations

from functools import cached_property

from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.reliability import LINK_KINDS, Fault

LINK_MARK = " - "
"""Text between the two ends of a link in its name."""


def link_name(start: str, end: str) -> str:
    """Return the name of a link, from the names of its ends.

    >>> link_name("b200/0/nic3", "InfiniBand NDR rail/spine")
    'b200/0/nic3 - InfiniBand NDR rail/spine'
    """
    return f"{start}{LINK_MARK}{end}"


class FaultPlaces:
    """Names of the nodes, devices and links of a fleet that faults may hit."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._devices = {
            f"{pool.name}/{number}": pool.node.devices
            for pool in fleet.cluster.pools
            for number in range(pool.nodes)
        }
        self._inside: dict[str, list[tuple[str, str]]] = {}  # links among the devices of nodes

    @cached_property
    def nodes(self) -> list[str]:
        """Names of all nodes, in the order of the file."""
        return list(self._devices)

    @cached_property
    def links(self) -> list[tuple[str, str]]:
        """Ends of all links outside the nodes, but for those of the front door."""
        return list(self._fleet.topology.network_links())

    def devices(self, node: str) -> list[str]:
        """Return the names of the devices of a node."""
        return [f"{node}/device{number}" for number in range(self._devices[node])]

    def names(self, what: str) -> list[str]:
        """Return the names that the fault of a node or a device may have: pools, nodes, devices."""
        names = [pool.name for pool in self._fleet.cluster.pools] + self.nodes
        if what == "device_failure":
            names += [device for node in self.nodes for device in self.devices(node)]
        return names

    def all_links(self) -> list[tuple[str, str]]:
        """Return the ends of all links that may fail, those of the network first."""
        inside = [link for node in self.nodes for link in self._device_links(node)]
        return [*self.links, *inside]

    def are_hit(self, fault: Fault) -> bool:
        """Return whether a fault hits anything of the fleet."""
        if fault.what in LINK_KINDS:
            return bool(self.links_hit(fault.where))
        return bool(self.nodes_hit(fault.where)) or (
            fault.what == "device_failure" and self._is_device(fault.where)
        )

    def nodes_hit(self, where: str) -> list[str]:
        """Return the nodes that a pool or a node with this name stands for; none if unknown."""
        if where in self._devices:
            return [where]
        return [node for node in self.nodes if node.rpartition("/")[0] == where]

    def _is_device(self, where: str) -> bool:
        node = where.rpartition("/")[0]
        return node in self._devices and where in self.devices(node)

    def node_of(self, place: str) -> str | None:
        """Return the node that contains an end of a link; None for a switch of the network."""
        return self._fleet.topology.node(place)

    def links_hit(self, where: str) -> list[tuple[str, str]]:
        """Return the links that a name stands for; none if it is unknown.

        A pair of ends is one link of the network, or one among the devices of a node. A node or a
        device stands for its links of the network, and any other end for all of its links.
        """
        topology = self._fleet.topology
        start, mark, end = where.partition(LINK_MARK)
        inside = self._device_links(topology.node(start))
        if mark:
            links = [*self.links, *inside]
            return [link for link in links if link in ((start, end), (end, start))]
        if where in self._devices or self._is_device(where):
            ports = set(topology.ports(where))
            return [link for link in self.links if ports.intersection(link)]
        return [link for link in (*self.links, *inside) if where in link]

    def _device_links(self, node: str | None) -> list[tuple[str, str]]:
        """Return the links among the devices of a node."""
        if node is None:
            return []
        if node not in self._inside:
            self._inside[node] = list(self._fleet.topology.device_links(node))
        return self._inside[node]

    def links_among(self, replica: ReplicaSpec) -> list[tuple[str, str]]:
        """Return the links inside nodes that the collectives of a replica cross.

        Links between two devices count if both are of the replica.
        """
        devices = set(replica.devices)
        nodes = [f"{replica.deployment.name}/{number}" for number in replica.nodes]
        return [
            link
            for node in nodes
            for link in self._device_links(node)
            if devices.intersection(link)
            and all(end in devices or not self._is_device(end) for end in link)
        ]

    def rails_of(self, replica: ReplicaSpec) -> list[list[tuple[str, str]]]:
        """Return the links of the network at each node of a replica whose stages span nodes."""
        pool = replica.deployment.pool
        if pool.is_wafer or pool.replica.stage_devices <= pool.node.devices:
            return []
        topology = self._fleet.topology
        nodes = [f"{pool.name}/{number}" for number in replica.nodes]
        ports = [set(topology.ports(node)) for node in nodes]
        return [[link for link in self.links if each.intersection(link)] for each in ports]

    def replicas_hit(self, fault: Fault) -> list[int]:
        """Return the numbers of the replicas that lose a device by the fault of a node or device.

        A device of a replica is lost with its node. A replica works only with all of its devices.
        """
        if fault.what == "device_failure" and self._is_device(fault.where):
            near = self._replicas_on.get(fault.where.rpartition("/")[0], [])
            return [replica.number for replica in near if fault.where in replica.devices]
        hit = {
            replica.number
            for node in self.nodes_hit(fault.where)
            for replica in self._replicas_on.get(node, [])
        }
        return sorted(hit)

    @cached_property
    def _replicas_on(self) -> dict[str, list[ReplicaSpec]]:
        """Replicas with devices in each node, by name of the node."""
        replicas: dict[str, list[ReplicaSpec]] = {}
        for replica in self._fleet.replicas:
            for node in replica.nodes:
                replicas.setdefault(f"{replica.deployment.name}/{node}", []).append(replica)
        return replicas
