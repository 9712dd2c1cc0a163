"""Routes of a topology without some of its links, against a search by brute force."""

from __future__ import annotations

from random import Random

import networkx as nx
import pytest

from cluster_sim.topology import FRONT_DOOR, Topology, parallel_paths_between
from tests.topology.test_topology import network, topology


def fat_tree() -> Topology:
    """Sixteen nodes of eight NICs on leaves of 32 ports, each with two cables to each of 16 spines."""
    return topology("dgx-b200", 16, network(radix=32))


def crossed(whole: Topology, start: str, end: str) -> set[str]:
    """Switches on the routes of a thousand flows."""
    routes = [whole.route(start, end, flow) for flow in range(1_000)]
    return {place for route in routes for place in route.places if "/spine" in place}


def test_equally_good_routes_get_fewer_when_a_link_dies_and_more_when_it_is_repaired() -> None:
    whole = fat_tree()
    start, end = "p/0/nic0", "p/15/nic0"
    leaf = whole.route(start, end).places[1]
    spines = sorted(crossed(whole, start, end))
    assert whole.choices(start, end) == len(spines) > 2
    dead = {(leaf, spines[0]), (leaf, spines[1])}
    without = whole.without(dead)
    assert without.choices(start, end) == len(spines) - 2
    assert crossed(without, start, end) == set(spines[2:])
    assert whole.without(()).choices(start, end) == len(spines)
    assert whole.choices(start, end) == len(spines)


def test_a_device_whose_nic_is_cut_off_uses_the_nic_of_another_one() -> None:
    whole = topology("dgx-b200", 2)
    (link,) = [edge for edge in whole.network_links() if "p/0/nic3" in edge]
    route = whole.without({link}).route("p/0/device3", "p/1/device3")
    assert "p/0/nic3" not in route.places
    # device, PCIe switch, host, PCIe switch, NIC, spine, NIC, PCIe switch, device
    assert route.hops == 8 == whole.route("p/0/device3", "p/1/device3").hops + 2


def test_each_edge_counts_where_devices_are_no_longer_alike() -> None:
    """Of two paths, one takes the NIC of the other: two paths on it, and one on its own device."""
    whole = topology("dgx-b200", 2)
    pair = ["p/0/device0/memory", "p/0/device1/memory"], ["p/1/device0/memory", "p/1/device1/memory"]  # fmt: skip
    alike = parallel_paths_between(whole.without(()), *pair)
    assert set(alike.uses.values()) == {1}
    # either route has 8 edges of its own; the bus of a memory is one resource in both directions
    assert len(alike.uses) == 2 * len(alike.routes[0].edges)
    dead = {edge for edge in whole.network_links() if edge[0].startswith("p/0/nic") and edge[0] != "p/0/nic0"}  # fmt: skip
    uneven = parallel_paths_between(whole.without(dead), *pair)
    (link,) = [edge for edge in uneven.uses if "p/0/nic0" in edge and "spine" in edge[1]]
    assert uneven.uses[link] == 2


def test_a_dead_link_inside_a_node_is_avoided_in_that_node_alone() -> None:
    whole = topology("dgx-b200", 2)
    without = whole.without({("p/0/device1", "p/0/switch")})
    assert "p/0/switch" not in without.route("p/0/device1", "p/0/device2").places
    assert without.route("p/1/device1", "p/1/device2") == whole.route("p/1/device1", "p/1/device2")


@pytest.mark.parametrize("seed", range(6))
def test_routes_avoid_dead_links_and_are_the_shortest_of_those_left(seed: int) -> None:
    random, whole = Random(seed), topology("dgx-b200", 6, network(radix=16))
    links = list(whole.network_links())
    dead = set(random.sample(links, random.randint(1, len(links) * 2 // 3)))
    without, graph = whole.without(dead), nx.Graph(whole.graph)
    graph.remove_edges_from(dead)
    avoided = {frozenset(link) for link in dead}
    ends = [FRONT_DOOR, *(f"p/{node}/device{random.randint(0, 7)}" for node in range(6))]
    for start in ends:
        for end in ends:
            own = {start, end}
            passable = [
                place for place in graph if "/device" not in place or place in own
            ]  # devices forward nothing
            left = graph.subgraph(passable)
            parts = without.parts_reached(start) & without.parts_reached(end)
            assert bool(parts) is nx.has_path(left, start, end) or start == end
            if start != end and nx.has_path(left, start, end):
                route = without.route(start, end, random.randint(0, 99))
                assert route.hops == nx.shortest_path_length(left, start, end)
                assert avoided.isdisjoint(map(frozenset, route.edges))
            elif start != end:
                with pytest.raises(LookupError):
                    without.route(start, end)
