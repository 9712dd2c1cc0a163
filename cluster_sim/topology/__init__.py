"""All places of a cluster and the links between them, and which way bytes go; the only importer of
networkx.
"""

from cluster_sim.topology.graph import FRONT_DOOR, GroupPath, Topology, host_bandwidth_bytes_per_s
from cluster_sim.topology.node_graph import MEMORY
from cluster_sim.topology.parallel_paths import ParallelPaths, parallel_paths_between
from cluster_sim.topology.routes import Edge, Route

__all__ = [
    "FRONT_DOOR",
    "MEMORY",
    "Edge",
    "GroupPath",
    "ParallelPaths",
    "Route",
    "Topology",
    "host_bandwidth_bytes_per_s",
    "parallel_paths_between",
]
