"""Places of a cluster that may fail: nodes, devices and links, and the replicas on them."""

from __future__ import annotations

from functools import cached_property

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.reliability import Fault

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

    def are_hit(self, fault: Fault) -> bool:
        """Return whether a fault hits anything of the fleet."""
        if fault.what.startswith("link"):
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
        """Return the links that a pair of ends, or one end with all its links, stands for."""
        start, mark, end = where.partition(LINK_MARK)
        if mark:
            return [link for link in self.links if link in ((start, end), (end, start))]
        return [link for link in self.links if where in link]

    def replicas_hit(self, fault: Fault) -> list[int]:
        """Return the numbers of the replicas that lose a device by the fault of a node or device.

        A device of a replica is lost with its node. A replica works only with all of its devices.
        """
        is_single = fault.what == "device_failure" and self._is_device(fault.where)
        nodes = set(self.nodes_hit(fault.where))
        return [
            replica.number
            for replica in self._fleet.replicas
            if (
                fault.where in replica.devices
                if is_single
                else any(f"{replica.deployment.name}/{node}" in nodes for node in replica.nodes)
            )
        ]
