"""The wafer's constants: found again where they are known, and what they are worth on the public rows."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from pytest import approx

from cluster_sim.calibration.wafer import Speed, WaferFit, fit, rows_of, seconds_a_token
from cluster_sim.hardware import Device
from cluster_sim.physics.wafer import token_s
from cluster_sim.reading import catalog_entry

MEASUREMENTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "measurements.csv.gz"
DEVICE = Device.model_validate(catalog_entry("devices", "wse-3"))
needs_measurements = pytest.mark.skipif(not MEASUREMENTS.is_file(), reason="the public measurements are not beside this checkout (shared/data)")


def speed(model: str, layers: int, side: float, wafers: int, served: bool, tokens_per_s: float = 1.0, weight: float = 1.0) -> Speed:
    return Speed(model, layers, side, wafers, 1.1e9, tokens_per_s, served, weight)


@pytest.fixture(scope="module")
def public() -> tuple[list[Speed], WaferFit]:
    rows = rows_of(MEASUREMENTS, DEVICE)
    return rows, fit(rows)


def test_the_fit_finds_known_constants_again_through_noise_of_two_percent():
    known = (9e-6, 4.0, 250e-6, 60e-6)
    rng = np.random.default_rng(7)
    rows = []
    for layers, side, wafers, served in product((16, 32, 80), (100.0, 400.0, 700.0), (1, 8, 20), (False, True)):
        row = speed(f"{layers} layers", layers, side, wafers, served)
        rows.append(speed(row.model, layers, side, wafers, served, rng.normal(1.0, 0.02) / seconds_a_token(row, *known)))
    found = fit(rows)
    assert (found.core_s, found.collectives, found.token_s, found.wafer_hop_s) == approx(known, rel=0.04)
    assert median(abs(error) for error in found.errors) < 0.02
    assert found.left_out_error < 0.03


def test_a_row_that_contradicts_all_others_hardly_moves_the_constants():
    known = (9e-6, 4.0, 250e-6, 5.1e-6)
    rows = []
    for layers, side, wafers, served in product((16, 80), (100.0, 700.0), (1, 4), (False, True)):
        row = speed("any", layers, side, wafers, served)
        rows.append(speed("any", layers, side, wafers, served, 1.0 / seconds_a_token(row, *known)))
    wrong = speed("any", 80, 200.0, 1, True, 100.0)
    found = fit([*rows, wrong])
    assert found.core_s == approx(9e-6, rel=0.03)
    assert found.left_out == ()  # nothing is left where the only model is left out


def test_a_row_without_weight_is_predicted_and_not_fitted():
    rows = [speed("a", 10 * n, 100.0 * n, n, True, 5000.0 / n) for n in (1, 2, 3, 4)]
    wrong = speed("b", 32, 300.0, 1, True, 1.0, weight=0.0)
    with_it, without = fit([*rows, wrong]), fit(rows)
    assert with_it.core_s == without.core_s
    assert len(with_it.errors) == 5
    assert dict(with_it.left_out)["b"] == abs(with_it.errors[-1])


def test_three_rows_are_too_few_for_four_constants():
    with pytest.raises(ValueError, match="wanted at least 4 rows"):
        fit([speed("a", 32, 300.0, 1, True)] * 3)


def test_the_fit_and_the_simulation_mean_the_same_by_a_token_s_time():
    wafer = DEVICE.wafer
    assert wafer is not None
    row = Speed("any", 80, 211.0, 4, wafer.clock_hz, 1.0, served=True)
    expected_s = token_s(wafer, 4, 80, 211.0)
    assert seconds_a_token(row, wafer.core_s, wafer.collectives, wafer.token_s, wafer.wafer_hop_s) == approx(expected_s, rel=1e-12)


@needs_measurements
def test_rows_with_speculation_and_bare_claims_are_left_out(public: tuple[list[Speed], WaferFit]):
    rows, _ = public
    assert sum(row.served for row in rows) == 14
    assert sum(row.weight > 0.0 for row in rows) == 19
    assert max(row.tokens_per_s for row in rows if row.model == "llama-3.3-70b") == 1300.0
    assert [row.tokens_per_s for row in rows if row.model == "qwen3-32b"] == [1300.62]
    assert {row.model: row.wafers for row in rows if row.served} == {"llama-3.1-8b": 1, "llama-3.3-70b": 4, "gpt-oss-120b": 2, "qwen3-32b": 2}


@needs_measurements
def test_the_catalog_holds_the_constants_of_the_fit(public: tuple[list[Speed], WaferFit]):
    _, found = public
    wafer = DEVICE.wafer
    assert wafer is not None
    catalog = (wafer.core_s, wafer.collectives, wafer.token_s, wafer.wafer_hop_s)
    assert catalog == approx((found.core_s, found.collectives, found.token_s, found.wafer_hop_s), rel=0.01)


@needs_measurements
def test_the_fitted_rows_come_out_within_a_tenth_at_the_median(public: tuple[list[Speed], WaferFit]):
    rows, found = public
    assert median(abs(error) for row, error in zip(rows, found.errors, strict=True) if row.weight) < 0.10
    assert all(abs(error) < 0.05 for row, error in zip(rows, found.errors, strict=True) if row.weight and not row.served)


@needs_measurements
def test_a_model_that_was_not_fitted_comes_out_within_a_fifth_all_but_70b(public: tuple[list[Speed], WaferFit]):
    _, found = public
    left_out = dict(found.left_out)
    assert found.left_out_error < 0.12
    # Its plain speeds are of the launch, less than half of what every other row implies for its layers.
    assert 1.0 < left_out.pop("llama-3.3-70b") < 1.5
    assert all(error < 0.20 for error in left_out.values())
