"""Local disks of a node, and the devices that share them."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.network import NetworkSpec
from cluster_sim.hardware.node import Node
from cluster_sim.topology.graph import Topology
from cluster_sim.topology.node_graph import places

DISK = "nvme"
"""Name of the vertex of local disks in files of nodes."""


class SharedBandwidth(NamedTuple):
    """Bandwidth that several devices of a node share."""

    bytes_per_s: float
    """Bandwidth [B/s]."""
    devices: int
    """Number of devices that share it."""


def disk_bandwidth(node: Node) -> SharedBandwidth | None:
    """Return the bandwidth from the disks nearest to a device; None without disks."""
    if not any(DISK in link.between for link in node.links):
        return None
    alone = Topology({"pool/0": node}, NetworkSpec(links=()))
    disks = places(node, DISK)
    host = alone.host("pool/0/device0") or "pool/0/device0"
    route = alone.route(f"pool/0{disks[0]}", host)
    return SharedBandwidth(route.bottleneck_bytes_per_s, -(-node.devices // len(disks)))


def devices_per_host(node: Node) -> int:
    """Return the number of devices that share a host."""
    return -(-node.devices // max(len(places(node, "host")), 1))
