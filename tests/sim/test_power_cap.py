"""Power caps: shared among nodes by hand, kept by a loop whose sensor lags, and no difference where
they do not bind.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment import power_caps as caps
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.power_caps import NodeDraw, shared_w
from cluster_sim.deployment.step_draw import StepDraw
from cluster_sim.deployment.stretch_work import work_of
from cluster_sim.hardware.operating_point import FULL_SPEED
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import clocked_w, voltage
from cluster_sim.physics.step_power import own_clock, step_w
from cluster_sim.physics.step_work import StepWork
from cluster_sim.sim.device_clock import DeviceClock
from cluster_sim.sim.level_search import LevelSearch
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

# Arithmetic at 1 GFLOP/s draws 200 W more, at 0.55 + 0.45·clock of the voltage; what is read 100 W.
POWER = {
    "limit": "400 W", "idle": "50 W", "loaded_idle": "80 W", "busy": "100 W", "active": "100 W", "memory": "100 nJ/B", "flop": {"bf16": "200 nJ/FLOP"},
}  # fmt: skip
GOVERNOR = {
    "clock": "1 GHz", "floor": "0.2 GHz", "step": "15 MHz", "power_sample_period": "100 ms", "power_window": "25 ms", "thermal_period": "50 ms", "thermal_response": "500 ms", "hysteresis": "3 K",
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


def test_after_the_first_report_no_stretch_draws_more_than_the_cap_and_work_takes_longer(
    tmp_path: Path,
) -> None:
    free, capped = run(tmp_path), run(tmp_path, pool={"power_limit": "220 W"})
    assert np.max(watts(free)) > 240.0
    # the first step begins at full clock, and the next one after a report of 100 ms
    assert watts(capped)[0] == approx(watts(free)[0])
    of_prompts = capped.stretches["prompt_tokens"].to_numpy() > 400
    assert np.max(watts(capped)[1:][of_prompts[1:]]) <= 220.0 * 1.03  # steps differ by 3 %
    assert capped.summary()["lowest_clock_fraction"] < 0.95
    assert capped.summary()["mean_tpot_ms"] > free.summary()["mean_tpot_ms"]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A GPU that reads in decode, and computes in prefill."""
    scenario = run(tmp_path_factory.mktemp("cap")).scenario
    return resolve(scenario).replicas[0].deployment


QUIET = StepWork(prompt_tokens=20, pairs=4000)
LOUD = StepWork(batch=1, counted=1, growth=1, context=500, sampled=1)
"""Steps that mostly compute, and steps that mostly read, which draw more on this GPU."""


def driven(
    clock: DeviceClock, deployment: Deployment, work: StepWork, span_s: tuple[float, float]
) -> tuple[float, list[tuple[float, float, float]]]:
    """Run equal steps in a span of time; return their end, and (begin, end, power) of each."""
    power, (now_s, until_s) = deployment.device.power, span_s
    assert power is not None
    steps = []
    while now_s < until_s:
        point, ramp = clock.begin(now_s, work, 1, FULL_SPEED, 0.0)
        clock.ran(1)
        counted = work_of(deployment, work, 1)
        drawn_w = step_w(
            power, ramp.first_s, counted.moved[0], counted.arithmetic_j[0], point.clock
        )
        steps.append((now_s, now_s + ramp.first_s, float(drawn_w)))
        now_s += ramp.first_s
    return now_s, steps


def test_a_spike_passes_above_the_cap_and_ends_within_period_window_and_step(
    deployment: Deployment,
) -> None:
    """A cap between the powers of two kinds of steps slows only one of them."""
    free = DeviceClock(deployment)
    (_, quiet), (_, loud) = (driven(free, deployment, work, (0.0, 0.1)) for work in (QUIET, LOUD))
    cap_w = 0.5 * (quiet[0][2] + loud[0][2])
    assert quiet[0][2] < cap_w < loud[0][2]
    for begin_s in (1.0, 1.01, 1.05, 1.09):
        clock = DeviceClock(deployment, cap_w)
        now_s, before = driven(clock, deployment, QUIET, (0.0, begin_s))
        assert {drawn_w for _, _, drawn_w in before} == {quiet[0][2]}
        spike_s = now_s
        now_s, spike = driven(clock, deployment, LOUD, (now_s, now_s + 1.0))
        assert spike[0][2] == approx(loud[0][2])  # the sensor has not seen it
        longest_s = max(end_s - since_s for since_s, end_s, _ in spike)
        above = [end_s for _, end_s, drawn_w in spike if drawn_w > cap_w * (1.0 + 1e-9)]
        assert max(above) <= spike_s + 0.1 + 0.025 + longest_s
        settled = {round(drawn_w, 9) for since_s, _, drawn_w in spike if since_s > max(above)}
        assert len(settled) == 1  # no saw-tooth
        # one step of 15 MHz up would break the cap
        assert cap_w - settled.pop() < 0.015 * 3.0 * cap_w
        # the other steps run at full clock again after a report
        _, after = driven(clock, deployment, QUIET, (now_s, now_s + 0.2))
        assert after[-1][2] == approx(quiet[0][2])


