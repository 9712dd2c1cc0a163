"""LinkFaults: links that fail or lose bandwidth, with the effects on routes and replicas.

| link | it fails | it is degraded |
|---|---|---|
| of the network | routes avoid it; KV transfers over it begin again over other paths | it is slower |
| among the devices of a node | replicas with collectives over it are lost | collectives are slower |

A replica is lost if no path leads to it from the front door, to a prefill replica from which no
path leads to a decode replica, or to a decode replica that no prefill replica reaches. Its devices
keep their weights, so it accepts requests again as soon as there is a path. A replica on several
nodes is lost if no path leads from one of its nodes to the next; its processes then start again and
load the weights. Requests on their way and answers are small, and their latency alone counts; that
of answers stays as it was, which differs by microseconds.

A failure is noticed at once, as a port that goes down is. The timeouts of seconds after which RDMA
notices failures further away are left out (`NCCL_IB_TIMEOUT`, `UCX_RC_TIMEOUT`). Hidden states
between pipeline stages on several nodes have the bandwidth of the intact network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cluster_sim.deployment.fault_places import FaultPlaces
from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.reliability import Fault
from cluster_sim.sim.kv_network import KvNetwork
from cluster_sim.sim.kv_transfers import KvTransfers
from cluster_sim.sim.lifecycle import Lifecycle
from cluster_sim.sim.router import Router
from cluster_sim.topology import FRONT_DOOR, Edge, Route, Topology

_CAUSE = "link_failure"


@dataclass(frozen=True)
class LinkParts:
    """Parts of a simulation that links join."""

    lifecycles: Sequence[Lifecycle]
    """States of all replicas, in order of number."""
    router: Router
    """Front door of the cluster."""
    network: KvNetwork | None
    """Network of KV transfers; None if there are none."""
    transfers: KvTransfers | None
    """KV transfers between replicas; None if there are none."""


class LinkFaults:
    """Faults of links that last, and their effects."""

    def __init__(self, fleet: Fleet, places: FaultPlaces, parts: LinkParts) -> None:
        self._fleet, self._places, self._parts = fleet, places, parts
        self._lasting: dict[Edge, list[Fault]] = {}
        self._dead: set[Edge] = set()
        self._topology = self._whole = fleet.topology.without(())
        self._routes: list[Route | None] = [
            fleet.topology.route(FRONT_DOOR, spec.server) for spec in fleet.replicas
        ]
        self._lost: dict[str, set[int]] = {"reach": set(), "nodes": set(), "devices": set()}
        """Numbers of the replicas that a fault of links has stopped, by what is cut."""
        self._now_s = 0.0  # time of the last fault that began

    def begin(self, fault: Fault) -> None:
        """Let a fault of links happen."""
        self._now_s = fault.at_s
        links = self._places.links_hit(fault.where)
        for link in links:
            self._lasting.setdefault(link, []).append(fault)
        self._apply(links)

    def end(self, fault: Fault) -> None:
        """End a fault of links."""
        links = self._places.links_hit(fault.where)
        for link in links:
            self._lasting[link].remove(fault)
        self._apply(links)

    def _share(self, link: Edge) -> float:
        """Return the share of its bandwidth that a link keeps; 0 for a failed one."""
        return min((fault.factor for fault in self._lasting.get(link, ())), default=1.0)

    def _rails_share(self, rails: Sequence[Edge]) -> float:
        """Return the share of its bandwidth to other nodes that a node keeps; 0 without a link.

        Devices behind a failed link use the others. The slowest of these counts.
        """
        shares = list(map(self._share, rails))
        alive = [share for share in shares if share]
        return min([*alive, sum(shares) / len(shares)]) if alive else 0.0

    def _apply(self, links: Sequence[Edge]) -> None:
        """Let the present state of some links have its effects."""
        shares = {link: self._share(link) for link in links}
        died = {link for link in links if not shares[link]} - self._dead
        revived = {link for link in links if shares[link]} & self._dead
        self._dead = (self._dead | died) - revived
        if self._parts.network is not None:
            for link, share in shares.items():
                self._parts.network.keep_share(link, share or 1.0)
        if died or revived:
            self._reroute(died)
        self._change_devices(links)

    # Routes

    def _reroute(self, died: set[Edge]) -> None:
        """Let routes avoid dead links; lose replicas that are out of reach, and regain others."""
        dead = self._dead
        topology = self._fleet.topology.without(dead) if dead else self._whole
        self._topology = topology
        network, transfers = self._parts.network, self._parts.transfers
        if network is not None:
            network.paths.change_topology(topology)
        if transfers is not None and network is not None:
            transfers.change_paths(network.paths.reaches if dead else None)
        self._route_requests(died)
        self._change("nodes", self._split_replicas(), keeps_weights=False)
        out_of_reach = {number for number, route in enumerate(self._routes) if route is None}
        self._change("reach", out_of_reach | self._without_partners(), keeps_weights=True)
        if transfers is not None and self._are_joined:  # now without the replicas out of reach
            transfers.change_paths(None)
        if died and network is not None:
            is_cut = network.crosses(died)
            network.fabric.links_lost(is_cut)
            if transfers is not None:
                transfers.links_lost(is_cut)

    @property
    def _are_joined(self) -> bool:
        """Whether paths lead between all replicas that the front door reaches."""
        network = self._parts.network
        in_reach = (number for number, route in enumerate(self._routes) if route is not None)
        return not self._dead or network is None or network.paths.are_joined(in_reach)

    def _route_requests(self, died: set[Edge]) -> None:
        """Find the routes from the front door again that a change of links may affect."""
        crossed = {frozenset(link) for link in died}
        intact = self._fleet.topology
        for number, spec in enumerate(self._fleet.replicas):
            route = self._routes[number]
            best = intact.route(FRONT_DOOR, spec.server)
            is_detour = route is None or route.places != best.places
            if not is_detour and not any(frozenset(edge) in crossed for edge in best.edges):
                continue
            self._routes[number] = route = _route(self._topology, FRONT_DOOR, spec.server)
            if route is not None:
                latency_s = route.latency_s + spec.deployment.request_overhead_s
                self._parts.router.set_latency(number, latency_s)

    def _split_replicas(self) -> set[int]:
        """Return the replicas on several nodes between which no path is left."""
        return {
            spec.number
            for spec in self._fleet.replicas
            if self._dead and len(spec.nodes) > 1 and not self._is_joined(spec)
        }

    def _is_joined(self, spec: ReplicaSpec) -> bool:
        return all(
            _route(self._topology, start, end) is not None
            for start, end in pairwise(spec.devices)
            if self._topology.node(start) != self._topology.node(end)
        )

    def _without_partners(self) -> set[int]:
        """Return the prefill and decode replicas that reach no replica of the other role."""
        network = self._parts.network
        if network is None or self._parts.transfers is None or self._are_joined:
            return set()
        of_role: dict[str, list[int]] = {"prefill": [], "decode": []}
        for spec in self._fleet.replicas:
            if spec.role in of_role:
                of_role[spec.role].append(spec.number)
        sources, targets = of_role["prefill"], of_role["decode"]
        reaches = network.paths.reaches
        alone = {start for start in sources if not any(reaches(start, end) for end in targets)}
        return alone | {end for end in targets if not any(reaches(start, end) for start in sources)}

    # Replicas

    def _change_devices(self, links: Sequence[Edge]) -> None:
        """Change the collectives that cross links among the devices of nodes, or between nodes."""
        places = self._places
        nodes = {
            node
            for start, end in links
            for node in (places.node_of(start), places.node_of(end))
            if node
        }
        if not nodes:
            return
        broken = set(self._lost["devices"])
        for spec in self._fleet.replicas:
            name = spec.deployment.name
            if len(spec.devices) == 1 or nodes.isdisjoint(f"{name}/{node}" for node in spec.nodes):
                continue
            share = min(map(self._share, places.links_among(spec)), default=1.0)
            broken.discard(spec.number)
            if share:
                rails = min(map(self._rails_share, places.rails_of(spec)), default=1.0)
                self._parts.lifecycles[spec.number].replica.keep_links(share, rails or 1.0)
            else:
                broken.add(spec.number)
        self._change("devices", broken, keeps_weights=False)

    def _change(self, what: str, lost: set[int], *, keeps_weights: bool) -> None:
        """Lose replicas that cannot work any more, and repair those that can again."""
        before, self._lost[what] = self._lost[what], lost
        for number in sorted(lost - before):  # none of them is sent what another one loses
            self._parts.lifecycles[number].expect_loss()
        for number in sorted(lost - before):
            has_weights = self._now_s >= self._fleet.replicas[number].deployment.ready_s
            self._parts.lifecycles[number].lose(_CAUSE, keeps_weights=keeps_weights and has_weights)
        for number in sorted(before - lost):
            self._parts.lifecycles[number].repair()


def _route(topology: Topology, start: str, end: str) -> Route | None:
    """Return the route between two vertices; None if no path is left."""
    try:
        return topology.route(start, end)
    except LookupError:
        return None
