"""Two tiers of switches, as many as the nodes need: which NIC goes to which leaf, and how many
cables go on to the spines.

A folded Clos network after Clos, Bell System Technical Journal 32(2), 1953, and Leiserson's fat
trees, IEEE Transactions on Computers 34(10), 1985; rails as in the reference architecture of
NVIDIA's DGX SuperPOD.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from cluster_sim.hardware.network import FabricSpec, Link

Cable = tuple[str, str, Link]


@dataclass(frozen=True)
class SwitchTiers:
    """How many switches there are, and how they are joined."""

    leaf_of: tuple[tuple[int, ...], ...]
    """The leaf of each NIC of each node."""
    leaves: int
    spines: int
    """None where one leaf holds all."""
    cables: int
    """From each leaf to each spine."""


def switch_tiers(fabric: FabricSpec, nics: Sequence[int]) -> SwitchTiers:
    """The fewest switches for nodes with so many NICs each.

    A leaf gives `down` of its ports to NICs and keeps `up` = down / oversubscription, rounded up,
    for spines; where it is not full it needs fewer. There are as few spines as have the ports, and
    as take an equal number of each leaf's cables. The front door's ports are not counted. Raises
    ValueError where two tiers of such switches do not have the ports.

    >>> from cluster_sim.hardware.network import FabricSpec
    >>> fabric = FabricSpec(shape="fat_tree", kind="ndr", radix=64, bandwidth="50 GB/s", latency="1 us", switch_latency="0.2 us")
    >>> found = switch_tiers(fabric, [8] * 16)  # 128 NICs on 4 leaves of 32, whose 128 cables go up to two spines of 64 ports
    >>> found.leaves, found.spines, found.cables
    (4, 2, 16)
    """
    down = max(
        port
        for port in range(1, fabric.radix + 1)
        if port == 1 or port + ceil(port / fabric.oversubscription) <= fabric.radix
    )
    if sum(nics) <= fabric.radix and (fabric.shape == "fat_tree" or max(nics) == 1):
        down = fabric.radix  # one leaf that needs no spine
    leaf_of = _rails(nics, down) if fabric.shape == "rail_optimised" else _in_order(nics, down)
    numbers = {
        leaf: number
        for number, leaf in enumerate(sorted({leaf for node in leaf_of for leaf in node}))
    }
    placed = tuple(tuple(numbers[leaf] for leaf in node) for node in leaf_of)
    leaves = len(numbers)
    if leaves == 1:
        return SwitchTiers(placed, 1, 0, 0)
    up = ceil(
        max(Counter(leaf for node in placed for leaf in node).values()) / fabric.oversubscription
    )
    wide_enough = (
        spines
        for spines in range(1, up + 1)
        if up % spines == 0 and leaves * (up // spines) <= fabric.radix
    )
    spines = next(wide_enough, None)
    if spines is None:
        raise ValueError(
            f"{sum(nics)} NICs need {leaves} leaves with {up} cables to spines each, more than two tiers of switches with {fabric.radix} ports hold; "
            "wanted fewer nodes, a larger radix or more oversubscription"
        )
    return SwitchTiers(placed, leaves, spines, up // spines)


def cables(
    fabric: FabricSpec, nics: Sequence[Sequence[str]], name: str, front_door: str
) -> Iterator[Cable]:
    """(from, to, link) of everything in the fabric called `name`, whose nodes have these NICs."""
    found = switch_tiers(fabric, [len(node) for node in nics])
    end = Link.model_construct(
        between=("node", "leaf"),
        kind=fabric.kind,
        bandwidth_bytes_per_s=fabric.bandwidth_bytes_per_s,
        latency_s=fabric.latency_s,
        duplex="full",
    )
    trunk = end.model_copy(
        update={
            "between": ("leaf", "spine"),
            "bandwidth_bytes_per_s": found.cables * fabric.bandwidth_bytes_per_s,
            "latency_s": fabric.switch_latency_s,
        }
    )
    for node, leaves in zip(nics, found.leaf_of, strict=True):
        for nic, leaf in zip(node, leaves, strict=True):
            yield nic, f"{name}/leaf{leaf}", end
    for leaf in range(found.leaves):
        for spine in range(found.spines):
            yield f"{name}/leaf{leaf}", f"{name}/spine{spine}", trunk
    for top in [f"{name}/spine{spine}" for spine in range(found.spines)] or [f"{name}/leaf0"]:
        yield front_door, top, end


def _rails(nics: Sequence[int], down: int) -> list[list[tuple[int, int]]]:
    """The i-th NIC of a node is on the i-th leaf of its group, which has a leaf for each rail and
    `down` nodes.
    """
    return [[(node // down, rail) for rail in range(count)] for node, count in enumerate(nics)]


def _in_order(nics: Sequence[int], down: int) -> list[list[tuple[int, int]]]:
    """Leaf after leaf is filled; a node that could be on one leaf is not spread over two."""
    leaf, taken, placed = 0, 0, []
    for count in nics:
        if taken + count > down and count <= down:
            leaf, taken = leaf + 1, 0
        node = []
        for _ in range(count):
            if taken == down:
                leaf, taken = leaf + 1, 0
            node.append((leaf, 0))
            taken += 1
        placed.append(node)
    return placed
