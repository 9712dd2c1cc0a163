"""Vertices of a cluster, the links between them, and the routes of bytes.

Only this room imports networkx.
"""

from cluster_sim.topology.disks import SharedBandwidth, devices_per_host, disk_bandwidth
from cluster_sim.topology.domains import has_device_switch
from cluster_sim.topology.graph import Topology, host_bandwidth_bytes_per_s
from cluster_sim.topology.group_paths import GroupPath, group_path
from cluster_sim.topology.network_graph import FRONT_DOOR
from cluster_sim.topology.node_graph import MEMORY
from cluster_sim.topology.parallel_paths import (
    ParallelPaths,
    parallel_paths_between,
    paths_outside,
)
from cluster_sim.topology.routes import Edge, Route

__all__ = [
    "FRONT_DOOR",
    "MEMORY",
    "Edge",
    "GroupPath",
    "ParallelPaths",
    "Route",
    "SharedBandwidth",
    "Topology",
    "devices_per_host",
    "disk_bandwidth",
    "group_path",
    "has_device_switch",
    "host_bandwidth_bytes_per_s",
    "parallel_paths_between",
    "paths_outside",
]
