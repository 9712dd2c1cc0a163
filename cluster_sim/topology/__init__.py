"""All places of a cluster and the links between them, and which way bytes go; the only importer of
networkx.
"""

from cluster_sim.topology.graph import FRONT_DOOR, Topology, Way, host_bandwidth_bytes_per_s
from cluster_sim.topology.node_graph import MEMORY
from cluster_sim.topology.parallel_paths import Lanes, lanes_between
from cluster_sim.topology.routes import Edge, Route

__all__ = [
    "FRONT_DOOR",
    "MEMORY",
    "Edge",
    "Lanes",
    "Route",
    "Topology",
    "Way",
    "host_bandwidth_bytes_per_s",
    "lanes_between",
]