def test_a_cap_that_falls_holds_from_the_next_report(deployment: Deployment) -> None:
    clock = DeviceClock(deployment, None)
    now_s, free = driven(clock, deployment, LOUD, (0.0, 0.55))
    assert clock.set_cap(0.8 * free[-1][2], now_s)
    assert not clock.set_cap(0.8 * free[-1][2], now_s)
    now_s, capped = driven(clock, deployment, LOUD, (now_s, 1.0))
    assert all((drawn_w > 0.8 * free[-1][2]) == (since_s < 0.6) for since_s, _, drawn_w in capped)
    assert clock.set_cap(None, now_s)
    _, freed = driven(clock, deployment, LOUD, (now_s, 1.3))
    assert freed[-1][2] == approx(free[-1][2])


def test_the_lowest_lock_holds_and_the_cap_lowers_the_clock_further(
    deployment: Deployment,
) -> None:
    clock = DeviceClock(deployment)
    clock.set_lock("operator", 0.9)
    clock.set_lock("policy", 0.7)
    assert clock.begin(0.0, QUIET, 1, FULL_SPEED, 0.0)[0].clock == approx(0.7)
    clock.set_lock("policy", 1.0)
    assert clock.begin(0.0, QUIET, 1, FULL_SPEED, 0.0)[0].clock == approx(0.9)
    clock.set_cap(1.0, 0.0)  # no clock meets it
    clock.begin(0.0, QUIET, 1, FULL_SPEED, 0.0)
    clock.ran(1)
    assert clock.begin(0.1, QUIET, 1, FULL_SPEED, 0.0)[0].clock == approx(0.205)  # 53 of 15 MHz


def test_power_of_single_steps_is_that_of_the_tables(deployment: Deployment) -> None:
    draw, power, chance = StepDraw(deployment), deployment.device.power, Random(3)
    assert power is not None
    for _ in range(50):
        batch, prompt, sampled = (chance.randrange(300) for _ in range(3))
        work = StepWork(
            batch=batch, growth=batch, context=chance.randrange(10**6), windowed=chance.randrange(10**5),
            growing=chance.randrange(9), prompt_tokens=prompt, sampled=sampled, pairs=chance.randrange(10**6),
            window_pairs=chance.randrange(10**5), pairs_growth=chance.randrange(10**4),
        )  # fmt: skip
        seconds, clock, step = chance.uniform(0.001, 2.0), chance.choice([1.0, 0.8]), 7
        counted = work_of(deployment, work, 1)
        moved, arithmetic_j = (
            first + step * slope for first, slope in (counted.moved, counted.arithmetic_j)
        )
        assert draw.watts(draw.lines(work), step, seconds, clock) == approx(
            float(step_w(power, seconds, moved, arithmetic_j, clock)), rel=1e-12
        )


@pytest.mark.parametrize("highest", [0, 1, 60])
def test_the_first_level_under_the_cap_is_found_from_anywhere(highest: int) -> None:
    chance = Random(highest)
    for _ in range(300):
        powers = sorted((chance.uniform(100.0, 700.0) for _ in range(highest + 1)), reverse=True)
        cap_w = chance.uniform(50.0, 750.0)
        meeting = [level for level, drawn_w in enumerate(powers) if drawn_w <= cap_w]
        search = LevelSearch(cap_w, chance.randint(0, highest), highest, chance.uniform(0.1, 20.0))
        asked = 0
        while not search.is_over:
            search.learn(powers[search.level])
            asked += 1
        assert search.answer == min(meeting, default=highest)
        assert asked <= 8 + 7


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


def test_a_cap_that_lowers_no_clock_is_said_to_lower_none(tmp_path: Path) -> None:
    assert run(tmp_path).summary().get("clock_cap_fraction") is None
    assert run(tmp_path, site={"row_power_cap": "100 kW"}).summary()["clock_cap_fraction"] == 0.0
