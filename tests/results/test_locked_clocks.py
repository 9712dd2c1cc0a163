"""Idle power under clock locks: energy of devices, nodes and the meter follow the clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytest import approx

import cluster_sim
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.results import energy
from cluster_sim.results.results import load_results
from cluster_sim.results.states import READY, Course, idle_course
from tests.machines import GOVERNOR, LIMITS, POWER, SMALL_GPU, engine, node
from tests.scenarios import make_pool, make_scenario

LOWEST = 345 / 1980


def turning(clock: float) -> float:
    """f V², with V = 0.55 + 0.45 f."""
    return clock * (0.55 + 0.45 * clock) ** 2


def idle_w(clock: float) -> float:
    """50 W at the lowest clock and 100 W at the highest, in proportion to f V² between them."""
    return 50.0 + 50.0 * (turning(clock) - turning(LOWEST)) / (1.0 - turning(LOWEST))


def test_idle_power_follows_locks_while_the_model_is_loaded() -> None:
    course = Course((0.0, 2.0, 5.0), (READY, "loading", READY))
    locks = [(1.0, 0.505), (3.0, 1.0), (4.0, 0.505)]
    idle = idle_course(Power.model_validate(POWER), course, locks)
    assert idle.from_s.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    locked_w = idle_w(0.505)
    assert idle.watts == approx([100.0, locked_w, 50.0, 50.0, 50.0, locked_w])


def a_run(clock: str) -> cluster_sim.Results:
    device = SMALL_GPU | {"power": POWER, "governor": GOVERNOR, "limits": LIMITS}
    policy = {"policy": "by_phase", "prefill": clock, "decode": clock, "delay": "0 s"}
    pool = make_pool(node=node(device), replica={"engine": engine()}, frequency=policy)
    workload = {
        "arrivals": {"process": "poisson", "rate": "2 /s"},
        "prompt_tokens": 30,
        "output_tokens": 20,
    }
    return cluster_sim.simulate(
        make_scenario(workload=workload, cluster={"pools": [pool]}, duration="20 s")
    )


def test_a_locked_device_idles_at_its_clock_in_every_table(tmp_path: Path) -> None:
    results = a_run("505 MHz")
    rows, end_s = results.stretches, results.info.simulated_s
    length_s = rows["ended_s"].to_numpy() - rows["began_s"].to_numpy()
    steps_j = float(np.sum(rows["energy_j"].to_numpy()))
    (device,) = results.devices.to_pylist()
    idle_s = end_s - float(np.sum(length_s))
    clocks = results.clocks["clock"].to_numpy()
    assert set(clocks) == {0.505} and results.clocks["at_s"].to_pylist()[0] == 0.0
    assert device["energy_j"] == approx(steps_j + idle_w(0.505) * idle_s, rel=1e-9)
    (each,) = energy.nodes(results) or ()
    assert each.energy_j == approx(device["energy_j"], rel=1e-9)
    results.save(tmp_path / "run")
    stored = load_results(tmp_path / "run")
    assert stored.clocks.equals(results.clocks)
    assert stored.summary()["energy_kwh"] == approx(results.summary()["energy_kwh"], rel=1e-12)


def test_without_locks_there_is_no_table_of_clocks(tmp_path: Path) -> None:
    pool = make_pool(node=node(SMALL_GPU | {"power": POWER}), replica={"engine": engine()})
    results = cluster_sim.simulate(make_scenario(cluster={"pools": [pool]}, duration="2 s"))
    assert results.clocks.num_rows == 0
    results.save(tmp_path / "run")
    assert not (tmp_path / "run" / "clocks.parquet").exists()
