"""Paths of KV transfers between the attention ranks of replicas, by the present topology."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cache
from typing import NamedTuple
from weakref import WeakValueDictionary

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.physics.kv_shards import device_pairs
from cluster_sim.request import Request
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.topology import (
    MEMORY,
    ParallelPaths,
    Topology,
    parallel_paths_between,
    paths_outside,
)

_FEW = 16
"""Maximum number of pairs of ranks of two replicas whose paths are all kept."""
_KEPT = 1024
"""Number of known pairs of ranks from which the oldest of others is forgotten."""


class KvEnd(NamedTuple):
    """Attention rank of a replica, at one end of KV transfers."""

    replica: int
    """Number of the replica."""
    rank: int = 0
    """Number of the attention data-parallel rank; 0 without attention data parallelism."""


class RankPaths:
    """Paths between the attention ranks of replicas.

    Each rank has its own devices, with their own links. The paths of a pair of ranks are found when
    its first KV cache is sent.

    Parameters
    ----------
    fleet
        Deployments of the scenario and their replicas.
    present
        Topology without the links that are dead now.
    """

    def __init__(self, fleet: Fleet, present: Topology) -> None:
        self._specs, self._present = fleet.replicas, present
        plan = fleet.cluster.disaggregation or Disaggregation()
        self._sends_by_rank = plan.copied_kv == "by_rank"
        self._places: dict[KvEnd, list[str]] = {}
        self._recent: dict[tuple[KvEnd, KvEnd], ParallelPaths] = {}
        self._known = WeakValueDictionary[tuple[tuple[str, ...], ...], ParallelPaths]()
        self._reached: dict[tuple[int, int], bool] = {}
        self._parts: dict[int, frozenset[int]] = {}  # of each replica, see `_parts_of`

    def ranks(self, number: int) -> int:
        """Return the number of attention data-parallel ranks of a replica."""
        return self._specs[number].deployment.attention_ranks

    def end(self, request: Request, number: int) -> KvEnd:
        """Return the attention rank of a replica that holds a request's KV cache."""
        is_source = number != request.replica
        return KvEnd(number, request.prefill_rank if is_source else request.rank)

    def memories(self, end: KvEnd) -> list[str]:
        """Return the memories that hold the KV cache of the requests of one rank."""
        known = self._places.get(end)
        if known is None:
            devices = self._specs[end.replica].devices_of_rank(end.rank)
            known = self._places[end] = [f"{device}/{MEMORY}" for device in devices]
        return known

    def first_devices(self, number: int) -> list[list[str]]:
        """Return the memories of each rank, and of each device that may send copied KV alone.

        The device that represents the load of the others is the first of its list.
        """
        spec = self._specs[number]
        if spec.role == "both" and spec.deployment.shared_tier is None:
            return [self.memories(KvEnd(number))]
        shards = spec.deployment.kv_shards
        alone = shards.tensor if self._sends_by_rank and spec.role == "prefill" else 1
        ranks = [self.memories(KvEnd(number, rank)) for rank in range(self.ranks(number))]
        return [[*places[first:], *places[:first]] for places in ranks for first in range(alone)]

    def between(self, start: KvEnd, end: KvEnd) -> ParallelPaths:
        """Return the present paths between two ranks; the same object for the same routes."""
        known = self._recent.get((start, end))
        if known is not None:
            return known
        first, last = (self._specs[each.replica].deployment for each in (start, end))
        turn = end.rank if self._sends_by_rank else 0
        paths = parallel_paths_between(
            self._present,
            self.memories(start),
            self.memories(end),
            _pairs(first.kv_shards, last.kv_shards, turn),
            is_lasting=first.attention_ranks * last.attention_ranks <= _FEW,
        )
        paths = self._known.setdefault(tuple(route.places for route in paths.routes), paths)
        if len(self._recent) >= _KEPT and not paths.is_lasting:
            del self._recent[next(iter(self._recent))]
        self._recent[start, end] = paths
        return paths

    def outside(
        self, end: KvEnd, limits: tuple[Hashable, ...], *, is_leaving: bool
    ) -> ParallelPaths:
        """Return the paths between a rank and a store on the network.

        limits: the store, and further resources that all bytes use.
        """
        return paths_outside(self._present, self.memories(end), limits, is_leaving=is_leaving)

    # Links that fail

    def change_topology(self, present: Topology) -> None:
        """Take the topology without the links that are dead from now on."""
        self._present, self._reached, self._parts, self._recent = present, {}, {}, {}

    def reaches(self, start: int, end: int) -> bool:
        """Return whether paths lead from every rank of a replica to every rank of another."""
        if self._parts_of(start) & self._parts_of(end):
            return True
        pair = start, end
        if pair not in self._reached:
            self._reached[pair] = self._has_paths(start, end)
        return self._reached[pair]

    def are_joined(self, numbers: Iterable[int]) -> bool:
        """Return whether paths certainly lead between all replicas with these numbers."""
        parts = [self._parts_of(number) for number in numbers]
        return bool(frozenset.intersection(*parts)) if parts else True

    def _has_paths(self, start: int, end: int) -> bool:
        """Return whether all paths between the ranks of two replicas exist."""
        try:
            for first in self._distinct_ranks(start):
                for last in self._distinct_ranks(end):
                    self.between(first, last)
        except LookupError:
            return False
        return True

    def _distinct_ranks(self, number: int) -> Sequence[KvEnd]:
        """Return one rank of a replica for each set of nodes and parts that its devices reach."""
        ends: dict[object, KvEnd] = {}
        for rank in range(self.ranks(number)):
            end = KvEnd(number, rank)
            kind = tuple(
                (self._present.node(place), self._present.parts_reached(place))
                for place in self.memories(end)
            )
            ends.setdefault(kind, end)
        return list(ends.values())

    def _parts_of(self, number: int) -> frozenset[int]:
        """Return the parts of the network that all devices of a replica reach."""
        parts = self._parts.get(number)
        if parts is None:
            reached = [
                self._present.parts_reached(place)
                for rank in range(self.ranks(number))
                for place in self.memories(KvEnd(number, rank))
            ]
            parts = self._parts[number] = frozenset.intersection(*reached)
        return parts


_pairs = cache(device_pairs)
