"""The climate of a node: inlets over time."""

from __future__ import annotations

from math import inf

from pytest import approx

from cluster_sim.deployment.climate import inlet_c_at, max_inlet_c, next_inlet_change_s
from cluster_sim.scenario.site import Inlet


def test_a_day_s_course_is_a_cosine_about_its_mean_in_steps_of_five_minutes() -> None:
    inlet = Inlet(mean="25 degC", swing="6 K", peak_hour=15, begins_hour=9)
    assert inlet_c_at(inlet, 6 * 3600.0) == approx(31.0, abs=1e-3)  # at three in the afternoon
    assert inlet_c_at(inlet, 18 * 3600.0) == approx(19.0, abs=1e-3)
    assert inlet_c_at(inlet, 0.0) == approx(25.0, abs=0.1)
    assert inlet_c_at(inlet, 10.0) == inlet_c_at(inlet, 290.0) != inlet_c_at(inlet, 310.0)
    assert next_inlet_change_s(inlet, 10.0) == 300.0
    assert max_inlet_c(inlet) == 31.0


def test_points_hold_until_the_next_one() -> None:
    inlet = Inlet(points=(("1 h", "20 degC"), ("2 h", "30 degC")))
    assert [inlet_c_at(inlet, hours * 3600.0) for hours in (0.0, 1.5, 2.0, 50.0)] == [
        20.0,
        20.0,
        30.0,
        30.0,
    ]
    assert [next_inlet_change_s(inlet, hours * 3600.0) for hours in (0.0, 1.0, 2.0)] == [
        3600.0,
        7200.0,
        inf,
    ]
    assert max_inlet_c(inlet) == 30.0
