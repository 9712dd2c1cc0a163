"""Links that the collectives of a replica cross, as its fabric sees them."""

from __future__ import annotations

from collections.abc import Hashable

from cluster_sim.deployment.fleet import ReplicaSpec
from cluster_sim.sim.tenants import NO_LINKS, Links
from cluster_sim.topology import Topology


def group_links(topology: Topology, spec: ReplicaSpec, device: str) -> Links:
    """Return the links by which a device reaches the others of its pipeline stage.

    Inside a node these are the links to a neighbour. Between nodes they are the links in and at the
    device's node on the way to the device with the same place in a node that is half of the nodes
    away. Links between switches are not among them: collectives use them as if alone.

    Parameters
    ----------
    topology
        Vertices and links of the cluster.
    spec
        Replica of the device.
    device
        Name of the device.
    """
    stage = spec.deployment.pool.replica.stage_devices
    if spec.deployment.pool.is_wafer or stage == 1:
        return NO_LINKS
    first, place = divmod(spec.devices.index(device), stage)
    members = spec.devices[first * stage : (first + 1) * stage]
    each = spec.deployment.pool.node.devices
    nodes = max(stage // each, 1)
    near = members[place + 1 if (place + 1) % min(stage, each) else place - 1]
    there, back = topology.route(device, near), topology.route(near, device)
    inside = topology.resource(there.edges[0]), topology.resource(back.edges[-1])
    if nodes == 1:
        return Links(inside)
    far = members[(place + nodes // 2 * each) % stage]
    return Links(inside, tuple(_rails(topology, device, far)))


def _rails(topology: Topology, device: str, far: str) -> list[tuple[Hashable, int]]:
    """Return the edges of a device's node from it to a device of another node, and back.

    Each comes with the number of devices of the node that share it.
    """
    node = topology.node(device)
    edges = [*topology.route(device, far).edges, *topology.route(far, device).edges]
    own = [edge for edge in edges if node in map(topology.node, edge)]
    return [(topology.resource(edge), round(1.0 / topology.part(edge))) for edge in own]
