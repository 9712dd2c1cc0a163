"""Shares of licences, support, mark-up and porting in a bill: scenarios/cuda_tax.yaml by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.economics.ownership import OF_THE_STACK, total
from cluster_sim.results.cost import usd_per_hour
from cluster_sim.schema import read_yaml

FILE = Path(__file__).parents[2] / "scenarios" / "cuda_tax.yaml"
POOL = "cluster.pools[0]"

# USD per hour of one machine at rated power, of an owner of ten with one engineer. Five years are
# 43,800 h; capital recovery factors at 5 % are 0.230975 for five years and 0.096342 for fifteen.
# A DGX B200 of 515,000 USD loses 80 % of its price, a CS-3 of 2,500,000 USD 90 %.
DGX = {
    "machines": 515_000 * 0.8 / 43_800,
    "networking": 0.13 * 0.7 * 9.40639,
    "networking_mark_up": 0.13 * 0.3 * 9.40639,
    "storage": 0.015 * 9.40639,
    "spares": 0.09 * 8 * 10 / 365 * 9.40639,
    "facility": 14_300 * 20.8 / 131_400,
    "cost_of_capital": (599_834 * (1 - 0.2 * 0.783526) * 0.230975 - 599_834 * 0.16) / 8760
    + 297_440 * (0.0963423 - 1 / 15) / 8760,
    "licences": 8 * 4500 / 8760,
    "support": 0.05 * 515_000 / 8760,
    "porting": 0.0,
    "staffing": 20_000 / 8760,
    "electricity": 14.3 * 0.0685,
}
CS3 = {
    "machines": 2_500_000 * 0.9 / 43_800,
    "networking": 0.03 * 51.36986,
    "networking_mark_up": 0.0,
    "storage": 0.015 * 51.36986,
    "spares": 0.1 * 10 / 365 * 51.36986,
    "facility": 23_000 * 20.8 / 131_400,
    "cost_of_capital": (2_619_349 * (1 - 0.1 * 0.783526) * 0.230975 - 2_619_349 * 0.18) / 8760
    + 478_400 * (0.0963423 - 1 / 15) / 8760,
    "licences": 0.0,
    "support": 0.05 * 2_500_000 / 8760,
    "porting": 2_000_000 / (43_800 * 10),
    "staffing": 20_000 / 8760,
    "electricity": 23 * 0.0685,
}


def bill(variant: str, machines: int, staffing: str) -> dict[str, float]:
    """Cost of one machine by what it pays for, of an owner of several [USD/h]."""
    changes = {f"{POOL}.prices.porting_nodes": machines, f"{POOL}.prices.staffing": staffing}
    scenario = cluster_sim.load_scenario(FILE, variant, changes)
    (pool,) = scenario.cluster.pools
    parts = usd_per_hour(pool, scenario.site)
    assert parts is not None
    return {name: float(part[0]) / pool.nodes for name, part in parts.items()}


def stack(parts: dict[str, float]) -> float:
    return sum(parts.get(part, 0.0) for part in OF_THE_STACK) / sum(parts.values())


@pytest.mark.parametrize(("variant", "by_hand"), [("dgx", DGX), ("cs3", CS3)])
def test_the_parts_of_a_bill_and_their_sum_are_those_by_hand(
    variant: str, by_hand: dict[str, float]
) -> None:
    parts = bill(variant, 10, "20000 USD/year")
    assert parts == approx(by_hand, rel=1e-4)
    assert float(total(parts)) == approx(sum(by_hand.values()), rel=1e-4)


def test_shares_of_the_stack_by_hand() -> None:
    """A DGX B200 at 24.866 USD per hour: licences 4.110, support 2.940, mark-up 0.367 are 29.8 %.
    A CS-3 with ten systems at 91.61: support 14.269 and porting 4.566 are 20.6 %; with a thousand
    at 85.03: 14.269 and 0.046 are 16.8 %.
    """
    usual = "2000 USD/year"
    assert stack(bill("dgx", 100, usual)) == approx((4.1096 + 2.9395 + 0.3668) / 24.866, abs=1e-4)
    assert stack(bill("cs3", 10, "20000 USD/year")) == approx(18.8356 / 91.609, abs=1e-4)
    assert stack(bill("cs3", 1000, usual)) == approx(14.3151 / 85.033, abs=1e-4)


def test_all_machines_get_the_same_parts() -> None:
    """Each has porting that is shared by the owner's machines, and the same staff."""
    for variant in ("dgx", "hgx", "cs3"):
        scenario = cluster_sim.load_scenario(FILE, variant)
        offer = scenario.cluster.pools[0].offer
        assert offer is not None and offer.basis == "owned"
        assert (offer.porting_nodes, offer.porting_usd.high > 0) == (100, True)
        assert offer.support.high > 0 and offer.staffing_usd_per_hour.value == approx(2000 / 8760)


def test_the_sweeps_axes_are_sizes_of_an_owner_with_at_least_one_engineer() -> None:
    """An engineer of 200,000 USD per year for 100 machines is 20,000 each for ten of them."""
    axes = read_yaml(FILE).data["sweep"]["axes"][1]
    sizes, staff = axes[f"{POOL}.prices.porting_nodes"], axes[f"{POOL}.prices.staffing"]
    for machines, cost in zip(sizes, staff, strict=True):
        assert float(cost.split()[0]) == approx(max(200_000 / machines, 2000))
