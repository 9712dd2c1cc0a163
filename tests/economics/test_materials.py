"""No offer costs less than the materials of its machine, in the catalog or in a user's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.economics.prices import Prices
from cluster_sim.hardware.node import Node
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import catalog_entry, catalog_names
from tests.commands import call
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

RENT = {"basis": "rented", "name": "mine", "year": 2026}

# The offers of the catalog for nodes whose materials are known.
OFFERS = {
    "cs-3": ("cs-3-contract", "cs-3-list", "cs-3-materials"),
    "dgx-h100": ("dgx-h100-owned", "dgx-h100-materials", "h100-rented"),
    "dgx-b200": ("dgx-b200-owned", "dgx-b200-materials", "hgx-b200-owned", "b200-rented"),
}


def offer(node: str, prices: Any) -> Pool:
    return Pool.model_validate({"name": "p", "node": node, "prices": prices})


def materials(node: str) -> Prices:
    found = Node.model_validate(catalog_entry("nodes", node)).materials
    assert found is not None
    return found


# By hand, USD per hour. A CS-3: 450,000 · (1 + 0.13 + 0.015 + 0.00274 spares) over five years are
# 11.792; at 5 % interest the capital recovery factor is 0.23097 instead of 0.2, 1.826 more. 23 kW
# of facility at 20.8 USD per W over fifteen years are 3.641, with interest 1.621 more (0.09634
# instead of 0.06667). Electricity 1.576, support of 2 % a year 1.027, staff of 2,000 a year 0.228.
# A DGX H100, the same with 80,000 USD, 0.01973 spares (0.09 · 8 / 36.5) and 10.2 kW; a DGX B200
# with 80,000 + 8 · (6,400 - 3,320) = 104,640 USD and 14.3 kW.
BY_HAND = {
    "cs-3": 11.792 + 1.826 + 3.641 + 1.621 + 1.576 + 1.027 + 0.228,
    "dgx-h100": 2.127 + 0.329 + 1.615 + 0.719 + 0.699 + 0.183 + 0.228,
    "dgx-b200": 2.782 + 0.431 + 2.264 + 1.008 + 0.980 + 0.239 + 0.228,
}


@pytest.mark.parametrize(("node", "usd_per_hour"), BY_HAND.items())
def test_materials_cost_what_they_do_by_hand(node: str, usd_per_hour: float) -> None:
    devices = offer(node, None).node.devices
    assert materials(node).written_usd_per_hour(devices) == approx(usd_per_hour, abs=0.01)


@pytest.mark.parametrize("node", catalog_names("nodes"))
def test_every_offer_for_a_device_with_known_materials_is_checked(node: str) -> None:
    """An offer names its device, or the node, in its own name: `B200, rented`."""
    machine = Node.model_validate(catalog_entry("nodes", node))
    assert (machine.materials is not None) == (node in OFFERS)
    if machine.materials is None:
        return
    device = machine.name.split()[-1]
    named = {
        prices
        for prices in catalog_names("prices")
        if device in str(catalog_entry("prices", prices)["name"]).replace(",", " ").split()
    }
    assert named == set(OFFERS[node])


@pytest.mark.parametrize(
    ("node", "prices"), [(node, prices) for node in BY_HAND for prices in OFFERS[node]]
)
def test_no_offer_of_the_catalog_costs_less_than_its_materials(node: str, prices: str) -> None:
    assert offer(node, prices).offer_below_materials is None


def test_an_offer_below_the_cost_of_its_materials_is_named_with_both_figures() -> None:
    """The contract of Cerebras as it was first announced: 10 billion USD, 14.00 per hour."""
    announced = offer("cs-3", {"like": "cs-3-contract", "amount": "10e9 USD"})
    assert announced.offer_below_materials == (
        "'like CS-3 by contract' costs 14.00 USD/h per node; expected at least 21.71 USD/h, the "
        "cost of 'CS-3 at cost of materials'. Check the prices and their units"
    )


def test_nothing_is_said_of_a_node_whose_materials_are_unknown() -> None:
    assert offer("mi300x-8", RENT | {"rental": "0.01 USD/h"}).offer_below_materials is None


@pytest.mark.parametrize(("rental", "is_below"), [("1.99 USD/h", True), ("2 USD/h", False)])
def test_a_scenario_warns_of_a_users_own_price_below_the_materials(
    rental: str, is_below: bool, tmp_path: Path
) -> None:
    """Two devices at 1.99 USD per hour are 3.98 per node; its materials are two at 2 USD."""
    machine = node(SMALL_GPU, 2) | {
        "materials": RENT | {"name": "parts", "rental": "2 USD/h"},
        "prices": RENT | {"rental": rental},
    }
    path = tmp_path / "mine.yaml"
    pool = {"name": "p", "node": machine, "replica": {"tensor_parallel": 2, "engine": engine()}}
    arrivals = {"process": "closed_loop", "concurrency": 1, "requests": 1}
    scenario = {
        "name": "mine", "model": TINY_MODEL, "cluster": {"pools": [pool]},
        "workload": {"arrivals": arrivals, "prompt_tokens": 10, "output_tokens": 5},
    }  # fmt: skip
    path.write_text(json.dumps(scenario))
    warnings = list(cluster_sim.load_scenario(path).warnings())
    expected = "prices of pool p: 'mine' costs 3.98 USD/h per node; expected at least 4.00 USD/h"
    assert any(text.startswith(expected) for text in warnings) == is_below
    assert any("prices of pool" in text for text in warnings) == is_below


def test_check_warns_of_a_file_of_prices_below_the_materials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file of a user, 9 USD per hour for a CS-3."""
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nbasis: rented\nyear: 2026\nrental: 9 USD/h\n", encoding="utf-8"
    )
    file = Path(__file__).parents[2] / "scenarios" / "wafers_and_kv.yaml"
    sets = ("--set", f"cluster.pools[0].prices={tmp_path / 'mine.yaml'}")
    code, _, told = call(capsys, "check", str(file), *sets)
    assert code == 0
    expected = "prices of pool cs3: 'mine' costs 9.00 USD/h per node; expected at least 21.71 USD/h"
    assert expected in " ".join(told.split())
