"""Ports of racks and hosts, counted by hand from the makers' figures."""

from __future__ import annotations

import pytest
from pytest import approx

from cluster_sim.deployment.fleet import build_topology
from cluster_sim.deployment.group_network import group_network
from cluster_sim.hardware.node import Node
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.schema import catalog_entry
from cluster_sim.topology import Topology

GB = 1e9


def two_nodes(node: str, network: str | None = None) -> Topology:
    pools = [{"name": "p", "node": node, "nodes": 2}]
    return build_topology(Cluster.model_validate({"pools": pools, "network": network}))


@pytest.mark.parametrize(
    ("node", "network", "gigabytes_per_s"),
    [
        ("gb200-nvl72", None, 400 / 8 * 0.92),  # NDR: 400 Gb/s, of which RDMA reaches 0.92
        ("gb200-nvl72", "xdr-rail-72", 800 / 8 * 0.92),  # clouds with Quantum-X800
        ("tpu-v7-8", None, 4 * 100 / 8 / 2),  # four chips of 100 Gb/s share two NICs of a host
        ("tpu-v7-4", None, 4 * 100 / 8 / 2),
    ],
)
def test_a_device_leaves_its_node_through_one_port(
    node: str, network: str | None, gigabytes_per_s: float
) -> None:
    between = two_nodes(node, network).route("p/0/device0", "p/1/device0")
    assert between.bottleneck_bytes_per_s == approx(gigabytes_per_s * GB)


def out_of_a_node(machine: Topology) -> float:
    """Bandwidth from the network to all ports of one node [B/s]."""
    ports = {place for place in machine.places() if place.startswith("p/0/nic")} or {"p/0"}
    spine = next(place for place in machine.places() if place.endswith("/spine"))
    return sum(machine.capacity((spine, port)) for port in ports)


def test_a_gb200_rack_has_a_port_of_400_gigabits_per_gpu() -> None:
    assert out_of_a_node(two_nodes("gb200-nvl72")) == approx(72 * 50 * 0.92 * GB)


def test_four_chips_of_tpu_v7_share_a_host() -> None:
    machine = two_nodes("tpu-v7-8")
    assert [machine.host(f"p/0/device{number}") for number in (0, 3, 4, 7)] == [
        "p/0/host0", "p/0/host0", "p/0/host1", "p/0/host1",
    ]  # fmt: skip
    host = two_nodes("tpu-v7-4")
    assert {host.host(f"p/0/device{number}") for number in range(4)} == {"p/0"}


@pytest.mark.parametrize("node", ["tpu-v6e-8", "tpu-v7-8"])
def test_a_tpu_chip_brings_100_gigabits_per_second_of_network(node: str) -> None:
    """Eight chips are 800 Gb/s, which is 100 GB/s, over all ports of a slice."""
    assert out_of_a_node(two_nodes(node)) == approx(100 * GB)


@pytest.mark.parametrize(
    ("node", "gigabytes_per_s"),
    [
        ("dgx-h200", 46.0),  # 400 Gb/s per device, of which RDMA reaches 0.92
        ("dgx-b200", 46.0),
        ("hgx-b300", 92.0),  # 800 Gb/s
        ("gb200-nvl72", 46.0),
        ("gb300-nvl72", 92.0),
        ("rubin-nvl72", 184.0),  # two of 800 Gb/s
        ("mi325x-8", 45.0),  # 0.9 of 400 Gb/s over Ethernet
    ],
)
def test_all_devices_of_a_group_over_nodes_have_a_whole_port_each(
    node: str, gigabytes_per_s: float
) -> None:
    described = Node.model_validate(catalog_entry("nodes", node))
    network = group_network(described, 2 * described.devices)
    assert network.device_bytes_per_s == approx(gigabytes_per_s * GB)
