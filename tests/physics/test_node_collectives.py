"""Collectives of groups over nodes, against arithmetic by hand and public measurements."""

from __future__ import annotations

from functools import cache

import pytest
from pytest import approx

from cluster_sim.deployment.group_network import group_network
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.node import Node
from cluster_sim.physics import collectives, node_collectives
from cluster_sim.physics.replica_layout import NodeGroup
from cluster_sim.schema import Document, catalog_entry, describe

MIB, GIB = 2.0**20, 2.0**30
LARGE = (512 * MIB, GIB, 2 * GIB, 4 * GIB, 8 * GIB, 16 * GIB)
SOURCES = {
    "gb200": "github coreweave/nccl-tests, NCCL 2.26",
    "sharp": "github coreweave/nccl-tests",
    "h100": "github NVIDIA/nccl issue 1221; uccl-project/uccl issue 205",
    "h200": "github NVIDIA/nccl-tests issue 283",
    "h20": "github NVIDIA/nccl issue 1244, NVLSTree; links as those of the H100",
}
ROWS = [
    *(("gb200", "gb200-nvl72", 2, size, rate) for size, rate in zip(LARGE, (494, 596, 680, 743, 793, 810), strict=True)),
    *(("gb200", "gb200-nvl72", 20, size, rate) for size, rate in zip(LARGE, (151, 219, 287, 346, 381, 406), strict=True)),
    *(("sharp", "dgx-h100", 8, size, rate) for size, rate in zip(LARGE[:5], (356, 366, 381, 383, 387), strict=True)),
    ("h100", "dgx-h100", 2, LARGE[4], 430), ("h100", "dgx-h100", 4, LARGE[4], 320), ("h100", "dgx-h100", 8, LARGE[4], 350),
    ("h200", "dgx-h200", 248, LARGE[0], 350),
]  # fmt: skip
"""Source, node, number of nodes, size [B], and bus bandwidth of an all-reduce [GB/s]."""
SMALL = [(8, 47), (MIB, 122), (4 * MIB, 128), (8 * MIB, 147), (16 * MIB, 203), (32 * MIB, 299), (64 * MIB, 468), (512 * MIB, 3200)]  # fmt: skip
"""Size [B] and time [us] of an all-reduce of two nodes of eight H20."""


@cache
def node(name: str) -> Node:
    return describe(Node, Document(catalog_entry("nodes", name), name))


def all_reduce_s(name: str, nodes: int, size_bytes: float, *, sums: bool = False) -> float:
    """Return the time of an all-reduce of all devices of some nodes of the catalog [s]."""
    of = node(name)
    rate = group_network(of, 2 * of.devices).device_bytes_per_s
    group = NodeGroup(nodes, of.devices, rate, sums_in_switch=sums)
    return node_collectives.all_reduce_s(of.device.collectives, group, size_bytes)


@pytest.mark.parametrize(("source", "name", "nodes", "size_bytes", "rate"), ROWS)
def test_public_rates_are_met_within_fifteen_percent(
    source: str, name: str, nodes: int, size_bytes: float, rate: float
) -> None:
    ranks = nodes * node(name).devices
    seconds = all_reduce_s(name, nodes, size_bytes, sums=source == "sharp")
    bus = 2 * (ranks - 1) / ranks * size_bytes / seconds / 1e9
    assert bus == approx(rate, rel=0.15), SOURCES[source]


@pytest.mark.parametrize(("size_bytes", "measured_us"), SMALL)
def test_public_times_of_small_tensors_are_met_within_fifteen_percent(
    size_bytes: float, measured_us: float
) -> None:
    assert 1e6 * all_reduce_s("dgx-h100", 2, size_bytes) == approx(measured_us, rel=0.15)


def test_a_rack_is_one_domain_within_fifteen_percent_of_its_public_rates() -> None:
    rack = node("gb200-nvl72")
    fit = rack.device.collectives.nccl_all_reduce
    for size_bytes, rate in zip(LARGE[:5], (586, 681, 758, 839, 835), strict=True):
        seconds = collectives.all_reduce_s(fit, 72, size_bytes)
        assert 2 * 71 / 72 * size_bytes / seconds / 1e9 == approx(rate, rel=0.15)


PLAIN = CollectiveFits.model_validate(
    {"across_nodes": {"start": "10 us", "level": "2 us", "small_bandwidth": "1 GB/s", "rank": "1 us", "overlap": 1, "uses_trees": False}}
)  # fmt: skip
"""Two nodes of one device: a tensor crosses each port once there and once back, by halves."""


def test_a_small_tensor_takes_its_start_and_its_bytes() -> None:
    # 10 us, one level of 2 us, and 1 kB at 1 GB/s
    assert node_collectives.all_reduce_s(PLAIN, NodeGroup(2, 1, 50e9), 1e3) == approx(13e-6)


def test_a_large_tensor_takes_a_start_per_rank_and_crosses_the_ports() -> None:
    # 10 + 2 us, 2 ranks of 1 us, 2 x 1/2 x 1 GB over 50 GB/s
    seconds = node_collectives.all_reduce_s(PLAIN, NodeGroup(2, 1, 50e9), 1e9)
    assert seconds == approx(14e-6 + 0.02)
    # four nodes: two levels, four ranks, 2 x 3/4 of the bytes
    seconds = node_collectives.all_reduce_s(PLAIN, NodeGroup(4, 1, 50e9), 1e9)
    assert seconds == approx(18e-6 + 0.03)


def test_sums_in_switches_send_n_plus_one_in_place_of_two_n_minus_two_parts() -> None:
    # four nodes: 5/4 of the bytes in place of 6/4
    seconds = node_collectives.all_reduce_s(PLAIN, NodeGroup(4, 1, 50e9, sums_in_switch=True), 1e9)
    assert seconds == approx(18e-6 + 0.025)


def test_all_gather_and_reduce_scatter_cross_the_ports_once() -> None:
    group = NodeGroup(4, 1, 50e9)  # half of the steps of the ranks, 3/4 of the bytes
    for collective in (node_collectives.all_gather_s, node_collectives.reduce_scatter_s):
        assert collective(PLAIN, group, 1e9) == approx(16e-6 + 0.015)


def test_no_port_carries_more_than_its_bandwidth() -> None:
    for nodes, size_bytes in ((2, 1e4), (2, 1e7), (16, 1e6), (16, 1e9)):
        group = NodeGroup(nodes, 8, 46e9)
        sent = node_collectives.rail_bytes(group, 2.0, size_bytes)
        seconds = node_collectives.all_reduce_s(
            node("dgx-h100").device.collectives, group, size_bytes
        )
        assert sent / seconds <= 46e9


def test_a_group_over_nodes_has_the_ports_of_its_devices() -> None:
    network = group_network(node("dgx-h100"), 32)
    assert network.nodes == 4
    assert network.device_bytes_per_s == approx(46e9)  # a port of 400 Gb/s at 92 %
    assert group_network(node("dgx-h100"), 8).nodes == 1


def test_hashes_of_routes_do_not_lessen_the_part_of_a_device() -> None:
    """A node of 144 chips has 144 ports of 200 Gb/s, of which transport reaches 90 %."""
    assert group_network(node("trainium3-144"), 288).device_bytes_per_s == approx(22.5e9)
