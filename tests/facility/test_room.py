"""A site with a cooling plant: inlet, PUE, water, cost and CO2 follow the weather and the hour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim import figures
from cluster_sim.cli.pue_rows import pue_text
from cluster_sim.deployment.climate import climate_of
from cluster_sim.deployment.room_warnings import room_warnings
from cluster_sim.deployment.site_plant import SitePlant
from cluster_sim.errors import ScenarioError
from cluster_sim.results import energy
from cluster_sim.results.cost import planned_usd_per_hour
from tests.machines import (
    COOLING,
    GOVERNOR,
    LIMITS,
    POWER,
    SMALL_GPU,
    TINY_MODEL,
    engine,
    node,
)

STEADY = {
    "limit": "1 kW", "idle": "300 W", "loaded_idle": "300 W", "busy": "300 W", "memory": "0 J/B",
    "flop": {"bf16": "0 J/FLOP"},
}  # fmt: skip
"""Power of a device that always draws 300 W."""
BARE_DRY: dict[str, Any] = {
    "kind": "dry_cooler", "approach": "10 K", "dry_fan": 0.1, "water_pump": 0.0, "air_handler": {"fan": 0.0},
}  # fmt: skip
"""Dry cooler whose only power is that of its fans."""
KINDS = ("chiller", "air_cooled_chiller", "dry_cooler", "tower")


def scenario(tmp_path: Path, site: Any, power: Any = STEADY, **changes: Any) -> Any:
    machine = node(SMALL_GPU | {"power": power}) | changes.pop("of_node", {})
    pool = {"name": "p", "node": machine, "nodes": 1, "replica": {"engine": engine()}}
    content = {
        "name": "room", "model": TINY_MODEL, "duration": "100 s",
        "workload": {"arrivals": {"process": "poisson", "rate": "0.2 /s"}, "prompt_tokens": 100, "output_tokens": 3},
        "cluster": {"pools": [pool], "router": {"policy": "round_robin"}}, "site": site,
    } | changes  # fmt: skip
    path = tmp_path / "room.yaml"
    path.write_text(json.dumps(content))
    return cluster_sim.load_scenario(path)


def room(cooling: Any, mean: str = "20 degC", **changes: Any) -> dict[str, Any]:
    return {"inlet": "38 degC", "weather": {"mean": mean}, "cooling": cooling} | changes


def test_the_pue_of_a_dry_cooler_by_arithmetic(tmp_path: Path) -> None:
    """Water of 30 degC, 10 K above the air: fans turn at 0.3 for 0.3 of the heat, and draw
    0.1 kW · (0.0013 + 0.1470 · 0.3 + 0.9506 · 0.09 - 0.0998 · 0.027) = 12.826 W. UPS and
    transformers lose 300 W · (0.02 + 0.03 · 0.09) = 6.81 W.
    """
    results = cluster_sim.simulate(scenario(tmp_path, room(BARE_DRY)))
    summary, hours = results.summary(), results.info.simulated_s / 3600
    assert summary["mean_pue"] == approx(1.0 + (12.826 + 6.81) / 300.0, rel=1e-4)
    assert summary["energy_kwh"] == approx(0.3 * hours * summary["mean_pue"])
    assert summary["cooling_kwh"] == approx(0.012826 * hours, rel=1e-4)
    assert summary["peak_power_w"] == approx(300.0 * summary["mean_pue"])
    assert summary["water_l"] == 0.0
    assert summary["pools"]["p"]["energy_kwh"] == approx(summary["energy_kwh"])


def test_a_tower_needs_1_84_litres_per_kilowatt_hour_of_heat(tmp_path: Path) -> None:
    tower = BARE_DRY | {"kind": "tower", "tower_fan": 0.0, "tower_pump": 0.0}
    del tower["dry_fan"]
    results = cluster_sim.simulate(scenario(tmp_path, room(tower)))
    hours = results.info.simulated_s / 3600
    assert results.summary()["water_l"] == approx(1.837 * 0.3 * hours, rel=1e-3)
    assert results.summary()["cooling_kwh"] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_pue_is_at_least_1_and_highest_at_low_load(kind: str, tmp_path: Path) -> None:
    made = scenario(tmp_path, room({"kind": kind}, mean="28 degC", inlet="30 degC"))
    plant = SitePlant.of(made)
    assert plant is not None
    loads = np.linspace(0.02, 1.0, 50)
    edges_s = np.arange(51) * 1e-3
    pue = plant.course(edges_s, {"air": 1000.0 * loads, "liquid": 0.0 * loads}).pue
    assert np.all(pue >= 1.0)
    assert pue[0] == np.max(pue)
    assert pue[0] > pue[25] + 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_a_plant_draws_no_more_in_colder_weather(kind: str, tmp_path: Path) -> None:
    pues = []
    for mean in ("-5 degC", "5 degC", "15 degC", "25 degC", "35 degC"):
        plant = SitePlant.of(scenario(tmp_path, room({"kind": kind}, mean, inlet="26 degC")))
        assert plant is not None
        load = np.array([600.0])
        course = plant.course(np.array([0.0, 1.0]), {"air": load, "liquid": 0.0 * load})
        pues.append(float(course.pue[0]))
    assert pues == sorted(pues)
    assert pues[-1] > pues[0]


def test_nodes_get_the_set_point_or_what_a_dry_cooler_reaches(tmp_path: Path) -> None:
    """A mean of 20, a swing of 10 K: outside 30 degC at noon, and air of 30 + 10 + 8 degC."""
    weather = {"mean": "20 degC", "day_swing": "10 K", "hottest_hour": 12.0}
    site = room(BARE_DRY, inlet="40 degC", weather=weather, begins="06-01 00:00")
    made = scenario(
        tmp_path, site, of_node={"cooling": COOLING, "power": {"base": "1 W", "most": "2 W"}}
    )
    climate = climate_of(made, made.cluster.pools[0], 0)
    assert climate.conditions(0.0).supply_c == 40.0
    assert climate.conditions(12 * 3600.0).supply_c == approx(48.0, abs=0.02)
    assert climate.worst.supply_c == approx(48.0, abs=0.02)  # within the day after the run
    # nothing changes until the air is warmer than 40 - 18 = 22 degC
    began_s = climate.next_change_s(0.0)
    assert 0.0 < began_s % 86400.0 < 12 * 3600.0
    assert climate.conditions(began_s - 1.0).supply_c == 40.0
    assert climate.conditions(began_s).supply_c > 40.0
    assert climate.next_change_s(began_s) == began_s + 300.0
    assert climate.next_change_s(400 * 86400.0) < 402 * 86400.0  # the year repeats


def test_only_the_weather_of_the_run_decides_whether_devices_are_watched(tmp_path: Path) -> None:
    weather = {"mean": "10 degC", "year_swing": "20 K", "hottest_day": 196.0}
    for begins, wanted_c in (("07-16 00:00", 48.0), ("01-14 00:00", 20.0)):
        site = room(BARE_DRY, inlet="20 degC", weather=weather, begins=begins)
        made = scenario(tmp_path, site, of_node={"cooling": COOLING})
        worst = climate_of(made, made.cluster.pools[0], 0).worst
        assert worst.supply_c == approx(wanted_c, abs=0.1)


def test_nodes_that_are_off_leave_the_plant_with_its_fixed_parts(tmp_path: Path) -> None:
    plant = SitePlant.of(scenario(tmp_path, room({"kind": "chiller"})))
    assert plant is not None
    off = plant.course(np.array([0.0, 1.0]), {"air": np.zeros(1), "liquid": np.zeros(1)})
    assert off.overhead_w[0] > 0.0
    assert off.pue[0] == float("inf")


def test_a_chiller_reaches_its_set_point_in_any_weather(tmp_path: Path) -> None:
    made = scenario(
        tmp_path,
        room({"kind": "chiller"}, "45 degC", inlet="25 degC"),
        of_node={"cooling": COOLING},
    )
    climate = climate_of(made, made.cluster.pools[0], 0)
    assert climate.conditions(0.0).supply_c == 25.0
    assert climate.next_change_s(0.0) == float("inf")


def test_the_daily_course_of_the_inlet_begins_at_the_hour_of_the_site(tmp_path: Path) -> None:
    inlet = {"mean": "25 degC", "swing": "5 K", "peak_hour": 15}
    made = scenario(tmp_path, {"inlet": inlet, "begins": "03-01 15:00"})
    assert climate_of(made, made.cluster.pools[0], 0).conditions(0.0).supply_c == approx(
        30.0, abs=0.01
    )


def test_cost_and_co2_are_those_of_the_hour(tmp_path: Path) -> None:
    """A run that begins 40 s before midnight: free before, 1 USD/kWh and 500 g/kWh after."""
    path = tmp_path / "hours.csv"
    path.write_text(
        "usd_per_kwh,g_per_kwh\n"
        + "".join(f"{int(hour == 0)},{500 * (hour == 0)}\n" for hour in range(24))
    )
    prices = {
        "basis": "owned", "name": "x", "year": 2026, "purchase": "1 USD", "life": "1 year", "rated": "1 kW",
        "electricity": "9 USD/kWh",
    }  # fmt: skip
    hours = {"electricity": "hours.csv", "carbon_intensity": "hours.csv"}
    made = scenario(tmp_path, hours | {"begins": "01-01 23:59"}, of_node={"prices": prices})
    results = cluster_sim.simulate(made)
    end_s, summary = results.info.simulated_s, results.summary()
    assert end_s > 60.0
    after_kwh = 0.3 * (end_s - 60.0) / 3600.0
    assert summary["co2_kg"] == approx(0.5 * after_kwh)
    assert summary["usd_per_hour_parts"]["electricity"] == approx(after_kwh / (end_s / 3600.0))


def test_a_planned_cost_has_the_mean_pue_of_a_year_at_full_power(tmp_path: Path) -> None:
    """In air that never changes: fans at full speed draw 10 % and UPS and transformers lose 5 %."""
    prices = {
        "basis": "owned", "name": "x", "year": 2026, "purchase": "0 USD", "life": "1 year", "rated": "1 kW",
        "electricity": "1 USD/kWh",
    }  # fmt: skip
    made = scenario(tmp_path, room(BARE_DRY), of_node={"prices": prices})
    assert planned_usd_per_hour(made) == approx(1.15, rel=0.001)


def test_prices_by_the_hour_alone_leave_the_energy_as_it_is(tmp_path: Path) -> None:
    plain = cluster_sim.simulate(scenario(tmp_path, {"pue": 1.25})).summary()
    course = {"mean": "0.07 USD/kWh", "swing": "0.02 USD/kWh"}
    hourly = cluster_sim.simulate(scenario(tmp_path, {"pue": 1.25, "electricity": course}))
    assert hourly.summary()["energy_kwh"] == plain["energy_kwh"]
    assert "mean_pue" not in plain


def test_a_failed_fan_draws_the_cube_of_its_flow(tmp_path: Path) -> None:
    """Surroundings of 500 W + 500 W · 0.3² = 545 W, of which fans draw 40 %; at half flow they draw
    an eighth: 545 W · (1 - 0.4 · 0.875).
    """
    around = {"base": "500 W", "most": "1000 W", "fans": "400 W"}
    event = {"at": "10 s", "lasts": "1 h", "what": "fan_failure", "factor": 0.5}
    made = scenario(tmp_path, {"events": [event]}, of_node={"power": around, "cooling": COOLING})
    (power,) = energy.nodes(cluster_sim.simulate(made)) or []
    at = np.searchsorted(power.time_s, [9.0, 11.0], side="right") - 1
    assert power.watts[at[0]] == approx(300.0 + 545.0)
    assert power.watts[at[1]] == approx(300.0 + 545.0 * (1.0 - 0.4 * 0.875))
    assert float(power.time_s[-1]) < 3600.0


def test_a_failure_of_fans_leaves_nodes_with_liquid_as_they_are(tmp_path: Path) -> None:
    event = {"at": "0 s", "lasts": "1 h", "what": "fan_failure", "factor": 0.5}
    made = scenario(tmp_path, {"inlet": "25 degC", "events": [event]}, of_node={"cooling": COOLING})
    (pool,) = made.cluster.pools
    liquid = pool.node.cooling.model_copy(update={"medium": "liquid"})
    wet = pool.model_copy(update={"node": pool.node.model_copy(update={"cooling": liquid})})
    assert climate_of(made, pool, 0).conditions(1.0).flow == 0.5
    assert climate_of(made, wet, 0).conditions(1.0).flow == 1.0


@pytest.mark.parametrize(
    ("site", "wanted"),
    [
        (room(BARE_DRY, pue=1.2), "got 'pue' and 'cooling'; expected one of them"),
        ({"cooling": BARE_DRY, "inlet": "30 degC"}, "'cooling' needs 'weather'"),
        ({"weather": "greensboro"}, "'weather' has no effect without 'cooling'"),
        (room(BARE_DRY, weather="grensboro"), "no weather 'grensboro' in the catalog"),
        (room(BARE_DRY, begins="02-29 00:00"), "got '02-29 00:00'; expected month, day and time"),
        (room(BARE_DRY | {"supply": "31 degC"}), "expected at most 30 degC: the inlet of 38 degC"),
        (room(BARE_DRY | {"capacity": "900 W"}), "expected at least 1.0 kW, the maximum power"),
        ({"weather": "greensboro", "cooling": BARE_DRY}, "expected 'inlet', the set point"),
        (
            {"begins": "01-01 01:00", "inlet": {"mean": "20 degC", "begins_hour": 2}},
            "expected only 'begins'",
        ),
    ],
)
def test_a_room_that_cannot_be_is_refused_and_why(site: Any, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, site)
    assert wanted in str(caught.value)


def test_a_plant_needs_the_power_of_every_device(tmp_path: Path) -> None:
    pool = {"name": "p", "node": node(SMALL_GPU), "nodes": 1, "replica": {"engine": engine()}}
    with pytest.raises(ScenarioError, match="small GPU has no power model"):
        scenario(tmp_path, room(BARE_DRY), cluster={"pools": [pool]})


def test_warnings_name_water_outside_of_the_curves_and_warm_air(tmp_path: Path) -> None:
    (text,) = room_warnings(scenario(tmp_path, room({"kind": "chiller"})))
    assert "water of 30.0 degC is outside the chiller's range of 5.56 to 10 degC" in text
    (text,) = room_warnings(scenario(tmp_path, room(BARE_DRY, mean="30 degC")))
    assert "above the set point of 38 degC in 100 % of the year at full load" in text
    assert list(room_warnings(scenario(tmp_path, room(BARE_DRY)))) == []


def test_a_warning_names_events_of_cooling_that_heat_nothing(tmp_path: Path) -> None:
    rise = {"at": "1 s", "lasts": "5 s", "what": "inlet_rise", "rise": "5 K"}
    (text,) = room_warnings(scenario(tmp_path, {"events": [rise, rise]}))
    assert "inlet_rise heats nothing" in text and "expected an inlet" in text
    warmed = {"events": [rise], "inlet": "20 degC"}
    assert list(room_warnings(scenario(tmp_path, warmed))) == []


def test_the_run_table_says_which_pue_holds(tmp_path: Path) -> None:
    for site, wanted in (
        ({"pue": 1.25}, "1.25 of the site"),
        ({}, "1.0: no cooling plant counted"),
        (room(BARE_DRY), "1.07 mean of the plant"),
    ):
        made = scenario(tmp_path, site)
        assert pue_text(cluster_sim.simulate(made).summary(), made) == wanted


def test_the_figure_of_the_room_has_the_mean_pue_or_says_that_there_is_no_plant(
    tmp_path: Path,
) -> None:
    for site, wanted in ((room(BARE_DRY), "Mean PUE: room 1.07"), ({}, "no cooling plant")):
        figure = figures.draw("room", cluster_sim.simulate(scenario(tmp_path, site)))
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        titles = [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center")]
        assert wanted in " ".join([*texts, *titles, *(t.get_text() for t in figure.texts)])


def test_a_room_that_was_written_out_reads_back_the_same(tmp_path: Path) -> None:
    made = scenario(tmp_path, room({"kind": "tower", "cycles": 4.0}, begins="07-18 12:30"))
    (tmp_path / "again.yaml").write_text(made.as_yaml())
    assert cluster_sim.load_scenario(tmp_path / "again.yaml").site == made.site


def test_stretches_equal_steps_in_weather_that_throttles(tmp_path: Path) -> None:
    gpu = SMALL_GPU | {"limits": LIMITS, "governor": GOVERNOR}
    machine = {"device": gpu | {"power": POWER}, "cooling": COOLING}
    weather = {"mean": "20 degC", "day_swing": "10 K", "hottest_hour": 12.0}
    site = room(BARE_DRY, inlet="20 degC", weather=weather, begins="06-01 10:00")
    ends = []
    for stepping in ("stretch", "step"):
        made = scenario(tmp_path, site, of_node=machine, stepping=stepping, duration="30 s")
        results = cluster_sim.simulate(made)
        summary = results.summary()
        ends.append((results.info.simulated_s, summary["energy_kwh"], summary["max_die_c"]))
    assert ends[0] == approx(ends[1], rel=1e-9)
    assert summary["throttled_fraction"] > 0.0
