"""Energy of nodes: a case by mental arithmetic, nodes that are shared or half empty, the site's
PUE, and devices that say nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.results import energy
from cluster_sim.validation import MeasuredRun, read_measurements, scenario_of
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "measurements.csv.gz"

POWER = {
    "limit": "1 kW",
    "idle": "50 W",
    "loaded_idle": "100 W",
    "busy": "300 W",
    "memory": "0 J/B",
    "flop": {"bf16": "0 J/FLOP"},
}


def run(
    tmp_path: Path,
    devices: int = 1,
    nodes: int = 1,
    power: Any = POWER,
    around: Any = None,
    **changes: Any,
) -> cluster_sim.Results:
    """One request of one output token, so one step at the busy power, then nothing until the end of
    the run.
    """
    machine = node(SMALL_GPU | ({"power": power} if power else {}), devices) | (
        {"power": around} if around else {}
    )
    pool = {
        "name": "p",
        "node": machine,
        "nodes": nodes,
        "replica": {"engine": engine()},
    } | changes.pop("pool", {})
    scenario = {
        "name": "energy", "model": TINY_MODEL, "duration": "1 s",
        "workload": {"arrivals": {"process": "at_once", "requests": 2}, "prompt_tokens": 100, "output_tokens": 3},
        "cluster": {"pools": [pool], "router": {"policy": "round_robin"}},
    } | changes  # fmt: skip
    path = tmp_path / "energy.yaml"
    path.write_text(json.dumps(scenario))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def test_a_device_draws_its_busy_power_in_steps_and_its_loaded_idle_between_them(
    tmp_path: Path,
) -> None:
    results = run(tmp_path)
    (device,) = results.devices.to_pylist()
    end_s = results.info.simulated_s
    assert device["energy_j"] == approx(
        300.0 * device["busy_s"] + 100.0 * (end_s - device["busy_s"])
    )
    assert device["mean_power_w"] == approx(device["energy_j"] / end_s)
    summary = results.summary()
    assert summary["energy_kwh"] == approx(device["energy_j"] / 3.6e6)
    assert summary["energy_j_per_output_token"] == approx(device["energy_j"] / 6)
    assert summary["peak_power_w"] == approx(300.0)
    assert summary["pools"]["p"]["energy_kwh"] == approx(summary["energy_kwh"])


def test_what_surrounds_the_devices_and_the_site_is_added(tmp_path: Path) -> None:
    """Two devices at 300 of 1000 W, a base of 500 and 900 more at the limits: 600 + 500 + 900·0.3²
    = 1181 W, and a quarter for the site.
    """
    results = run(
        tmp_path, devices=2, around={"base": "500 W", "most": "1400 W"}, site={"pue": 1.25}
    )
    assert results.summary()["peak_power_w"] == approx(1.25 * 1181.0)


def test_devices_without_a_replica_idle(tmp_path: Path) -> None:
    results = run(tmp_path, devices=4, nodes=2, pool={"replicas": 5})
    nodes = energy.nodes(results)
    assert nodes is not None
    assert [one.name for one in nodes] == ["p/0", "p/1"]
    assert float(np.max(nodes[1].devices_w)) == approx(
        3 * 50.0 + 100.0
    )  # one loaded, which no request came to
    assert float(np.max(nodes[0].devices_w)) == approx(2 * 300.0 + 2 * 100.0)


def test_a_device_that_does_not_say_what_it_draws_leaves_energy_out(tmp_path: Path) -> None:
    results = run(tmp_path, power=None)
    assert "energy_kwh" not in results.summary()
    assert results.devices["energy_j"].to_pylist() == [None]
    assert set(results.stretches["energy_j"].to_pylist()) == {None}
    assert energy.nodes(results) is None


@pytest.fixture(scope="module")
def measured() -> list[MeasuredRun]:
    return read_measurements(DATA).runs


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_file(), reason="needs the measurements in ../shared")
@pytest.mark.parametrize(
    ("model", "load", "amount", "wall_w"),
    [("llama3.1-405b", "poisson", 1.9, 9566.0), ("llama3.1-8b", "queued", 0.0, 9436.0)],
)
def test_a_server_of_eight_b200_draws_at_the_wall_what_mlperf_measured(
    measured: list[MeasuredRun], model: str, load: str, amount: float, wall_w: float
) -> None:
    """SPEC PTDaemon, whole servers of MLPerf Inference v5.1; within a tenth."""
    same = (
        one
        for one in measured
        if (one.dataset, one.hardware, one.model, one.load, one.devices)
        == ("mlperf_v5_1", "B200", model, load, 8)
    )
    run = next(one for one in same if one.amount == amount)
    assert cluster_sim.simulate(scenario_of(run)).summary()["mean_power_w"] == approx(
        wall_w, rel=0.1
    )
