"""Figures of whole racks, added up by hand."""

from __future__ import annotations

import pytest
from pytest import approx

from cluster_sim.hardware.node import Node
from cluster_sim.hardware.precision import Precision
from cluster_sim.schema import catalog_entry, catalog_figures


def node(name: str) -> Node:
    return Node.model_validate(catalog_entry("nodes", name))


def rack_w(name: str) -> float:
    """Power of a rack with every device at its limit [W]."""
    rack = node(name)
    assert rack.power is not None and rack.device.power is not None
    return rack.devices * rack.device.power.limit_w + rack.power.most_w


def test_a_rubin_rack_draws_what_racks_are_quoted_at() -> None:
    """190 kW (Max-Q) to 230 kW (Max-P), of which 72 devices of 1.8 kW are 129.6 kW."""
    assert rack_w("rubin-nvl72") == approx(210e3, rel=0.01)
    figure = next(f for f in catalog_figures("nodes", "rubin-nvl72") if f.path == "power.most")
    assert figure.range is not None
    low_w, high_w = (float(bound.removesuffix(" W")) for bound in figure.range)
    assert (129_600 + low_w, 129_600 + high_w) == (approx(190e3, rel=0.01), approx(230e3, rel=0.01))


def test_the_memory_of_a_b300_may_be_as_small_as_users_report() -> None:
    """268 GB by one report; a driver reports 284,208 MiB, which are 298.0 GB."""
    figure = next(f for f in catalog_figures("devices", "b300-sxm") if f.path == "memory.capacity")
    assert figure.range is not None
    low_gb, high_gb = (float(bound.removesuffix(" GB")) for bound in figure.range)
    assert (low_gb, high_gb) == (268, approx(284_208 * 2**20 / 1e9, abs=0.05))
    assert node("hgx-b300").device.memory.capacity_bytes == 288.4e9
    changed = Node.model_validate(
        catalog_entry("nodes", "hgx-b300")
        | {"device": {"like": "b300-sxm", "memory": {"capacity": "268 GB"}}}
    )
    assert changed.device.memory.capacity_bytes == 268e9


@pytest.mark.parametrize(
    ("name", "memory_tb", "bandwidth_tb_per_s", "precision", "petaflops"),
    [
        # as their makers add them up, which they round; GB300 are sold with 288 GB
        ("gb300-nvl72", 20.7, 576, "fp4", 1080),
        ("rubin-nvl72", 20.7, 1580, "fp8", 1200),
        ("mi455x-72", 31, 1400, "fp4", 2900),
        ("trainium3-64", 9.9, 314, "fp8", 161),  # 9 TiB
        ("trainium3-144", 22.3, 706, "fp8", 362),  # 20.25 TiB
        ("groq-3-lpx", 0.128, 40_000, "fp8", 315),
        ("cloudmatrix-384", 49.2, 1229, "bf16", 300),
    ],
)
def test_the_devices_of_a_machine_add_up_to_what_its_maker_says(
    name: str, memory_tb: float, bandwidth_tb_per_s: float, precision: Precision, petaflops: float
) -> None:
    machine = node(name)
    memory = machine.device.memory
    assert machine.devices * memory.capacity_bytes == approx(memory_tb * 1e12, rel=0.04)
    total = machine.devices * memory.bandwidth_bytes_per_s
    assert total == approx(bandwidth_tb_per_s * 1e12, rel=0.05)
    computed, peak = machine.device.peak.of(precision)
    assert (computed, machine.devices * peak) == (precision, approx(petaflops * 1e15, rel=0.05))


@pytest.mark.parametrize(
    ("name", "both_ways_tb_per_s"),
    [("gb300-nvl72", 130), ("rubin-nvl72", 260), ("mi455x-72", 260), ("groq-3-lpx", 640)],
)
def test_the_links_of_a_rack_add_up_to_what_its_maker_says(
    name: str, both_ways_tb_per_s: float
) -> None:
    rack = node(name)
    (link,) = (link for link in rack.links if link.between == ("device", "switch"))
    total = 2 * rack.devices * link.bandwidth_bytes_per_s
    assert total == approx(both_ways_tb_per_s * 1e12, rel=0.01)


@pytest.mark.parametrize(
    ("name", "kilowatts"), [("gb300-nvl72", 132), ("rubin-nvl72", 210), ("cloudmatrix-384", 559)]
)
def test_a_machine_draws_what_it_is_quoted_at(name: str, kilowatts: float) -> None:
    assert rack_w(name) == approx(kilowatts * 1e3, rel=0.01)


@pytest.mark.parametrize(
    ("name", "gigabytes_per_s"),
    [("rubin-nvl72", 8 * 100 / 4), ("gb300-nvl72", 100), ("mi455x-72", 43_000 / 72 / 2)],
)
def test_a_device_has_its_share_of_the_ports_of_a_rack(name: str, gigabytes_per_s: float) -> None:
    """Eight ports of 800 Gb/s per tray of four; one each; 43 TB/s in both directions over 72."""
    rack = node(name)
    (link,) = (link for link in rack.network.links if "node" in link.between)
    share = 0.9 if name == "mi455x-72" else 0.92  # that RoCE and InfiniBand reach
    port = link.bandwidth_bytes_per_s / rack.devices / share
    assert port == approx(gigabytes_per_s * 1e9, rel=0.01)
