"""Power of engine steps: readings of boards that served models, and the share of a step that works."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import LOWEST_CLOCK, idle_at_clock_w
from cluster_sim.physics.step_power import own_clock, step_w, working_share
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import expert_flop, linear_flop
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_regions import WaferPlan
from tests.machines import device, model

FP8_W = 0.25e-12
"""Energy per FLOP of dense products in fp8 on an H200 [J/FLOP]."""


def power_of(name: str) -> Power:
    power = device(name).power
    assert power is not None
    return power


# Qwen3-30B-A3B in fp8 on one H200 with vLLM: sequences, tokens/s, share of the memory bandwidth by
# DCGM, and board power [W]; the first five without CUDA graphs.
SWEEP = [
    (1, 25.0, 0.018, 135.0),
    (256, 5569.0, 0.053, 216.0),
    (1024, 16610.0, 0.219, 447.0),
    (2048, 22092.0, 0.281, 587.0),
    (4096, 25496.0, 0.262, 623.0),
    (1, 194.0, 0.136, 232.0),
    (256, 15703.0, 0.243, 456.0),
    (2048, 22433.0, 0.283, 583.0),
    (4096, 25762.0, 0.266, 611.0),
]


@pytest.mark.parametrize(("sequences", "tokens_per_s", "traffic", "reading_w"), SWEEP)
def test_an_h200_that_serves_a_mixture_of_experts_draws_what_was_read(
    sequences: int, tokens_per_s: float, traffic: float, reading_w: float
) -> None:
    power, qwen = power_of("h200-sxm"), model("qwen3-30b")
    assert power.flop.expert_j_per_flop is not None
    experts = float(expert_flop(qwen, tokens_per_s))
    dense = float(linear_flop(qwen, tokens_per_s, tokens_per_s)) - experts
    arithmetic_w = power.flop.expert_j_per_flop * experts + FP8_W * dense
    drawn_w = float(step_w(power, 1.0, traffic * 4.8e12, arithmetic_w))
    assert drawn_w == approx(reading_w, rel=0.15)


def test_a_step_that_waits_for_its_host_draws_little_more_than_busy() -> None:
    """25 tokens/s without CUDA graphs read 1.8 % of the bandwidth: 129 + 0.02·171 + 5.5 W."""
    power = power_of("h200-sxm")
    assert float(step_w(power, 0.04, 0.04 * 0.086e12, 0.0)) == approx(138.0, abs=1.0)


def test_the_processors_hold_work_all_the_time_at_full_traffic_and_no_longer() -> None:
    power = power_of("b200-sxm")
    full_w = 43e-12 * 5.0e12
    shares = [float(working_share(power, part * full_w, 0.0)) for part in (0.0, 0.5, 1.0, 1.5)]
    assert shares == approx([0.0, 0.5, 1.0, 1.0])
    assert float(working_share(power, 0.5 * full_w, 0.25 * 480.0)) == approx(0.75)
    # arithmetic that fills the step at half of the clock is half as fast
    assert float(working_share(power, 0.0, 0.5 * 480.0, 0.5)) == approx(1.0)


def test_the_own_clock_meets_the_limit_with_the_share_that_works() -> None:
    power = power_of("h200-sxm")
    moving_w, computing_w = 60.0, 700.0
    clock = float(own_clock(power, moving_w, computing_w))
    assert clock < 1.0
    at_limit = step_w(power, 1.0, moving_w / 64e-12, computing_w, 1.0)
    just_below = step_w(power, 1.0, moving_w / 64e-12, computing_w, 1.0 - 1e-9)
    assert float(at_limit) == power.limit_w == approx(float(just_below), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "highest_w", "lowest_w"), [("h100-sxm", 121.7, 71.8), ("a100-sxm", 80.0, 53.7)]
)
def test_a_loaded_idle_board_draws_by_its_clock_what_was_measured(
    name: str, highest_w: float, lowest_w: float
) -> None:
    power = power_of(name)
    assert float(idle_at_clock_w(power, 1.0)) == approx(highest_w)
    assert float(idle_at_clock_w(power, LOWEST_CLOCK)) == approx(lowest_w)
    assert float(idle_at_clock_w(power, 0.01)) == approx(lowest_w)
    courses = idle_at_clock_w(power, np.linspace(LOWEST_CLOCK, 1.0, 9))
    assert np.all(np.diff(courses) > 0.0)


def test_a_wafer_draws_by_the_share_of_its_stages_that_hold_work() -> None:
    """A token alone holds each stage for its time there; the mean share is that of one stage.

    At full occupancy the CS-3 draws 16 kW with its 4.6 kW of pumps and supplies, and idle 9 kW.
    """
    wse, llama = device("wse-3"), model("llama-3.3-70b")
    assert wse.power is not None
    times = WaferSteps(llama, wse, WaferPlan(4))
    alone = StepWork(batch=1, sampled=1)
    busy_s, step_s = times.mean_busy_s(alone)[0], times.ramp(alone).first_s
    stages = len(times.regions)
    by_core = [region.cores for region in times.regions]
    assert 0.5 / stages < busy_s / step_s < 1.5 / stages
    assert max(by_core) < 3 * min(by_core)  # so the mean over cores is near that over stages
    many = StepWork(batch=10_000, sampled=10_000)
    share = times.mean_busy_s(many)[0] / times.ramp(many).first_s
    assert 0.7 < share <= 1.0
    watts = [4600.0 + float(step_w(wse.power, 1.0, 0.0, 7000.0 * part)) for part in (0.0, 1.0)]
    assert watts == [9000.0, 16000.0]
    peak_w = 7000.0 + 0.449e-12 * 15.6e15
    assert 4600.0 + float(step_w(wse.power, 1.0, 0.0, peak_w)) == approx(23000.0, rel=1e-3)
