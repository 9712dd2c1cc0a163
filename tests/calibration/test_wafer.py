"""The wafers' constants: found again where they are known, and what they are worth on the public
rows.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from pytest import approx

from cluster_sim.calibration.wafer import (
    LATER_COMPUTE,
    WaferConstants,
    WaferFit,
    fit,
    seconds_per_token,
)
from cluster_sim.calibration.wafer_prompts import (
    PromptSpeed,
    PromptTime,
    fit_prompts,
    fit_request,
    prompt_rows_of,
    prompt_times_of,
)
from cluster_sim.calibration.wafer_rows import Speed, rows_of
from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_regions import WaferPlan
from cluster_sim.schema import catalog_entry

MEASUREMENTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "measurements.csv.gz"
WSE2, WSE3 = (Device.model_validate(catalog_entry("devices", name)) for name in ("wse-2", "wse-3"))
needs_measurements = pytest.mark.skipif(
    not MEASUREMENTS.is_file(),
    reason="the public measurements are not beside this checkout (shared/data)",
)


def speed(
    model: str, layers: int, side: float, served: bool, core_flop: float, later: bool = False
) -> Speed:
    return Speed(
        model, layers, layers * 2.0 * side, core_flop, 16.0, 0.0, 1.1e9, 1.0, served, later
    )


@pytest.fixture(scope="module")
def public() -> tuple[list[Speed], WaferFit]:
    rows = rows_of(MEASUREMENTS, WSE2, WSE3)
    return rows, fit(rows)


def test_the_fit_finds_known_constants_again_through_noise_of_two_percent():
    known = WaferConstants(9e-6, 4.0, 2.5, 250e-6)
    rng = np.random.default_rng(7)
    rows = []
    for layers, side, flop, served in product(
        (16, 32, 80), (100.0, 400.0, 700.0), (1e5, 1e6, 4e6), (False, True)
    ):
        row = speed(f"{layers} layers", layers, side, served, flop)
        rows.append(
            replace(row, tokens_per_s=rng.normal(1.0, 0.02) / seconds_per_token(row, known))
        )
    found = fit(rows)
    assert found.constants == approx(known, rel=0.05)
    assert median(abs(error) for error in found.errors) < 0.02
    assert found.left_out_error < 0.03


def test_later_releases_do_their_arithmetic_at_the_limit_whatever_the_others_do():
    slow, later = (
        seconds_per_token(
            speed("any", 10, 0.0, True, 1e6, later), WaferConstants(0.0, 0.0, 2.0, 0.0)
        )
        for later in (False, True)
    )
    assert slow == approx(1e6 / 2.0 / 1.1e9)
    assert later == approx(1e6 / (16.0 * LATER_COMPUTE) / 1.1e9)


def test_a_row_that_contradicts_all_others_hardly_moves_the_constants():
    known = WaferConstants(9e-6, 4.0, 2.5, 250e-6)
    rows = []
    for layers, side, flop, served in product((16, 80), (100.0, 700.0), (1e5, 4e6), (False, True)):
        row = speed("any", layers, side, served, flop)
        rows.append(replace(row, tokens_per_s=1.0 / seconds_per_token(row, known)))
    wrong = replace(speed("any", 80, 200.0, True, 1e6), tokens_per_s=100.0)
    found = fit([*rows, wrong])
    assert found.constants.core_s == approx(9e-6, rel=0.05)
    assert found.left_out == ()  # nothing is left where the only model is left out


def test_three_rows_are_too_few_for_four_constants():
    with pytest.raises(ValueError, match="expected at least 4 rows"):
        fit([speed("a", 32, 300.0, True, 1e6)] * 3)


def test_prompts_constants_are_found_again():
    rows = [
        PromptSpeed("any", 32, side, flop / side**2, 1.1e9, 1.0)
        for side, flop in product((400, 700), (1e10, 5e10))
    ]
    rows = [replace(row, tokens_per_s=row.predicted(0.7, 2.5)) for row in rows]
    assert fit_prompts(rows) == approx((0.7, 2.5), rel=1e-3)


def test_what_prompts_take_beside_the_pipeline_is_found_again():
    assert fit_request(
        [PromptTime("any", alone_s + 0.4e-3, alone_s) for alone_s in (0.1e-3, 1e-3, 10e-3)]
    ) == approx(0.4e-3, rel=0.01)


@needs_measurements
@pytest.mark.parametrize(
    ("engine", "later", "tokens_per_s"),
    [("Cerebras 2024-08", False, 450.0), ("Cerebras", True, 1300.0)],
)
def test_the_fit_and_the_simulation_mean_the_same_by_a_token_s_time(
    public: tuple[list[Speed], WaferFit], engine: str, later: bool, tokens_per_s: float
) -> None:
    (row,) = (
        row
        for row in public[0]
        if row.model == "llama-3.3-70b" and row.tokens_per_s == tokens_per_s
    )
    assert row.later == later
    wafer = WSE3.wafer
    assert wafer is not None
    steps = WaferSteps(
        Model.model_validate(catalog_entry("models", "llama-3.3-70b")),
        WSE3,
        WaferPlan(4),
        engine,
        150e9,
    )
    expected_s = steps.ramp(StepWork(batch=1, growth=1, context=500)).first_s
    flop_per_cycle = (
        wafer.compute * WSE3.peak.bf16_flop_per_s / (wafer.columns * wafer.rows) / wafer.clock_hz
    )
    constants = WaferConstants(wafer.core_s, wafer.collectives, flop_per_cycle, wafer.token_s)
    assert seconds_per_token(row, constants) == approx(expected_s, rel=1e-9)


@needs_measurements
def test_rows_with_speculation_and_bare_claims_are_left_out(public: tuple[list[Speed], WaferFit]):
    rows, _ = public
    assert sum(row.served for row in rows) == 14
    assert len(rows) == 22
    assert max(row.tokens_per_s for row in rows if row.model == "llama-3.3-70b") == 1300.0
    assert [row.tokens_per_s for row in rows if row.model == "qwen3-32b"] == [1300.62]
    assert sorted(row.tokens_per_s for row in rows if row.served and not row.later) == [
        446.0,
        450.0,
        1800.0,
    ]


@needs_measurements
def test_the_catalog_holds_the_constants_of_the_fits(public: tuple[list[Speed], WaferFit]):
    found = public[1].constants
    for device in (WSE2, WSE3):
        wafer = device.wafer
        assert wafer is not None
        peak = device.peak.bf16_flop_per_s / (wafer.columns * wafer.rows) / wafer.clock_hz
        assert (wafer.core_s, wafer.collectives, wafer.compute * peak) == approx(
            found[:3], rel=0.01
        )
    assert WSE3.wafer is not None and WSE2.wafer is not None and WSE2.wafer.prompt is not None
    assert WSE3.wafer.token_s == approx(found.token_s, rel=0.01)
    assert WSE3.wafer.decode_compute == {"cerebras": LATER_COMPUTE}
    collectives, flop_per_cycle = fit_prompts(prompt_rows_of(MEASUREMENTS, WSE2))
    peak = WSE2.peak.bf16_flop_per_s / (757 * 996) / WSE2.wafer.clock_hz
    assert (WSE2.wafer.prompt.collectives, WSE2.wafer.prompt.compute * peak) == approx(
        (collectives, flop_per_cycle), rel=0.01
    )
    assert WSE3.wafer.request_s == approx(
        fit_request(prompt_times_of(MEASUREMENTS, WSE3)), rel=0.05
    )


@needs_measurements
def test_waferllm_s_decode_slows_with_cores_as_measured(public: tuple[list[Speed], WaferFit]):
    """8B and 13B were run whole, 34B and 72B scaled up from some of their layers."""
    rows, found = public
    assert all(
        abs(error) < 0.05 for row, error in zip(rows, found.errors, strict=True) if not row.served
    )


@needs_measurements
def test_waferllm_s_prompts_gain_from_cores_as_measured():
    rows = prompt_rows_of(MEASUREMENTS, WSE2)
    constants = fit_prompts(rows)
    errors = {
        (row.model, row.side): row.predicted(*constants) / row.tokens_per_s - 1.0 for row in rows
    }
    assert all(abs(errors[(row.model, row.side)]) < 0.06 for row in rows if row.fitted)
    assert len([row for row in rows if row.fitted]) == 4
    assert all(abs(error) < 0.20 for error in errors.values())  # 34B and 72B, never fitted


@needs_measurements
def test_a_core_does_as_much_arithmetic_a_cycle_in_decode_as_in_prefill(
    public: tuple[list[Speed], WaferFit],
):
    assert public[1].constants.flop_per_cycle == approx(
        fit_prompts(prompt_rows_of(MEASUREMENTS, WSE2))[1], rel=0.05
    )


@needs_measurements
def test_the_fitted_rows_come_out_within_a_twentieth_at_the_median(
    public: tuple[list[Speed], WaferFit],
):
    _, found = public
    assert median(map(abs, found.errors)) < 0.05


@needs_measurements
def test_every_model_that_was_not_fitted_comes_out_within_a_fifth(
    public: tuple[list[Speed], WaferFit],
):
    """70B at its launch, too: without its own rows the constants tell its speed of August 2024
    within a fifth.
    """
    rows, found = public
    assert found.left_out_error < 0.08
    assert all(error < 0.20 for error in dict(found.left_out).values())
    without = fit([row for row in rows if row.model != "llama-3.3-70b"])
    (launch,) = (row for row in rows if row.tokens_per_s == 450.0)
    predicted = 1.0 / seconds_per_token(launch, without.constants)
    assert predicted == approx(450.0, rel=0.20)


@needs_measurements
def test_prompts_of_the_service_come_out_within_a_third():
    assert WSE3.wafer is not None
    for name, measured_s, alone_s in prompt_times_of(MEASUREMENTS, WSE3):
        assert abs((alone_s + WSE3.wafer.request_s) / measured_s - 1.0) < 0.35, name
