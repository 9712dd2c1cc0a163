"""Leakage of whole runs: energy is rows, integral and balance of heat; nothing without temperatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.device_power import PoweredSteps, power_of_steps
from cluster_sim.deployment.temperatures import temperatures
from cluster_sim.deployment.thermal_groups import thermal_groups
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.physics.thermal import Heat
from cluster_sim.results import energy
from cluster_sim.results.leakage import leakage_of_nodes
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from tests.machines import COOLING, GOVERNOR, LIMITS, POWER, SMALL_GPU, engine, node
from tests.scenarios import make_pool, make_scenario, unchecked_scenario

LEAKAGE = {"at_60": "105 W", "reference": "22 degC"}  # 1.5 W/K


def run(devices: int = 2, leakage: Any = LEAKAGE, **changes: Any) -> cluster_sim.Results:
    """Poisson arrivals for four seconds on devices of which half stand behind the others."""
    power = POWER | ({"leakage": leakage} if leakage else {})
    device = SMALL_GPU | {"power": power, "governor": GOVERNOR, "limits": LIMITS}
    machine = node(device, devices) | {
        "cooling": COOLING,
        "power": {"base": "100 W", "most": "300 W"},
    }
    pool = make_pool(node=machine, replica={"engine": engine()}) | changes.pop("pool", {})
    asked: dict[str, Any] = {
        "workload": {
            "arrivals": {"process": "poisson", "rate": "30 /s"},
            "prompt_tokens": 30,
            "output_tokens": 60,
        },
        "cluster": {"pools": [pool]},
        "duration": "4 s",
        "site": {"inlet": "30 degC"},
    }
    return cluster_sim.simulate(make_scenario(**(asked | changes)))


def energy_of_devices_j(results: cluster_sim.Results) -> float:
    return float(np.sum(results.devices["energy_j"].to_numpy()))


def test_energy_with_leakage_is_rows_table_of_temperatures_and_nodes() -> None:
    results = run()
    thermal, end_s = results.thermal, results.info.simulated_s
    bins = thermal.num_rows // 2
    of_table_j, leaked_j = (
        float(np.sum(thermal[name].to_numpy() * thermal["alike"].to_numpy())) * end_s / bins
        for name in ("power_w", "leakage_w")
    )
    without_j = energy_of_devices_j(results) - leaked_j
    busy_s = results.stretches["ended_s"].to_numpy() - results.stretches["began_s"].to_numpy()
    rows_j = float(np.sum(results.stretches["energy_j"].to_numpy()))
    assert without_j == approx(rows_j + 100.0 * (2 * end_s - float(np.sum(busy_s))), rel=1e-9)
    assert energy_of_devices_j(results) == approx(of_table_j, rel=1e-9)
    (each,) = energy.nodes(results) or ()
    devices_j = float(np.sum(each.devices_w * np.diff(each.time_s)))
    assert devices_j == approx(of_table_j, rel=1e-9)
    summary = results.summary()
    assert summary["leakage_kwh"] == approx(leaked_j / 3.6e6, rel=1e-9)
    assert leakage_of_nodes(results)["gpus/0"].energy_j == approx(leaked_j, rel=1e-9)
    assert summary["energy_kwh"] == approx(each.energy_j / 3.6e6, rel=1e-9)
    assert leaked_j > 0.005 * without_j  # 8 K warmer air than at the reference


def test_heat_and_leakage_of_a_whole_run_are_stored_or_removed() -> None:
    results = run(devices=1)
    (group,), stretches = thermal_groups(results.scenario), results.stretches
    began_s, ended_s, energy_j = (
        stretches[name].to_numpy() for name in ("began_s", "ended_s", "energy_j")
    )
    steps = PoweredSteps(began_s, ended_s, energy_j / (ended_s - began_s), 0.0 * began_s)
    own = power_of_steps(group.power, steps, 0.0, results.info.simulated_s)
    walked = temperatures(group, group.start(), own, None)
    network, lengths_s = group.network(1.0), np.diff(walked.edges_s)
    removed_j = sum(
        network.removed_j(state, Heat(watts - 40.0, 40.0, 30.0), length_s)
        for state, watts, length_s in zip(walked.states[:-1], walked.watts, lengths_s, strict=True)
    )
    stored_j = network.stored_j(walked.states[-1]) - network.stored_j(walked.states[0])
    assert energy_of_devices_j(results) == approx(stored_j + removed_j, rel=1e-9)


def test_without_temperatures_leakage_changes_nothing() -> None:
    with_figure, without = (run(leakage=leakage, site={}) for leakage in (LEAKAGE, None))
    assert "leakage_kwh" not in with_figure.summary()
    assert with_figure.devices.equals(without.devices)
    assert with_figure.stretches.equals(without.stretches)
    assert "leakage_kwh" not in run(leakage=None).summary()


def test_colder_dies_leak_less_than_the_boards_that_were_measured() -> None:
    summary = run(site={"inlet": "10 degC"}).summary()
    assert summary["leakage_kwh"] < 0.0


@pytest.mark.slow
def test_stretch_and_step_leak_the_same() -> None:
    stretched, stepped = (run(stepping=stepping) for stepping in ("stretch", "step"))
    assert stretched.summary()["throttled_fraction"] > 0.0
    assert stretched.summary()["leakage_kwh"] == approx(stepped.summary()["leakage_kwh"], rel=1e-6)
    for name in ("first_token_s", "finish_s"):
        assert stretched.requests[name].to_numpy() == approx(
            stepped.requests[name].to_numpy(), rel=1e-9
        )


def test_a_device_that_is_off_does_not_leak() -> None:
    """The second node is added when the first one is full, so it is off at first."""
    scaling = {
        "metric": "queue",
        "target": 1,
        "min": 1,
        "max": 2,
        "initial": 1,
        "period": "200 ms",
        "provision": "100 ms",
    }
    scaled = {"nodes": 2, "autoscale": scaling}
    results = run(devices=1, pool=scaled)
    thermal, end_s = results.thermal, results.info.simulated_s
    bins = thermal.num_rows // 2
    first_off = thermal["power_w"].to_numpy()[bins:] == 0.0
    assert first_off.any()
    assert np.all(thermal["leakage_w"].to_numpy()[bins:][first_off] == 0.0)
    of_table_j = float(np.sum(thermal["power_w"].to_numpy())) * end_s / bins
    nodes = energy.nodes(results) or []
    of_nodes_j = sum(float(np.sum(each.devices_w * np.diff(each.time_s))) for each in nodes)
    assert of_nodes_j == approx(of_table_j, rel=1e-9)


def test_a_device_that_would_run_away_is_refused_by_name() -> None:
    """17.9 W/K through 0.02 + 0.03 + 0.01 K/W and the way over the memory."""
    power = POWER | {"leakage": {"at_60": "1400 W", "reference": "22 degC"}}
    machine = node(SMALL_GPU | {"power": power}) | {"cooling": COOLING}
    pools = [make_pool(node=machine)]
    hot = unchecked_scenario(cluster={"pools": pools}, site={"inlet": "30 degC"})
    (fault,) = (text for trail, text in faults_of(hot) if trail[-1] == "node")
    assert "leakage of" in fault and "has no steady state" in fault
    assert not list(faults_of(hot.model_copy(update={"site": None})))


def test_temperatures_within_a_long_stretch_are_those_of_its_steps() -> None:
    """One stretch of 6,000 steps, in which power grows with the context."""
    keys = {
        "name": "long",
        "model": "llama-3.1-8b",
        "workload": {
            "arrivals": {"process": "at_once", "requests": 8},
            "prompt_tokens": 100,
            "output_tokens": 6000,
        },
        "cluster": {"pools": [{"name": "p", "node": "dgx-b200", "replicas": 1, "replica": {"tensor_parallel": 1}}]},
        "site": {"inlet": "30 degC"},
    }  # fmt: skip
    long, short = (
        cluster_sim.simulate(describe(Scenario, Document(keys | {"stepping": stepping}, "test")))
        for stepping in ("stretch", "step")
    )
    assert long.stretches.num_rows < 0.01 * short.stretches.num_rows
    one, two = long.summary(), short.summary()
    for name in ("max_die_c", "max_memory_c"):
        assert one[name] == approx(two[name], abs=1e-3)
    assert one["leakage_kwh"] == approx(two["leakage_kwh"], rel=1e-6)
