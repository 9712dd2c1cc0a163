"""Expert-parallel load balancer (EPLB): redundant copies of experts, and the groups that hold them.

The rule has two steps. First every further slot becomes a copy of the expert whose copies have the
highest load. Then the slots go to the groups in descending order of their loads, each to the group
with the lowest load that is not full. Source: DeepSeek, EPLB (2025),
https://github.com/deepseek-ai/EPLB, its README and its function `rebalance_experts`; vLLM and
SGLang run the same rule, TensorRT-LLM replicates and places greedily too.

With several nodes and groups of experts between which a router chooses first, whole groups of
experts are assigned to the nodes before, and both steps follow inside each node.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush


def copies_of(loads: Sequence[float], slots: int) -> list[int]:
    """Return the number of copies of each expert if every further slot goes to the heaviest one.

    Parameters
    ----------
    loads
        Load of each expert, in any unit.
    slots
        Number of slots, at least one per expert.

    Returns
    -------
    list[int]
        Number of copies of each expert; their sum is `slots`.

    Examples
    --------
    A load of 6 is split into three parts of 2 before the load of 2 is split:

    >>> copies_of([6.0, 2.0, 1.0], 5)
    [3, 1, 1]
    """
    copies = [1] * len(loads)
    heap = [(-load, expert) for expert, load in enumerate(loads)]
    heapify(heap)
    for _ in range(slots - len(loads)):
        _, expert = heappop(heap)
        copies[expert] += 1
        heappush(heap, (-loads[expert] / copies[expert], expert))
    return copies


def packed(loads: Sequence[float], packs: int) -> list[list[int]]:
    """Return the items of each pack, with equal numbers of items and loads as even as possible.

    The heaviest remaining item goes to the lightest pack that is not full.

    Parameters
    ----------
    loads
        Load of each item.
    packs
        Number of packs, a divisor of the number of items.

    Returns
    -------
    list[list[int]]
        Numbers of the items of each pack.

    Examples
    --------
    >>> packed([4.0, 3.0, 2.0, 1.0], 2)
    [[0, 3], [1, 2]]
    """
    if len(loads) % packs:
        raise ValueError(f"got {len(loads)} items; expected a multiple of {packs} packs")
    size = len(loads) // packs
    held: list[list[int]] = [[] for _ in range(packs)]
    heap = [(0.0, pack) for pack in range(packs)]
    for item in sorted(range(len(loads)), key=lambda item: -loads[item]):
        load, pack = heappop(heap)
        held[pack].append(item)
        if len(held[pack]) < size:
            heappush(heap, (load + loads[item], pack))
    return held


def balanced(
    loads: Sequence[float], slots: int, groups: int, families: int = 1, nodes: int = 1
) -> list[list[int]]:
    """Return the experts in the slots of each group.

    Parameters
    ----------
    loads
        Load of each expert, as it was measured.
    slots
        Number of slots of all groups, a multiple of `groups`.
    groups
        Number of groups of devices, a multiple of `nodes`.
    families
        Number of families of consecutive experts between which the router chooses first. Nodes
        matter only if they divide the families.
    nodes
        Number of nodes of the groups.

    Returns
    -------
    list[list[int]]
        Numbers of the experts of each group; an expert with copies occurs several times.

    Examples
    --------
    Four experts and two copies on three groups. The loads of the slots are 3, 3, 2, 2, 1 and 1:

    >>> balanced([6.0, 4.0, 1.0, 1.0], 6, 3)
    [[0, 2], [0, 3], [1, 1]]
    """
    if families % nodes:
        families = nodes = 1
    size = len(loads) // families
    sums = [sum(loads[first : first + size]) for first in range(0, len(loads), size)]
    placed: list[list[int]] = []
    for held in packed(sums, nodes):
        own = [family * size + place for family in held for place in range(size)]
        own_loads = [loads[expert] for expert in own]
        copies = copies_of(own_loads, slots // nodes)
        slot_experts = [place for place, count in enumerate(copies) for _ in range(count)]
        slot_loads = [own_loads[place] / copies[place] for place in slot_experts]
        packs = packed(slot_loads, groups // nodes)
        placed.extend([own[slot_experts[slot]] for slot in pack] for pack in packs)
    return placed
