"""Tiers of KV cache that replicas share: what they hold, and the traffic to and from them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.offload import Tier
from cluster_sim.serving.kv_cache.shared_store import SharedStore, StoreView, parts_of
from cluster_sim.sim.kv_network import KvNetwork
from cluster_sim.sim.kv_paths import KvEnd
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_events import ReplicaEvents
from cluster_sim.sim.transfer import Parties
from cluster_sim.topology import ParallelPaths

_KIND = "offload"


class _Direction(NamedTuple):
    """Resource of a shared tier in one direction."""

    name: Hashable
    """Name of the tier or replica whose bandwidth it is."""
    is_leaving: bool
    """Whether bytes go to the tier."""


class StoreLink:
    """Paths between the attention ranks of one replica and its shared tier.

    Parameters
    ----------
    network
        Wiring of the fabric.
    spec
        Replica.
    tier
        Description of the tier.
    scope
        Name of the tier among all shared tiers.
    """

    def __init__(self, network: KvNetwork, spec: ReplicaSpec, tier: Tier, scope: Hashable) -> None:
        self._network, self.scope, self.number = network, scope, spec.number
        self.fabric = network.fabric
        self.latency_s = tier.latency_s
        self._known: dict[tuple[int, bool], ParallelPaths] = {}
        for is_leaving in (False, True):
            network.limit(_Direction(scope, is_leaving), tier.store_bandwidth_bytes_per_s or inf)
            for rank in range(network.paths.ranks(spec.number)):
                own = _Direction(KvEnd(spec.number, rank), is_leaving)
                network.limit(own, tier.bandwidth_bytes_per_s)

    def rank(self, request: Request) -> int:
        """Return the attention rank of the replica that holds a request's KV cache."""
        return self._network.paths.end(request, self.number).rank

    def paths(self, rank: int, *, is_leaving: bool) -> ParallelPaths:
        """Return the paths from a rank to the tier, or from the tier to the rank."""
        known = self._known.get((rank, is_leaving))
        if known is None:
            end, store = KvEnd(self.number, rank), _Direction(self.scope, is_leaving)
            own = _Direction(end, is_leaving)
            known = self._network.paths.outside(end, (store, own), is_leaving=is_leaving)
            self._known[rank, is_leaving] = known
        return known


@dataclass(frozen=True)
class SharedStorePath:
    """Path of blocks that a replica fetches from a shared tier.

    A step waits until every rank has its blocks. The bandwidth of each rank is its share at the
    start of the step. For other traffic the blocks are transfers.
    """

    link: StoreLink
    block_bytes: float
    """Size of a block on all devices of a rank [B]."""

    def fetched_s(self, fetches: Sequence[tuple[Request, int]]) -> float:
        """Return the time to fetch blocks now [s]; `fetches`: requests and numbers of blocks."""
        link, blocks = self.link, dict[int, int]()
        for request, count in fetches:
            rank = link.rank(request)
            blocks[rank] = blocks.get(rank, 0) + count
        longest_s = 0.0
        for rank, count in blocks.items():
            paths = link.paths(rank, is_leaving=False)
            bytes_per_s = link.fabric.alone_bytes_per_s(paths) * link.fabric.share(paths)
            parties = Parties(-1, link.number, -1)
            transfer = link.fabric.begin(_KIND, paths, parties, _nobody_waits)
            link.fabric.supply(transfer, count * self.block_bytes)
            fetch_s = paths.latency_s + count * self.block_bytes / bytes_per_s
            longest_s = max(longest_s, fetch_s)
        return link.latency_s + longest_s


class PromptWriter(ReplicaEvents):
    """Writing of the prompts of one replica to a shared tier, when their prefill is over.

    The blocks of a prompt are found when the last of them has arrived. Blocks that several devices
    hold are written once, in equal parts by all of them, as Mooncake's connector does
    (mooncake/store/worker.py, `put_step`).
    """

    def __init__(
        self, link: StoreLink, store: SharedStore, block_tokens: int, block_bytes: float
    ) -> None:
        self._link, self._store = link, store
        self._block_tokens, self._block_bytes = block_tokens, block_bytes

    def first_token(self, request: Request) -> None:
        """Write the blocks of a prompt that the tier does not have."""
        parts, store, link = [*parts_of(request, self._block_tokens)], self._store, self._link
        if not (missing := store.missing(parts)):
            store.put(parts)
            return
        paths = link.paths(link.rank(request), is_leaving=True)
        parties = Parties(link.number, -1, -1)  # no request waits for it
        transfer = link.fabric.begin(_KIND, paths, parties, lambda: store.put(parts))
        link.fabric.supply(transfer, missing * self._block_bytes)


class SharedTiers:
    """All shared tiers of a cluster.

    Parameters
    ----------
    fleet
        Deployments of the scenario and their replicas.
    network
        Wiring of the fabric.
    """

    def __init__(self, fleet: Fleet, network: KvNetwork) -> None:
        self._specs = fleet.replicas
        self._stores: dict[Hashable, SharedStore] = {}
        self._links: dict[int, StoreLink] = {}
        for spec in fleet.replicas:
            if (tier := spec.deployment.shared_tier) is not None:
                pool = spec.deployment.name if tier.shared == "pool" else None
                scope = (tier.shared, tier.tier, pool)
                self._links[spec.number] = StoreLink(network, spec, tier, scope)
                if scope not in self._stores:
                    blocks = int(tier.capacity_bytes / spec.deployment.stored_block_bytes)
                    self._stores[scope] = SharedStore(blocks)

    def view(self, spec: ReplicaSpec) -> StoreView | None:
        """Return the shared tier of a replica as its scheduler sees it; None without one."""
        link = self._links.get(spec.number)
        if link is None:
            return None
        paths = link.paths(0, is_leaving=False)
        return StoreView(
            self._store(spec),
            spec.deployment.block_bytes / link.fabric.alone_bytes_per_s(paths),
            link.latency_s + paths.latency_s,
            spec.deployment.block_recompute_s,
        )

    def path(self, spec: ReplicaSpec) -> SharedStorePath | None:
        """Return the path from the shared tier of a replica; None without one."""
        link = self._links.get(spec.number)
        return None if link is None else SharedStorePath(link, spec.deployment.block_bytes)

    def subscribe(self, replicas: Sequence[Replica[Any]]) -> None:
        """Write the prompts of these replicas, all replicas in order of number, to their tiers."""
        for number, link in self._links.items():
            deployment = self._specs[number].deployment
            writer = PromptWriter(
                link,
                self._store(self._specs[number]),
                deployment.pool.block_tokens,
                deployment.stored_block_bytes,
            )
            replicas[number].subscribe(writer)

    def _store(self, spec: ReplicaSpec) -> SharedStore:
        return self._stores[self._links[spec.number].scope]


def _nobody_waits() -> None:
    """Do nothing: the step already includes the duration of the transfer."""
