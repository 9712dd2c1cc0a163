"""Ramps: as many steps are done as sums of their lengths say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.physics.ramp import Ramp


@given(st.floats(1e-6, 10.0), st.one_of(st.just(0.0), st.floats(1e-12, 1.0)), st.integers(0, 5_000))
def test_as_many_steps_are_done_as_the_sum_of_steps_says(
    first_s: float, slope_s: float, steps: int
) -> None:
    lengths = first_s + slope_s * np.arange(steps + 2)
    before, after = float(np.sum(lengths[:steps])), float(np.sum(lengths[: steps + 1]))
    ramp = Ramp(first_s, slope_s)
    assert ramp.total_s(steps) == pytest.approx(before)
    assert ramp.steps_done(before + 0.5 * (after - before)) == steps


@given(st.floats(1e-6, 10.0), st.floats(0.0, 1.0), st.integers(1, 10_000))
def test_at_a_boundary_the_step_is_done(first_s: float, slope_s: float, steps: int) -> None:
    ramp = Ramp(first_s, slope_s)
    assert ramp.steps_done(ramp.total_s(steps)) == steps
