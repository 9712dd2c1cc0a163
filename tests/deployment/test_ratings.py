"""Inlets that leave the range for which the maker of a node rates it."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.deployment.ratings import excursion, rating_text, rating_warnings
from cluster_sim.hardware.node import Node
from cluster_sim.hardware.power_and_cooling import InletRating
from cluster_sim.loading.files import load_scenario
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, catalog_entry, describe
from tests.machines import COOLING, POWER, SMALL_GPU, node
from tests.scenarios import make_pool, make_scenario

RATED = {"least": "10 degC", "most": "30 degC"}


def rated(site: dict[str, Any] | None, rating: dict[str, str] | None = RATED) -> Scenario:
    """One node with a rating, at a site; the run may last from 0 to 20 s."""
    machine = node(SMALL_GPU | {"power": POWER}, 1) | {"cooling": COOLING}
    if rating is not None:
        machine["inlet_rating"] = rating
    changes = {} if site is None else {"site": site}
    pools = [make_pool(node=machine)]
    return make_scenario(cluster={"pools": pools}, drain="10 s", **changes)


def test_a_rating_holds_at_both_of_its_ends() -> None:
    for inlet in ("10 degC", "20 degC", "30 degC"):
        scenario = rated({"inlet": inlet})
        assert list(rating_warnings(scenario)) == []
        assert rating_text(scenario) == "within"


def test_air_that_is_too_warm_is_said_with_its_amount_and_its_time() -> None:
    scenario = rated({"inlet": "35 degC"})
    assert rating_text(scenario) == "5 K above, all the time"
    [warning] = rating_warnings(scenario)
    assert "35 degC, 5 K above the 30 degC" in warning
    assert "outside of what the machine is built for" in warning


def test_air_that_is_too_cold_is_below_the_rating() -> None:
    assert rating_text(rated({"inlet": "7.5 degC"})) == "2.5 K below, all the time"


def test_a_rise_of_the_inlet_leaves_the_rating_while_it_lasts() -> None:
    rise = {"at": "4 s", "lasts": "6 s", "what": "inlet_rise", "rise": "12 K"}
    scenario = rated({"inlet": "25 degC", "events": [rise]})
    outside = excursion(scenario, scenario.cluster.pools[0])
    assert outside is not None
    assert outside.worst_c == approx(37.0)
    assert outside.distance_kelvin == approx(7.0)
    assert (outside.from_s, outside.until_s, outside.outside_s) == (4.0, 10.0, 6.0)
    assert rating_text(scenario) == "7 K above, 4 s to 10 s"


def test_the_worst_of_a_schedule_counts_and_the_times_are_added() -> None:
    course = [["0 s", "31 degC"], ["2 s", "20 degC"], ["5 s", "5 degC"], ["6 s", "20 degC"]]
    scenario = rated({"inlet": {"points": course}})
    assert rating_text(scenario) == "5 K below, 3 s in all between 0 s and 6 s"


def test_a_failed_fan_alone_does_not_leave_the_rating() -> None:
    failure = {"at": "1 s", "lasts": "5 s", "what": "fan_failure", "factor": 0.5}
    assert rating_text(rated({"inlet": "30 degC", "events": [failure]})) == "within"


def test_a_node_without_a_rating_is_said_to_have_none() -> None:
    scenario = rated({"inlet": "50 degC"}, rating=None)
    assert rating_text(scenario) == "not known"
    assert ["is not known" in warning for warning in rating_warnings(scenario)] == [True]


def test_nothing_is_said_without_temperatures() -> None:
    scenario = rated(None)
    assert rating_text(scenario) == "-"
    assert list(rating_warnings(scenario)) == []


def test_a_rating_whose_ends_are_swapped_is_refused() -> None:
    with pytest.raises(Exception, match="expected 'least' below 'most'"):
        describe(InletRating, Document({"least": "30 degC", "most": "5 degC"}, "test"))


@pytest.mark.parametrize(
    ("name", "most_c"),
    [("dgx-a100", 30), ("dgx-h100", 30), ("dgx-h200", 30), ("dgx-b200", 30), ("gb200-nvl72", 45)],
)
def test_nodes_of_the_catalog_know_their_ratings(name: str, most_c: float) -> None:
    rating = describe(Node, Document(catalog_entry("nodes", name), name)).inlet_rating
    assert rating is not None
    assert rating.most_c == most_c


def test_shipped_scenarios_inside_a_rating_warn_of_nothing() -> None:
    scenario = load_scenario("example:thermal_burst", "h100-30C")
    assert list(rating_warnings(scenario)) == []


@pytest.mark.parametrize(("air", "warns"), [(0.3, False), (0.001, True)])
def test_air_that_is_too_little_for_idle_devices_is_warned_of(air: float, warns: bool) -> None:
    """An idle H100 of 72 W passes 95 degC where its coolant alone warms by more than 1 K/W."""
    event = {"at": "1 s", "lasts": "1 h", "what": "fan_failure", "factor": air}
    scenario = load_scenario("example:thermal_burst", "h100-30C", {"site.events": [event]})
    found = [warning for warning in rating_warnings(scenario) if "idle devices" in warning]
    assert len(found) == warns
