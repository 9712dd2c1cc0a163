"""Power caps: shared among nodes by hand, kept by every stretch, and no difference where they do
not bind.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment import power_caps as caps
from cluster_sim.deployment.power_caps import NodeDraw, shared_w
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import clocked_w, voltage
from cluster_sim.physics.step_power import own_clock, step_w
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

# Arithmetic at 1 GFLOP/s draws 200 W more, at 0.55 + 0.45·clock of the voltage; what is read 100 W.
POWER = {
    "limit": "400 W", "idle": "50 W", "loaded_idle": "80 W", "busy": "100 W", "active": "100 W", "memory": "100 nJ/B", "flop": {"bf16": "200 nJ/FLOP"},
}  # fmt: skip
GOVERNOR = {
    "clock": "1 GHz", "floor": "0.2 GHz", "step": "15 MHz", "power_period": "5 ms", "fall_period": "50 ms", "rise_period": "100 ms", "hysteresis": "3 K",
    "slowdown_factor": 0.5, "slowdown_hold": "1 s",
}  # fmt: skip


def run(
    tmp_path: Path, nodes: int = 1, pool: dict[str, Any] | None = None, **changes: Any
) -> cluster_sim.Results:
    machine = node(SMALL_GPU | {"power": POWER, "governor": GOVERNOR}) | {
        "power": {"base": "100 W", "most": "100 W"}
    }
    asked = {
        "name": "cap", "seed": 4, "model": TINY_MODEL, "duration": "4 s",
        "workload": {"arrivals": {"process": "poisson", "rate": "15 /s"}, "prompt_tokens": {"distribution": "uniform", "low": 10, "high": 900}, "output_tokens": 60},
        "cluster": {"pools": [{"name": "p", "node": machine, "nodes": nodes, "replica": {"engine": engine()}} | (pool or {})]},
    } | changes  # fmt: skip
    path = tmp_path / "cap.yaml"
    path.write_text(json.dumps(asked))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def watts(results: cluster_sim.Results) -> np.ndarray:
    """Mean power of each stretch."""
    energy_j, began_s, ended_s = (
        results.stretches[name].to_numpy() for name in ("energy_j", "began_s", "ended_s")
    )
    found: np.ndarray = energy_j / (ended_s - began_s)
    return found


def test_no_stretch_draws_more_than_the_cap_and_work_takes_longer(tmp_path: Path) -> None:
    free, capped = run(tmp_path), run(tmp_path, pool={"power_limit": "220 W"})
    assert np.max(watts(free)) > 240.0
    assert np.max(watts(capped)) <= 220.0 * (1 + 1e-6)
    assert capped.summary()["lowest_clock_fraction"] < 0.95
    assert capped.summary()["mean_tpot_ms"] > free.summary()["mean_tpot_ms"]
    assert np.max(watts(capped)) > 215.0  # a step of 15 MHz below it at most


def test_a_cap_at_the_board_s_own_limit_changes_nothing(tmp_path: Path) -> None:
    free, same, above = (
        run(tmp_path),
        run(tmp_path, pool={"power_limit": "400 W"}),
        run(tmp_path, site={"rack_power_cap": "1 kW"}),
    )
    assert free.requests.equals(same.requests) and free.requests.equals(above.requests)


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["180 W", "230 W"])
def test_stretch_and_step_agree_under_a_cap(tmp_path: Path, limit: str) -> None:
    answers = {
        "arrivals": {"process": "poisson", "rate": "3 /s"},
        "prompt_tokens": {"distribution": "uniform", "low": 10, "high": 400},
        "output_tokens": 900,
    }
    stretched, stepped = (
        run(tmp_path, pool={"power_limit": limit}, workload=answers, stepping=stepping)
        for stepping in ("stretch", "step")
    )
    assert len(stepped.stretches) > 1.5 * len(stretched.stretches)
    assert stretched.requests["finish_s"].to_numpy() == approx(
        stepped.requests["finish_s"].to_numpy(), rel=1e-9
    )
    assert len(set(stretched.stretches["clock"].to_pylist())) > 3


def test_a_rack_s_cap_is_shared_among_its_nodes(tmp_path: Path) -> None:
    """Three nodes, two a rack of 800 W: each keeps 100 W beside its device, so devices get 300 W,
    and the one alone in a rack has its 400.
    """
    results = run(tmp_path, nodes=3, site={"rack_power_cap": "800 W", "rack_nodes": 2})
    assert caps.device_caps_w(results.scenario) == [approx(300.0), approx(300.0), None]


def test_caps_are_shared_in_proportion_or_one_after_the_other() -> None:
    nodes = [NodeDraw(None, 100.0, 300.0), NodeDraw(None, 100.0, 700.0)]  # type: ignore[arg-type]  # whose they are does not matter
    assert shared_w(600.0, nodes, "proportional") == [approx(200.0), approx(400.0)]
    assert shared_w(600.0, nodes, "priority") == [approx(300.0), approx(300.0)]
    assert (
        shared_w(5000.0, nodes, "proportional")
        == shared_w(5000.0, nodes, "priority")
        == [300.0, 700.0]
    )


def test_the_own_clock_is_where_demand_meets_the_limit_and_power_under_a_lower_clock_goes_on_from_there() -> (
    None
):
    power = Power.model_validate(POWER)
    moving_w, computing_w = 80.0, 300.0
    clock = float(own_clock(power, moving_w, computing_w))
    turning = clock * voltage(clock) ** 2
    kept_w = 100.0 - clocked_w(power) * (1.0 - turning) + 100.0 * turning
    assert kept_w + moving_w + computing_w * voltage(clock) ** 2 == approx(400.0)
    assert float(own_clock(power, 10.0, 50.0)) == 1.0
    seconds = 2.0
    moved, arithmetic_j = moving_w / 100e-9 * seconds, computing_w * seconds
    at = [
        float(step_w(power, seconds / share, moved, arithmetic_j, share))
        for share in (1.0, 0.999, 0.9, 0.6)
    ]
    assert at[0] == 400.0
    assert at[1] == approx(400.0, rel=0.01)
    assert at[3] < at[2] < 390.0
