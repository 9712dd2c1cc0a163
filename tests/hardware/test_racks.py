"""Figures of whole racks, added up by hand."""

from __future__ import annotations

from pytest import approx

from cluster_sim.hardware.node import Node
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
