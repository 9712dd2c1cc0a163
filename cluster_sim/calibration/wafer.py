"""Constants of wafers, fitted to measured speeds, and their errors on models outside of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import NamedTuple

from cluster_sim.calibration.wafer_rows import Speed

LATER_COMPUTE = 1.0
"""Share of the dense peak that decode is assumed to reach in releases after the launch: the
maximum.

The speeds of these releases need more, which speculative decoding would explain, but their rows do
not mention it. Their prefill is no faster than at the launch.
"""
TOLERANCE = 0.05
"""Relative error above which a row counts linearly instead of by its square."""

_START = (5.0, 6.0, 2.0, 100.0)
"""Constants from which the fit starts [us, collectives, FLOP per cycle and core, us]."""


class WaferConstants(NamedTuple):
    """Constants of `hardware.Wafer` that are fitted together."""

    core_s: float
    collectives: float
    flop_per_cycle: float
    """Compute rate per core on both generations of wafers [FLOP per cycle]; `compute` is its share
    of the peak."""
    token_s: float


@dataclass(frozen=True, slots=True)
class WaferFit:
    """Fitted constants of wafers, with the errors of predictions."""

    constants: WaferConstants
    errors: tuple[float, ...] = ()
    """Ratio of predicted to measured speed, minus one, for each row in the given order."""
    left_out: tuple[tuple[str, float], ...] = ()
    """Median absolute error of each model's rows if the constants are fitted to all other models.
    """

    @property
    def left_out_error(self) -> float:
        """Median of `left_out` over the models."""
        return median(error for _, error in self.left_out)


def seconds_per_token(row: Speed, constants: WaferConstants) -> float:
    """Return the time of one token on the row's wafers [s].

    The formula is that of `physics.wafer`. The host's loop counts only for served rows.
    """
    reached = LATER_COMPUTE * row.core_peak if row.later else constants.flop_per_cycle
    return (
        row.served * constants.token_s
        + row.layers * constants.core_s
        + (constants.collectives * row.span + row.core_flop / reached) / row.clock_hz
        + row.beside_s
    )


def fit(rows: Sequence[Speed]) -> WaferFit:
    """Return the constants that fit `rows`, with errors, also of each model outside of a fit.

    The method is least squares of the logarithm of speed with non-negative constants. Errors beyond
    `TOLERANCE` count linearly, so that a row that contradicts all others has a bounded influence.
    WaferLLM's programs and the service at its launch share all constants. Later releases share all
    except the arithmetic, see `LATER_COMPUTE`.

    Raises
    ------
    ValueError
        There are fewer than four rows with a weight.
    """
    if sum(row.weight > 0.0 for row in rows) < len(_START):
        raise ValueError(f"expected at least {len(_START)} rows to fit as many constants")
    constants = _constants(rows)
    models = dict.fromkeys(row.model for row in rows)
    return WaferFit(
        constants,
        errors=tuple(_error(row, constants) for row in rows),
        left_out=tuple((model, _left_out(model, rows)) for model in models)
        if len(models) > 1
        else (),
    )


def _left_out(model: str, rows: Sequence[Speed]) -> float:
    constants = _constants([row for row in rows if row.model != model])
    return median(abs(_error(row, constants)) for row in rows if row.model == model)


def _error(row: Speed, constants: WaferConstants) -> float:
    return 1.0 / seconds_per_token(row, constants) / row.tokens_per_s - 1.0


def _constants(rows: Sequence[Speed]) -> WaferConstants:
    from scipy.optimize import least_squares  # slow to import, and needed here only

    def si(values: Sequence[float]) -> WaferConstants:
        return WaferConstants(values[0] * 1e-6, values[1], values[2], values[3] * 1e-6)

    def residuals(values: Sequence[float]) -> list[float]:
        constants = si(values)
        return [
            row.weight * log(seconds_per_token(row, constants) * row.tokens_per_s)
            for row in rows
            if row.weight
        ]

    bounds = ((0.0, 0.0, 1e-6, 0.0), float("inf"))
    solved = least_squares(
        residuals,
        _START,
        bounds=bounds,
        loss="soft_l1",
        f_scale=TOLERANCE,
        x_scale=_START,
        xtol=1e-10,
        ftol=1e-10,
    )
    return si([float(value) for value in solved.x])
