"""Chillers, towers, fans, pumps and humid air, against the figures of their sources."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

from cluster_sim.physics.chillers import (
    air_chiller_capacity,
    air_chiller_w,
    chiller_capacity,
    chiller_w,
)
from cluster_sim.physics.cooling_plant import (
    electrical_loss,
    evaporated_l,
    fan_speed,
    free_cooling_share,
    outdoor_water_c,
    pue,
)
from cluster_sim.physics.fans_and_pumps import fan_w, pump_w, pumping_w
from cluster_sim.physics.humid_air import relative_humidity, wet_bulb_c
from cluster_sim.physics.node_power import with_flow_w


def cop(leaving_c: float, condenser_c: float, part: float) -> float:
    heat = part * chiller_capacity(leaving_c, condenser_c)
    return float(heat / chiller_w(heat, 1.0, leaving_c, condenser_c))


@pytest.mark.parametrize(
    ("leaving_c", "condenser_c", "part", "expected"),
    [(5.56, 21.11, 1.0, 5.43), (10.0, 15.0, 1.0, 7.72), (10.0, 15.0, 0.5, 10.28)],
)
def test_the_chiller_has_the_cop_of_its_three_points(
    leaving_c: float, condenser_c: float, part: float, expected: float
) -> None:
    assert cop(leaving_c, condenser_c, part) == approx(expected, rel=0.01)


def test_the_chiller_s_power_rises_with_the_condenser_s_water_at_half_load() -> None:
    """The formula with the condenser's design temperature in place of the evaporator's outlet falls."""
    powers = [float(chiller_w(0.5, 1.0, 7.0, condenser_c)) for condenser_c in range(12, 24, 2)]
    assert powers == sorted(powers)


def test_outside_of_its_range_the_chiller_is_as_at_the_end_of_its_range() -> None:
    assert chiller_w(0.5, 1.0, 18.0, 30.0) == chiller_w(0.5, 1.0, 10.0, 24.0)
    assert chiller_w(0.5, 1.0, 2.0, 5.0) == chiller_w(0.5, 1.0, 5.56, 11.0)


def test_below_its_least_load_the_chiller_runs_for_a_part_of_the_time() -> None:
    """So its power is proportional to the heat, and its COP constant."""
    assert cop(7.0, 20.0, 0.02) == approx(cop(7.0, 20.0, 0.18))
    assert float(chiller_w(0.0, 1.0, 7.0, 20.0)) == 0.0


def test_above_its_capacity_the_chiller_draws_its_full_power() -> None:
    assert chiller_w(9.0, 1.0, 7.0, 20.0) == chiller_w(8.0, 1.0, 7.0, 20.0)


@pytest.mark.parametrize(("outside_c", "expected"), [(25, 3.50), (35, 2.96), (45, 2.54)])
def test_the_air_cooled_chiller_has_the_cop_of_its_source(
    outside_c: float, expected: float
) -> None:
    heat = air_chiller_capacity(6.67, outside_c)
    assert heat / air_chiller_w(heat, 1.0, 6.67, outside_c) == approx(expected, rel=0.005)


def test_the_air_cooled_chiller_needs_no_more_power_in_colder_air_or_with_warmer_water() -> None:
    outside_c = np.linspace(-10.0, 50.0, 61)
    assert np.all(np.diff(air_chiller_w(0.5, 1.0, 7.0, outside_c)) >= -1e-12)
    leaving_c = np.linspace(0.0, 20.0, 41)
    assert np.all(np.diff(air_chiller_w(0.5, 1.0, leaving_c, 30.0)) <= 1e-12)


def test_the_wet_bulb_of_stull_s_example() -> None:
    assert float(wet_bulb_c(20.0, 50.0)) == approx(13.7, abs=0.05)


def test_saturated_air_has_one_temperature_and_no_wet_bulb_is_above_the_dry_one() -> None:
    dry_c = np.linspace(-15.0, 45.0, 25)
    assert wet_bulb_c(dry_c, 99.0) == approx(dry_c, abs=0.7)
    assert np.all(wet_bulb_c(dry_c, 100.0) <= dry_c)
    assert float(relative_humidity(25.0, 25.0)) == approx(100.0)


def test_fans_and_pumps_follow_their_laws() -> None:
    # 0.0013 + 0.1470/2 + 0.9506/4 - 0.0998/8 = 0.299975
    assert float(fan_w(0.5, 1000.0)) == approx(299.975)
    # 0.5726/2 - 0.3010/4 + 0.7347/8 = 0.3028875
    assert float(pump_w(0.5, 1000.0)) == approx(302.8875)
    assert float(fan_w(1.0, 1000.0)) == approx(1000.0, rel=0.002)
    assert float(pump_w(1.0, 1000.0)) == approx(1000.0, rel=0.01)
    assert float(fan_w(0.0, 1000.0)) == float(pump_w(0.0, 1000.0)) == 0.0
    # 100 kPa, 60 L/s, half of it lost: 12 kW
    assert pumping_w(1e5, 0.06, 0.5) == approx(12e3)


def test_an_approach_shrinks_with_the_load_and_fans_slow_down_when_they_can() -> None:
    assert float(outdoor_water_c(25.0, 5.0, 0.4)) == approx(27.0)
    assert float(fan_speed(27.0, 25.0, 5.0, 0.4)) == approx(1.0)
    assert float(fan_speed(29.0, 25.0, 5.0, 0.4)) == approx(0.5)
    assert float(fan_speed(20.0, 25.0, 5.0, 0.4)) == 1.0  # cannot be reached
    assert float(fan_speed(60.0, 0.0, 5.0, 0.4)) == 0.2
    assert float(fan_speed(60.0, 0.0, 5.0, 0.0)) == 0.0


def test_free_cooling_is_whole_in_part_or_none() -> None:
    assert [float(free_cooling_share(c, 18.0, 26.0)) for c in (10, 16, 20, 24, 30)] == [
        1.0,
        1.0,
        0.5,
        0.0,
        0.0,
    ]


def test_a_kilowatt_hour_evaporates_1_47_litres_and_needs_1_84() -> None:
    assert evaporated_l(3.6e6, 1e9) == approx(1.47, abs=0.005)
    assert evaporated_l(3.6e6, 5.0) == approx(1.84, abs=0.005)


def test_losses_and_pue() -> None:
    assert electrical_loss(0.5) == approx(0.0275)
    assert pue(100.0, 30.0, 5.0) == approx(1.35)


def test_failed_fans_draw_the_cube_of_their_flow() -> None:
    # fans of 1 kW of 4: 3 kW, and 1 kW · 0.6³
    assert with_flow_w(4000.0, 0.25, 0.6) == approx(3000.0 + 216.0)
    assert with_flow_w(4000.0, 0.25, 1.0) == 4000.0
