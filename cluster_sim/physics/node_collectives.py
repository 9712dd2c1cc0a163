"""Time of one collective of a group of devices that spans nodes.

Collectives over nodes are hierarchical, as those of NCCL are: devices of a node reduce a tensor and
keep a part each, every device exchanges its part with the devices of the other nodes that have the
same place (its rail), and the devices of a node gather the parts. The fastest of these algorithms
counts, as NCCL's tuning picks one (github NVIDIA/nccl v2.26, src/graph/tuning.cc):

* small: a tree of nodes in a protocol with few steps and a low rate.
* parts: the hierarchy above, in chunks, so that links inside nodes and between them overlap.
* tree: chunks pass all devices of a node, up a tree of nodes and down. Its start grows with the
  logarithm of the number of nodes, where that of `parts` grows with the number of ranks.
"""

from __future__ import annotations

from cluster_sim.hardware.collective_fits import CollectiveFit, CollectiveFits
from cluster_sim.hardware.node_collective_fits import AcrossNodesFit
from cluster_sim.physics import collectives
from cluster_sim.physics.products import rounded_max
from cluster_sim.physics.replica_layout import NodeGroup


def all_reduce_s(fits: CollectiveFits, group: NodeGroup, size_bytes: float) -> float:
    """Return the time of one all-reduce of a group that spans nodes [s].

    With N nodes of m devices, a tensor of S bytes, the time `inside` of the all-reduce of one node,
    a rate b between nodes per device, and start = `start` + `level` ceil(log2 N):

        small = start + inside(0) + max(S / small_bandwidth, sent)
        parts = start + rank N m + (inside(S)^p + sent^p)^(1/p),    sent = 2 (N - 1) / N  S / m / b
        tree  = start + tree_start + max(2 S / tree_bandwidth, sent)

    Sums in switches lower 2 (N - 1) / N to (N + 1) / N in `parts`. Source: NCCL 2.26; Thakur et
    al., Int. J. High Performance Computing Applications 19(1), 2005; Sanders et al., Two-tree
    algorithms, Parallel Computing 35(12), 2009; Graham et al., SHARP, COMHPC 2016.

    Parameters
    ----------
    fits
        Constants of the device's collectives.
    group
        Devices that take part.
    size_bytes
        Size of the tensor [B].

    Returns
    -------
    float
        Time [s].

    Raises
    ------
    ValueError
        The group has several devices per node and the device has no fit.

    Examples
    --------
    The smallest tensor on two nodes of one device: a start of 26 us and one level of 5 us.

    >>> round(all_reduce_s(CollectiveFits(), NodeGroup(2, 1, 46e9), 0.0), 9)
    3.1e-05
    """
    fit, inside = fits.over_nodes, fits.nccl_all_reduce or fits.all_reduce
    start_s = fit.start_s + fit.level_s * group.levels
    share = (group.nodes - 1) / group.nodes
    sent_s = _sent_s(fit, group, 2.0 * share * size_bytes)
    in_switch_s = sent_s
    if group.sums_in_switch and fit.uses_switch_sums:
        sums_s = _sent_s(fit, group, (group.nodes + 1) / group.nodes * size_bytes)
        in_switch_s = min(sent_s, sums_s)
    inside_s = collectives.all_reduce_s(inside, group.devices, size_bytes)
    smallest_s = collectives.all_reduce_s(inside, group.devices, 0.0)
    seconds = min(
        smallest_s + max(size_bytes / fit.small_bandwidth_bytes_per_s, sent_s),
        fit.rank_s * group.ranks + rounded_max(inside_s, in_switch_s, fit.overlap),
    )
    if fit.uses_trees:
        passed_s = 2.0 * size_bytes / fit.tree_bandwidth_bytes_per_s if group.devices > 1 else 0.0
        seconds = min(seconds, fit.tree_start_s + max(passed_s, sent_s))
    return start_s + seconds


def all_gather_s(fits: CollectiveFits, group: NodeGroup, size_bytes: float) -> float:
    """Return the time until each device of a group over nodes has the whole tensor [s].

    It is `small` or `parts` of `all_reduce_s`, with half of the traffic and of the steps, and the
    all-gather inside a node. Estimate: no public measurement over nodes was found.
    """
    return _half_s(fits, fits.all_gather, group, size_bytes)


def reduce_scatter_s(fits: CollectiveFits, group: NodeGroup, size_bytes: float) -> float:
    """Return the time until each device of a group over nodes has its part of a sum [s].

    The model and its confidence are those of `all_gather_s`.
    """
    return _half_s(fits, fits.reduce_scatter, group, size_bytes)


def rail_bytes(group: NodeGroup, crossings: float, size_bytes: float) -> float:
    """Return the bytes that each device sends to other nodes in one collective [B].

    Parameters
    ----------
    group
        Devices that take part.
    crossings
        Number of times that each part of the tensor crosses: 2 for an all-reduce, 1 for an
        all-gather or a reduce-scatter.
    size_bytes
        Size of the tensor [B].

    Examples
    --------
    >>> rail_bytes(NodeGroup(4, 8), 2.0, 1e6)  # 2 x 3/4 of the eighth that a device has
    187500.0
    """
    return crossings * (group.nodes - 1) / group.nodes * size_bytes / group.devices


def _half_s(
    fits: CollectiveFits, inside: CollectiveFit | None, group: NodeGroup, size_bytes: float
) -> float:
    """Return the time of a collective with half of the steps and traffic of an all-reduce [s]."""
    fit = fits.over_nodes
    sent_s = _sent_s(fit, group, (group.nodes - 1) / group.nodes * size_bytes)
    inside_s = collectives.all_gather_s(inside, group.devices, size_bytes)
    smallest_s = collectives.all_gather_s(inside, group.devices, 0.0)
    return (
        fit.start_s
        + fit.level_s * group.levels
        + min(
            smallest_s + max(0.5 * size_bytes / fit.small_bandwidth_bytes_per_s, sent_s),
            0.5 * fit.rank_s * group.ranks + rounded_max(inside_s, sent_s, fit.overlap),
        )
    )


def _sent_s(fit: AcrossNodesFit, group: NodeGroup, node_bytes: float) -> float:
    """Return the time in which the devices of a node send some bytes to other nodes [s]."""
    bytes_per_s = group.devices * group.device_bytes_per_s
    if fit.node_bandwidth_bytes_per_s is not None:
        bytes_per_s = min(bytes_per_s, fit.node_bandwidth_bytes_per_s)
    return node_bytes / bytes_per_s
