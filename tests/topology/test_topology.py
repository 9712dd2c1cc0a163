"""Places, links and routes, with hops, latencies and bottlenecks counted by hand."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import networkx as nx
import pytest
from pytest import approx

from cluster_sim.analysis.network_paths import path, usual_paths
from cluster_sim.deployment.fleet import build_topology
from cluster_sim.errors import ScenarioError
from cluster_sim.figures.topology_layout import condensed
from cluster_sim.hardware.network import FabricSpec, NetworkSpec
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import catalog_entry, catalog_names
from cluster_sim.topology import (
    Topology,
    group_path,
    host_bandwidth_bytes_per_s,
    parallel_paths_between,
)
from cluster_sim.topology.clos import switch_tiers
from tests.machines import SMALL_GPU, TINY_MODEL, node

NODES = catalog_names("nodes")


def cluster(kind: Any, nodes: int = 1, network: Any = None, **more: Any) -> Cluster:
    return Cluster.model_validate(
        {"pools": [{"name": "p", "node": kind, "nodes": nodes, **more}], "network": network}
    )


def topology(kind: Any, nodes: int = 1, network: Any = None) -> Topology:
    return build_topology(cluster(kind, nodes, network))


def network(**fabric: Any) -> dict[str, Any]:
    """Leaves and spines of 64 ports of 46 GB/s, one microsecond to a leaf and a fifth of one on to
    a spine.
    """
    return {
        "name": "net",
        "fabric": {
            "shape": "fat_tree",
            "kind": "wire",
            "radix": 64,
            "bandwidth": "46 GB/s",
            "latency": "1 us",
            "switch_latency": "200 ns",
        }
        | fabric,
    }


def wires(*pairs: str, bandwidth: str = "1 GB/s") -> list[dict[str, Any]]:
    return [
        {"between": pair.split(), "kind": "wire", "bandwidth": bandwidth, "latency": "1 us"}
        for pair in pairs
    ]


def test_two_gpus_of_a_node_are_two_hops_of_nvlink_apart():
    route = topology("dgx-b200").route("p/0/device1", "p/0/device6")
    assert route.places == ("p/0/device1", "p/0/switch", "p/0/device6")
    assert route.edges == (("p/0/device1", "p/0/switch"), ("p/0/switch", "p/0/device6"))
    assert (route.hops, route.latency_s, route.bottleneck_bytes_per_s) == (2, approx(1.5e-6), 900e9)


def test_between_nodes_a_gpu_uses_the_nic_on_its_own_pcie_switch():
    """PCIe 2 x 1.5 us, InfiniBand 2 x 1 us, PCIe 2 x 1.5 us; one port of NDR is 50 GB/s x 0.92."""
    route = topology("dgx-b200", 2).route("p/0/device3", "p/1/device3")
    assert route.places == (
        "p/0/device3",
        "p/0/pcie3",
        "p/0/nic3",
        "InfiniBand NDR rail/spine",
        "p/1/nic3",
        "p/1/pcie3",
        "p/1/device3",
    )
    assert (route.latency_s, route.bottleneck_bytes_per_s) == (approx(8e-6), approx(46e9))


def test_a_memory_is_a_hop_behind_its_device_and_both_directions_share_its_bus():
    machine = topology("dgx-b200", 2)
    route = machine.route("p/0/device0/memory", "p/1/device0/memory")
    assert route.places[:2] == ("p/0/device0/memory", "p/0/device0")
    assert route.hops == machine.route("p/0/device0", "p/1/device0").hops + 2
    reading, writing = ("p/0/device0/memory", "p/0/device0"), ("p/0/device0", "p/0/device0/memory")
    assert (machine.kind(reading), machine.capacity(reading)) == ("memory", 7.672e12)
    assert machine.resource(reading) == machine.resource(writing)
    assert machine.resource(("p/0/device0", "p/0/switch")) != machine.resource(
        ("p/0/switch", "p/0/device0")
    )


def test_host_memory_and_drives_are_reached_over_pcie_and_the_host():
    machine = topology("dgx-b200")
    assert machine.host("p/0/device5") == "p/0"
    route = machine.route("p/0/device5", "p/0/dram")
    assert route.places == ("p/0/device5", "p/0/pcie5", "p/0", "p/0/dram")
    assert route.bottleneck_bytes_per_s == 64e9
    assert machine.capacity(("p/0", "p/0/dram")) == approx(16 * 8 * 5.6e9)  # channels of 8 B
    assert machine.route("p/0/nvme", "p/0/device5/memory").bottleneck_bytes_per_s == 56e9


def test_two_gpus_of_a_gb200_rack_share_a_grace_host():
    rack = topology("gb200-nvl72")
    assert [rack.host(f"p/0/device{number}") for number in (0, 1, 2, 71)] == [
        "p/0/host0",
        "p/0/host0",
        "p/0/host1",
        "p/0/host35",
    ]
    assert rack.route("p/0/device0", "p/0/device71").hops == 2
    assert rack.route("front_door", "p/0/device71").latency_s == approx(3e-6)


def test_every_edge_of_longer_parallel_paths_is_told_by_what_the_first_path_crosses():
    """Eight memories of a GB200 rack and the host of two of them: 2, 4 and 5 hops."""
    rack = topology("gb200-nvl72")
    memories = [f"p/0/device{number}/memory" for number in range(8)]
    paths = parallel_paths_between(rack, memories, [f"{rack.host('p/0/device0')}"])
    assert {route.hops for route in paths.routes} == {2, 4, 5}
    told = paths.stands_for(rack)
    assert set(told) == {edge for route in paths.routes for edge in route.edges}
    assert set(told.values()) <= set(paths.uses)


def test_wafers_talk_over_swarmx_and_read_weights_from_memoryx():
    wafers = topology("cs-3", 4)
    assert wafers.role("p/2/device0") == "wafer"
    between = wafers.route("p/0/device0", "p/3/device0")
    assert (between.hops, between.latency_s, between.bottleneck_bytes_per_s) == (
        4,
        approx(5e-6),
        150e9,
    )
    assert wafers.route("SwarmX/memoryx", "p/1/device0/memory").bottleneck_bytes_per_s == 150e9


_LARGE = "cloudmatrix-384"  # its 2,692 places, most of them alike, take 20 s


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        *((name, 1) for name in NODES if name != _LARGE),
        pytest.param(_LARGE, 13, marks=pytest.mark.slow),
        pytest.param(_LARGE, 1, marks=pytest.mark.long),
    ],
)
def test_every_place_of_every_node_of_the_catalog_can_be_reached(name: str, stride: int):
    """But the switch that only devices are on. Of the largest node, every 13th place is enough."""
    machine = topology(name, 2)
    for place in list(machine.places())[::stride]:
        assert place in machine
        if machine.role(place) == "switch" and machine.node(place):
            continue
        route = machine.route("front_door", place)
        assert route.places[-1] == place
        assert route.edges == tuple(pairwise(route.places))
        assert all(machine.capacity(edge) > 0 for edge in route.edges)


@pytest.mark.parametrize(
    ("name", "bandwidth"),
    [("dgx-b200", 64e9), ("dgx-a100", 32e9), ("gb200-nvl72", 225e9), ("cs-3", 150e9)],
)
def test_what_moves_between_a_device_and_its_host_is_bound_by_the_narrowest_link(
    name: str, bandwidth: float
):
    assert host_bandwidth_bytes_per_s(cluster(name).pools[0].node) == bandwidth


# Nodes of eight NICs: (shape, nodes, oversubscription) -> leaves, spines, cables from each leaf to
# each spine.
SIZES = [
    ("fat_tree", 8, 1.0, (1, 0, 0)),  # 64 NICs on one switch of 64 ports
    ("fat_tree", 16, 1.0, (4, 2, 16)),  # 128 NICs, 32 on a leaf; 4 x 32 cables take two spines
    ("fat_tree", 128, 1.0, (32, 16, 2)),  # 1,024 cables take 16 spines
    (
        "fat_tree",
        16,
        2.0,
        (4, 2, 10),
    ),  # five nodes on each leaf of 42 ports down; 40 NICs / 2 = 20 cables, 4 x 20 take two spines
    ("fat_tree", 256, 1.0, (64, 32, 1)),  # as many as two tiers of 64 ports hold
    ("rail_optimised", 2, 1.0, (8, 1, 2)),  # a leaf a rail, with two NICs each
    ("rail_optimised", 32, 1.0, (8, 4, 8)),  # 8 x 32 cables take four spines
    ("rail_optimised", 128, 1.0, (32, 16, 2)),
    (
        "rail_optimised",
        128,
        3.0,
        (24, 8, 2),
    ),  # 48 down and 16 up: three groups of up to 48 nodes; 24 x 16 cables take 6 spines, 8 take 2 each
]


@pytest.mark.parametrize(("shape", "nodes", "oversubscription", "wanted"), SIZES)
def test_switches_are_as_many_as_the_ports_need(
    shape: str, nodes: int, oversubscription: float, wanted: tuple[int, int, int]
):
    fabric = FabricSpec.model_validate(
        network(shape=shape, oversubscription=oversubscription)["fabric"]
    )
    found = switch_tiers(fabric, [8] * nodes)
    assert (found.leaves, found.spines, found.cables) == wanted


@pytest.mark.parametrize("shape", ["fat_tree", "rail_optimised"])
@pytest.mark.parametrize("oversubscription", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("nodes", [2, 5, 17, 100])
def test_no_switch_has_more_cables_than_ports_and_no_leaf_is_shorter_than_asked(
    shape: str, oversubscription: float, nodes: int
):
    fabric = FabricSpec.model_validate(
        network(shape=shape, oversubscription=oversubscription)["fabric"]
    )
    found = switch_tiers(fabric, [8] * nodes)
    down, up = (
        Counter(leaf for leaves in found.leaf_of for leaf in leaves),
        found.spines * found.cables,
    )
    assert sum(down.values()) == 8 * nodes
    assert set(down) == set(range(found.leaves))
    assert max(down.values()) + up <= 64
    assert found.leaves * found.cables <= 64
    if found.leaves > 1:
        assert max(down.values()) / up <= oversubscription


def test_a_fabric_without_ports_enough_says_so():
    with pytest.raises(
        ValueError,
        match="2056 NICs need 65 leaves with 32 cables to spines each, which is more than two tiers of switches with 64 ports have",
    ):
        topology("dgx-b200", 257, network())


def test_rails_keep_traffic_of_the_same_rank_on_one_leaf():
    machine = topology("dgx-b200", 32, network(shape="rail_optimised"))
    for rank in range(8):
        route = machine.route(f"p/0/device{rank}", f"p/31/device{rank}")
        assert [place for place in route.places if place.startswith("net/")] == [f"net/leaf{rank}"]
        assert (route.hops, route.latency_s) == (6, approx(8e-6))
    across = machine.route("p/0/device0", "p/31/device1")
    assert [machine.role(place) for place in across.places if place.startswith("net/")] == [
        "leaf",
        "spine",
        "leaf",
    ]
    assert (across.hops, across.latency_s) == (8, approx(8.4e-6))


def test_a_fat_tree_keeps_neighbouring_nodes_on_one_leaf_whatever_the_rank():
    """Four nodes of eight NICs fill the 32 ports that a leaf of 64 gives to nodes."""
    machine = topology("dgx-b200", 16, network())
    assert machine.route("p/0/device0", "p/3/device5").hops == 6
    assert machine.route("p/0/device0", "p/4/device0").hops == 8


def test_oversubscription_narrows_what_all_nodes_of_a_leaf_send_away_at_once():
    """32 NICs of 46 GB/s on a leaf; with 4:1 eight cables lead on to the spines."""
    for oversubscription, cables in ((1.0, 32), (4.0, 8)):
        machine = topology(
            "dgx-b200",
            16,
            network(oversubscription=oversubscription, radix=64 if oversubscription == 1.0 else 40),
        )
        spines = [place for place in machine.graph["net/leaf0"] if machine.role(place) == "spine"]
        assert sum(machine.capacity(("net/leaf0", spine)) for spine in spines) == approx(
            cables * 46e9
        )


def test_the_flows_between_two_places_spread_over_all_spines_and_each_keeps_to_its_own():
    machine = topology("dgx-b200", 128, network())
    assert machine.choices("p/0/device0", "p/127/device7") == 16
    routes = [machine.route("p/0/device0", "p/127/device7", flow) for flow in range(1600)]
    spines = Counter(route.places[4] for route in routes)
    assert len(spines) == 16
    assert max(spines.values()) < 150  # a hundred each, give or take five times the square root
    again = topology("dgx-b200", 128, network())
    assert [again.route("p/0/device0", "p/127/device7", flow) for flow in range(100)] == routes[
        :100
    ]
    assert (
        len({(route.hops, route.latency_s, route.bottleneck_bytes_per_s) for route in routes}) == 1
    )


def test_pairs_of_places_do_not_all_pick_the_same_spine():
    machine = topology("dgx-b200", 128, network())
    assert (
        len(
            {
                machine.route(f"p/{number}/device0", f"p/{127 - number}/device0").places[4]
                for number in range(32)
            }
        )
        > 8
    )


@pytest.mark.parametrize("wired", ["ndr-rail", "xdr-rail-optimised", "roce-fat-tree"])
def test_routes_are_as_short_as_breadth_first_search_over_the_whole_graph(wired: str):
    """Devices pass nothing on, so for each pair all others are left out."""
    machine = topology("dgx-b200", 6, wired)
    passing = [place for place in machine.graph if machine.role(place) != "device"]
    for start, end in (
        ("p/0/device0", "p/5/device3"),
        ("front_door", "p/4/device7"),
        ("p/1/device2", "p/1/device5"),
        ("p/2/nvme", "p/3/device1"),
    ):
        alone = machine.graph.subgraph([*passing, start, end])
        route = machine.route(start, end)
        assert route.hops == nx.shortest_path_length(alone, start, end)
        assert machine.route(end, start).hops == route.hops


def test_of_ways_with_as_few_hops_the_widest_is_taken_and_then_the_quickest():
    own = node(SMALL_GPU, 2)
    own["links"] = [*wires("device host"), *wires("device switch", bandwidth="9 GB/s")]
    assert topology(own).route("p/0/device0", "p/0/device1").places[1] == "p/0/switch"
    own["links"] = [*wires("device host"), dict(wires("device switch")[0], latency="0.5 us")]
    assert topology(own).route("p/0/device0", "p/0/device1").places[1] == "p/0/switch"


def test_devices_pass_nothing_on():
    """The third of a chain could be reached over the second only."""
    own = node(SMALL_GPU, 3) | {"places": {"port": 2}, "links": wires("device port", "port host")}
    machine = topology(own)
    assert machine.route("p/0/device0", "p/0/device2").places == (
        "p/0/device0",
        "p/0/port0",
        "p/0",
        "p/0/port1",
        "p/0/device2",
    )
    machine = topology(node(SMALL_GPU, 2) | {"links": wires("device device", "host nic")})
    with pytest.raises(LookupError, match="no route leads from front_door to p/0/device0"):
        machine.route("front_door", "p/0/device0")
    assert machine.unreachable(["p/0/device0", "p/0", "p/0/nic"]) == ["p/0/device0"]


def test_nodes_in_a_chain_pass_on_what_is_for_others():
    chain = {"links": wires("front_door p/0", "p/0 p/1", "p/1 p/2")}
    machine = topology(node(SMALL_GPU) | {"links": wires("host device")}, 3, chain)
    assert machine.route("front_door", "p/2/device0").places == (
        "front_door",
        "p/0",
        "p/1",
        "p/2",
        "p/2/device0",
    )
    assert machine.route("p/2/device0", "p/0/device0").hops == 4


def test_a_link_to_a_node_is_shared_evenly_by_its_nics():
    star = {"name": "star", "links": wires("front_door hub", "hub node", bandwidth="800 GB/s")}
    machine = topology("dgx-h100", 2, star)
    assert machine.capacity(("star/hub", "p/1/nic7")) == 100e9
    bare = topology(
        node(SMALL_GPU, 4) | {"links": wires("host device", bandwidth="900 GB/s")}, 2, star
    )
    assert bare.capacity(("star/hub", "p/1")) == 800e9
    # a device's part of it, for each of three that send at once
    assert (
        group_path(
            bare, [f"p/0/device{n}" for n in range(3)], [f"p/1/device{n}" for n in range(3)]
        ).bytes_per_s
        == 600e9
    )


def test_a_thousand_gpus_have_as_many_places_as_were_counted_by_hand():
    """A node: host, DRAM, drives, NVSwitch, and eight each of devices, memories, PCIe switches,
    NICs; 32 leaves, 16 spines, the door.
    """
    machine = topology("dgx-b200", 128, network(shape="rail_optimised"))
    assert len(machine.graph) == 128 * (4 + 8 * 4) + 32 + 16 + 1
    # a node: NVLink, memory, and three of PCIe for each device, and the host's two; a cable for
    # each NIC, leaves to spines, the door's
    assert machine.graph.number_of_edges() == 128 * (8 * 5 + 2 + 8) + 32 * 16 + 16


def test_a_network_is_links_or_a_fabric():
    with pytest.raises(ValueError, match="expected 'links' or 'fabric'"):
        NetworkSpec.model_validate({"name": "nothing"})
    machine = topology(
        "dgx-b200",
        2,
        catalog_entry("links", "ndr-fat-tree")
        | {"links": wires("store leaf0", bandwidth="90 GB/s")},
    )
    assert (
        machine.route("InfiniBand NDR fat tree/store", "p/1/device0").places[1]
        == "InfiniBand NDR fat tree/leaf0"
    )


SCENARIO = {
    "name": "s", "model": TINY_MODEL,
    "workload": {"arrivals": {"process": "at_once", "requests": 1}, "prompt_tokens": 5, "output_tokens": 5},
}  # fmt: skip


def test_the_usual_paths_are_those_to_within_and_between_nodes():
    plan = Scenario.model_validate(
        SCENARIO
        | {
            "cluster": {
                "pools": [{"name": "p", "node": "dgx-b200", "nodes": 2}],
                "network": network(shape="rail_optimised"),
            }
        }
    )
    found = {
        one.what: (one.route.hops, one.route.bottleneck_bytes_per_s)
        for one in usual_paths(plan, build_topology(plan.cluster))
    }
    assert found == {
        "front door to p": (5, 46e9),
        "device to device in a node of p": (2, 900e9),
        "device to the corresponding device of another node of p": (6, 46e9),
        "device to a different device of another node of p": (8, 46e9),
        "device to host of p": (2, 64e9),
    }


def test_a_place_that_is_not_there_is_told_with_the_nearest():
    machine = topology("dgx-b200")
    with pytest.raises(
        ScenarioError, match=r"--path: got 'p/0/devcie3'; did you mean 'p/0/device3'\?"
    ):
        path(machine, "front_door", "p/0/devcie3")
    with pytest.raises(
        ScenarioError,
        match="--path: got 'xyz'; expected a name such as front_door, p/0 or p/0/device0",
    ):
        path(machine, "xyz", "front_door")


def test_a_path_tells_its_narrowest_edge_and_a_place_is_no_way_from_itself():
    machine = topology("dgx-b200", 2)
    assert path(machine, "p/0/device0/memory", "p/1/device0").narrowest == (
        "p/0/nic0",
        "InfiniBand NDR rail/spine",
    )
    assert path(machine, "p/0", "p/0").narrowest is None


def test_a_large_cluster_is_drawn_as_one_node_and_one_leaf_a_rail():
    """A DGX has a host, DRAM, drives, an NVSwitch and four places a device; the leaves of a rail
    are alike, and all spines are.
    """
    small, large = (
        condensed(topology("dgx-b200", nodes, network(shape="rail_optimised")))
        for nodes in (2, 128)
    )
    assert len(small.marks) == 2 * (4 + 8 * 4) + 8 + 1 + 1
    assert len(large.marks) == 4 + 8 * 4 + 8 + 1 + 1
    assert {(mark.role, mark.count) for mark in large.marks.values() if mark.node is None} == {
        ("front_door", 1),
        ("leaf", 4),
        ("spine", 16),
    }
    assert [box.name for box in large.boxes] == ["p/0 and 127 similar"]
    assert (
        sum(len(bundle.edges) for bundle in large.bundles) == 128 * (8 * 5 + 2 + 8) + 32 * 16 + 16
    )


def test_a_rack_is_drawn_with_one_mark_for_its_72_gpus():
    picture = condensed(topology("gb200-nvl72"))
    assert {(mark.role, mark.count) for mark in picture.marks.values() if mark.node} == {
        ("device", 72), ("memory", 72), ("nic", 72), ("host", 36), ("dram", 36), ("nvme", 18), ("switch", 1),
    }  # fmt: skip
    assert len({(mark.row, mark.x) for mark in picture.marks.values()}) == len(picture.marks)
