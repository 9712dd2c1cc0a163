"""Statistics of results, against numpy on written-out numbers and against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster_sim.results.metrics.gaps import Gaps

ramps = st.lists(
    st.tuples(st.floats(1e-3, 1.0), st.floats(0.0, 1e-3), st.integers(1, 40), st.integers(1, 5)),
    min_size=1,
    max_size=30,
)


def written_out(rows: list[tuple[float, float, int, int]]) -> np.ndarray:
    return np.array(
        [
            first + slope * step
            for first, slope, steps, weight in rows
            for step in range(steps)
            for _ in range(weight)
        ]
    )


def gaps(rows: list[tuple[float, float, int, int]]) -> Gaps:
    return Gaps(*(np.array(column) for column in zip(*rows, strict=True)))


@pytest.mark.parametrize(("first_s", "slope_s"), [(2e-4, 1e-7), (1e-4, 4e-7), (3e-4, 0.0)])
@pytest.mark.parametrize("percent", [50.0, 99.0, 99.9, 99.95, 99.98, 100.0])
def test_percentiles_are_found_where_very_many_like_ramps_end(
    first_s: float, slope_s: float, percent: float
) -> None:
    """So many that bisection goes on to neighbouring numbers; the last is far behind them."""
    rows = [(first_s, slope_s, 118, 1)] * 43 + [(0.77, 0.0, 1, 1)]
    np.testing.assert_allclose(
        gaps(rows).percentiles([percent]), np.percentile(written_out(rows), [percent]), rtol=1e-12
    )


@given(ramps, st.lists(st.floats(0, 100), min_size=1, max_size=5))
@settings(deadline=None)
def test_percentiles_of_ramps_are_those_of_the_numbers_they_stand_for(
    rows: list[tuple[float, float, int, int]], percents: list[float]
) -> None:
    np.testing.assert_allclose(
        gaps(rows).percentiles(percents), np.percentile(written_out(rows), percents), rtol=1e-12
    )


@given(ramps)
def test_moments_of_ramps_are_those_of_the_numbers_they_stand_for(
    rows: list[tuple[float, float, int, int]],
) -> None:
    values, ramp = written_out(rows), gaps(rows)
    assert ramp.count == len(values)
    assert ramp.mean() == pytest.approx(np.mean(values))
    assert ramp.std() == pytest.approx(np.std(values), abs=1e-9)
    assert ramp.max() == pytest.approx(np.max(values))


@pytest.mark.slow
def test_percentiles_of_many_long_ramps_are_found_without_writing_them_out() -> None:
    """A hundred ramps of 20,000 steps: bisection has to narrow them down before it may look at
    each.
    """
    rng = np.random.default_rng(0)
    rows = [
        (
            float(rng.uniform(0.01, 0.02)),
            float(rng.uniform(0, 1e-6)),
            20_000,
            int(rng.integers(1, 9)),
        )
        for _ in range(100)
    ]
    percents = [0.0, 1.0, 50.0, 90.0, 99.0, 99.99, 100.0]
    np.testing.assert_allclose(
        gaps(rows).percentiles(percents), np.percentile(written_out(rows), percents), rtol=1e-12
    )


def test_percentiles_of_equal_steps_are_that_step() -> None:
    """Flat ramps, as a wafer's: bisection meets the value itself."""
    assert gaps([(0.5, 0.0, 100_000, 3), (0.25, 0.0, 100_000, 3)]).percentiles([10, 90]) == [
        0.25,
        0.5,
    ]
