"""Power: the equation at points that were measured, the clock under a cap, and sums over steps that
equal the steps.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.node import Node
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.node_power import surroundings_w
from cluster_sim.physics.power import (
    WorkRates,
    clock_under,
    demand_at_clock_w,
    demand_w,
    memory_w,
    slowdown,
    voltage,
)
from cluster_sim.physics.ramp_energy import RampWork, ramp_energy_j
from cluster_sim.schema import catalog_entry

LOAD = {
    "sustained GEMM": (1.0e12, 1.6e15, 1.0),
    "KV cache": (6.9e12, 0.0, 0.0),
}  # bytes/s, FLOP/s, share of the time that follows the clock; on a B200


def power_of(name: str) -> Power:
    power = Device.model_validate(catalog_entry("devices", name)).power
    assert power is not None
    return power


def capped_w(
    power: Power,
    bytes_per_s: float,
    flop_per_s: float,
    precision: Precision = "bf16",
    active: float = 1.0,
) -> float:
    rates = WorkRates(bytes_per_s, flop_per_s, precision)
    return min(power.limit_w, float(demand_w(power, rates, active=active)))


def attention_w(power: Power, bytes_per_s: float, flop_per_s: float) -> float:
    return capped_w(power, bytes_per_s, 0.0) + power.flop.of_attention * flop_per_s


# Medians of boards of each kind, by activity, from which the catalog's constants were chosen; TB/s
# and PFLOP/s are the medians that
# vLLM's kernels of that activity reached, of reading KV cache 0.90 of the bus.
@pytest.mark.parametrize(
    ("name", "idle", "busy", "one_sequence", "gemv", "kv", "prefill", "gemm"),
    [
        ("b200-sxm", 139, 250, 420, (6.3, 709), (6.9, 695), (0.54, 0.90, 878), (0.80, 1.36, 982)),
        ("gb200", 145, 220, 405, (6.4, 691), (7.2, 669), (0.55, 0.88, 991), (0.94, 1.55, 1166)),
        ("h200-sxm", 75, 129, 300, (4.0, 592), (4.3, 547), (0.29, 0.46, 493), (0.41, 0.69, 691)),
    ],
)
def test_a_board_draws_what_was_measured_within_a_tenth(
    name: str,
    idle: float,
    busy: float,
    one_sequence: float,
    gemv: tuple[float, float],
    kv: tuple[float, float],
    prefill: tuple[float, float, float],
    gemm: tuple[float, float, float],
) -> None:
    power = power_of(name)
    assert power.idle_w == approx(idle, rel=0.1)
    assert capped_w(power, 0.0, 0.0, active=0.0) == approx(busy, rel=0.1)
    assert capped_w(power, 0.0, 0.0) == approx(one_sequence, rel=0.1)
    assert capped_w(power, gemv[0] * 1e12, 0.0) == approx(gemv[1], rel=0.1)
    assert capped_w(power, kv[0] * 1e12, 0.0) == approx(kv[1], rel=0.1)
    assert attention_w(power, prefill[0] * 1e12, prefill[1] * 1e15) == approx(prefill[2], rel=0.1)
    assert capped_w(power, gemm[0] * 1e12, gemm[1] * 1e15) == approx(gemm[2], rel=0.1)


def test_voltage_and_work_follow_the_clock_as_stated() -> None:
    assert voltage(0.8) == approx(0.91)
    assert slowdown(0.8, 1.0) == approx(1.25)
    assert slowdown(0.8, 0.0) < 1.06  # a fifth off the clock costs reading memory under 6 %


@pytest.mark.parametrize("load", LOAD)
@pytest.mark.parametrize("cap_w", [500.0, 600.0, 750.0, 900.0])
def test_the_clock_under_a_cap_is_where_power_meets_it(load: str, cap_w: float) -> None:
    power = power_of("b200-sxm")
    moved, flop, computing = LOAD[load]
    rates = WorkRates(moved, flop, "bf16")
    clock = clock_under(power, cap_w, rates, computing, floor=0.05)
    drawn_w = demand_at_clock_w(power, rates, clock, computing)
    if clock == 1.0:
        assert drawn_w <= cap_w
    else:
        assert drawn_w == approx(cap_w, rel=1e-12)


def test_a_large_product_at_the_limit_keeps_four_fifths_of_a_b200_s_clock() -> None:
    """Measured: 1965 to about 1580 MHz. What it reaches at the limit is 0.7 of the peak, so at the
    full clock 0.7 / 0.8.
    """
    power = power_of("b200-sxm")
    rates = WorkRates(1.2e12, 0.7 / 0.8 * 2.25e15, "bf16")
    assert clock_under(power, power.limit_w, rates, 1.0) == approx(0.80, abs=0.06)


def test_a_cap_that_cannot_be_met_leaves_the_floor() -> None:
    rates = WorkRates(6e12, 0.0, "bf16")
    assert clock_under(power_of("b200-sxm"), 100.0, rates, 0.0, floor=0.6) == 0.6


def test_the_sum_over_a_ramp_is_the_sum_of_its_steps_on_either_side_of_the_limit() -> None:
    power, rng = power_of("b200-sxm"), np.random.default_rng(3)
    for _ in range(200):
        steps = int(rng.integers(1, 60))
        first_s, slope_s = rng.uniform(0.01, 0.05), rng.choice([0.0, rng.uniform(0.0, 1e-3)])
        moved, more = rng.uniform(0.0, 3e11), rng.uniform(0.0, 4e9)
        flop_j, more_j = rng.uniform(0.0, 30.0), rng.choice([0.0, rng.uniform(0.0, 0.3)])
        i = np.arange(steps)
        seconds = first_s + i * slope_s
        clock = rng.uniform(0.5, 1.0)
        v = 0.55 + 0.45 * clock
        moving_j, arithmetic_j = power.memory_j_per_byte * (moved + i * more), flop_j + i * more_j
        at_work_s = np.minimum(moving_j / (43e-12 * 5.0e12) + arithmetic_j / 480.0, seconds)
        clocks_w = 49.0 / (1.0 - 345 / 1980 * (0.55 + 0.45 * 345 / 1980) ** 2)  # 188 - 139 W
        demand_j = (
            (power.busy_w - clocks_w * (1.0 - clock * v**2)) * seconds
            + power.active_w * clock * v**2 * at_work_s
            + moving_j
            + v**2 * arithmetic_j
        )
        wanted_j = float(np.sum(np.minimum(demand_j, power.limit_w * seconds)))
        assert ramp_energy_j(
            power, RampWork((first_s, slope_s), (moved, more), (flop_j, more_j), steps), clock
        ) == approx(wanted_j, rel=1e-12)


def test_ramps_are_summed_all_at_once() -> None:
    power = power_of("h200-sxm")
    first_s, steps = np.array([0.02, 0.03]), np.array([5, 7])
    both = ramp_energy_j(
        power,
        RampWork((first_s, 0.0), (np.array([6e10, 0.0]), 0.0), (np.array([0.0, 30.0]), 0.0), steps),
    )
    one = [
        ramp_energy_j(
            power,
            RampWork((first_s[k], 0.0), ([6e10, 0.0][k], 0.0), ([0.0, 30.0][k], 0.0), steps[k]),
        )
        for k in (0, 1)
    ]
    assert both == approx(np.array(one))
    assert both[1] == approx(7 * 0.03 * power.limit_w)  # 1 kW of arithmetic alone: at the limit


def test_memory_takes_its_share_of_the_board() -> None:
    power = power_of("b200-sxm")
    assert memory_w(power, 7e12) == approx(45 + 168)
    assert memory_w(power_of("wse-3"), 1e15) == 0.0


@pytest.mark.parametrize(
    ("name", "idle_w"), [("dgx-h100", 2800.0), ("dgx-a100", 1500.0), ("cs-3", 9000.0)]
)
def test_an_idle_node_draws_what_is_published(name: str, idle_w: float) -> None:
    node = Node.model_validate(catalog_entry("nodes", name))
    assert node.device.power is not None and node.power is not None
    devices_w = node.devices * node.device.power.idle_w
    assert devices_w + surroundings_w(
        node.power, devices_w, node.devices * node.device.power.limit_w
    ) == approx(idle_w, rel=0.02)


# Whole 8xB200 servers of MLPerf v5.1 at the wall; the mean board power is what the simulator finds
# for those runs.
def test_a_server_at_its_limit_draws_less_than_its_plate_says() -> None:
    node = Node.model_validate(catalog_entry("nodes", "dgx-b200"))
    assert node.power is not None
    assert 8000.0 + surroundings_w(node.power, 8000.0, 8000.0) == approx(0.85 * 14300.0)
