"""Two tiers of switches, as many as the nodes need: leaves for NICs, and cables to spines.

The fabric is a folded Clos network after Clos, Bell System Technical Journal 32(2), 1953, and
Leiserson's fat trees, IEEE Transactions on Computers 34(10), 1985. Rails follow the reference
architecture of NVIDIA's DGX SuperPOD.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from cluster_sim.hardware.network import FabricSpec, Link

Cable = tuple[str, str, Link]
"""A link between two vertices: (from, to, link)."""


@dataclass(frozen=True)
class SwitchTiers:
    """Numbers of switches, and their connections."""

    leaf_of: tuple[tuple[int, ...], ...]
    """Leaf of each NIC of each node."""
    leaves: int
    """Number of leaf switches."""
    spines: int
    """Number of spine switches; 0 when one leaf is enough."""
    cables: int
    """Number of cables from each leaf to each spine."""


def switch_tiers(fabric: FabricSpec, nics: Sequence[int]) -> SwitchTiers:
    """Return the smallest number of switches for nodes with the given numbers of NICs.

    A leaf gives `down` of its ports to NICs and keeps `up` = down / oversubscription, rounded up,
    for spines. A leaf that is not full needs fewer. The number of spines is the smallest one that
    has enough ports and takes an equal number of each leaf's cables. The ports of the front door
    are not counted.

    Parameters
    ----------
    fabric
        Description of the switches.
    nics
        Number of NICs of each node.

    Raises
    ------
    ValueError
        Two tiers of such switches do not have the ports.

    Examples
    --------
    128 NICs are on 4 leaves of 32; their 128 cables lead to two spines of 64 ports.

    >>> from cluster_sim.hardware.network import FabricSpec
    >>> ports = {"radix": 64, "bandwidth": "50 GB/s"}
    >>> latencies = {"latency": "1 us", "switch_latency": "0.2 us"}
    >>> fabric = FabricSpec(shape="fat_tree", kind="ndr", **ports, **latencies)
    >>> tiers = switch_tiers(fabric, [8] * 16)
    >>> tiers.leaves, tiers.spines, tiers.cables
    (4, 2, 16)
    """
    down = max(
        port
        for port in range(1, fabric.radix + 1)
        if port == 1 or port + ceil(port / fabric.oversubscription) <= fabric.radix
    )
    if sum(nics) <= fabric.radix and (fabric.shape == "fat_tree" or max(nics) == 1):
        down = fabric.radix  # a single leaf needs no spine
    leaf_of = _rails(nics, down) if fabric.shape == "rail_optimised" else _in_order(nics, down)
    numbers = {
        leaf: number
        for number, leaf in enumerate(sorted({leaf for node in leaf_of for leaf in node}))
    }
    placed = tuple(tuple(numbers[leaf] for leaf in node) for node in leaf_of)
    leaves = len(numbers)
    if leaves == 1:
        return SwitchTiers(placed, 1, 0, 0)
    fullest = max(Counter(leaf for node in placed for leaf in node).values())
    up = ceil(fullest / fabric.oversubscription)
    wide_enough = (
        spines
        for spines in range(1, up + 1)
        if up % spines == 0 and leaves * (up // spines) <= fabric.radix
    )
    spines = next(wide_enough, None)
    if spines is None:
        raise ValueError(
            f"{sum(nics)} NICs need {leaves} leaves with {up} cables to spines each, which is more than two tiers of switches with {fabric.radix} ports have; "
            "expected fewer nodes, a larger radix or more oversubscription"
        )
    return SwitchTiers(placed, leaves, spines, up // spines)


def cables(
    fabric: FabricSpec, nics: Sequence[Sequence[str]], name: str, front_door: str
) -> Iterator[Cable]:
    """Yield all links of the fabric called `name`, whose nodes have the given NICs."""
    tiers = switch_tiers(fabric, [len(node) for node in nics])
    port = Link.model_construct(
        between=("node", "leaf"),
        kind=fabric.kind,
        bandwidth_bytes_per_s=fabric.bandwidth_bytes_per_s,
        latency_s=fabric.latency_s,
        duplex="full",
    )
    trunk = port.model_copy(
        update={
            "between": ("leaf", "spine"),
            "bandwidth_bytes_per_s": tiers.cables * fabric.bandwidth_bytes_per_s,
            "latency_s": fabric.switch_latency_s,
        }
    )
    for node, leaves in zip(nics, tiers.leaf_of, strict=True):
        for nic, leaf in zip(node, leaves, strict=True):
            yield nic, f"{name}/leaf{leaf}", port
    for leaf in range(tiers.leaves):
        for spine in range(tiers.spines):
            yield f"{name}/leaf{leaf}", f"{name}/spine{spine}", trunk
    for top in [f"{name}/spine{spine}" for spine in range(tiers.spines)] or [f"{name}/leaf0"]:
        yield front_door, top, port


def _rails(nics: Sequence[int], down: int) -> list[list[tuple[int, int]]]:
    """Put the i-th NIC of a node on the i-th leaf of its group of `down` nodes."""
    return [[(node // down, rail) for rail in range(count)] for node, count in enumerate(nics)]


def _in_order(nics: Sequence[int], down: int) -> list[list[tuple[int, int]]]:
    """Fill leaf after leaf. A node that fits on one leaf is not spread over two."""
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
