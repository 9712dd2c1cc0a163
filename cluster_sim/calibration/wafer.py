"""Constants of wafers, fitted to measured speeds, and their errors on models not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import NamedTuple

from cluster_sim.calibration.wafer_rows import Speed

LATER_COMPUTE = 1.0
"""Share of the dense peak that decoding is taken to reach in releases after the launch: its limit.

Their speeds ask for more, as they would where drafts are checked, which their rows do not mention;
their prompts are no faster than at the launch."""
TOLERANCE = 0.05
"""Relative error at which a row begins to count linearly, no longer by its square."""

_START = (5.0, 6.0, 2.0, 100.0)
"""Constants to start from [us, collectives, FLOP per cycle and core, us]."""


class WaferConstants(NamedTuple):
    """Constants of `hardware.Wafer` that are fitted together."""

    core_s: float
    collectives: float
    flop_per_cycle: float
    """Compute rate of a core on both generations of wafers [FLOP per cycle]; its share of the peak
    is `compute`."""
    token_s: float


@dataclass(frozen=True, slots=True)
class WaferFit:
    """Fitted constants of wafers, and how far predictions with them are off."""

    constants: WaferConstants
    errors: tuple[float, ...] = ()
    """Predicted over measured speed, less one, of each row in the order given."""
    left_out: tuple[tuple[str, float], ...] = ()
    """Median size of the errors of each model's rows when the constants are fitted to all other
    models."""

    @property
    def left_out_error(self) -> float:
        """Median of `left_out` over the models."""
        return median(error for _, error in self.left_out)


def seconds_per_token(row: Speed, constants: WaferConstants) -> float:
    """Return the time of one token on the row's wafers [s].

    It is that of `physics.wafer`; the host's loop counts only where the row was served.
    """
    reached = LATER_COMPUTE * row.core_peak if row.later else constants.flop_per_cycle
    return (
        row.served * constants.token_s
        + row.layers * constants.core_s
        + (constants.collectives * row.span + row.core_flop / reached) / row.clock_hz
        + row.beside_s
    )


def fit(rows: Sequence[Speed]) -> WaferFit:
    """Return the constants that fit `rows`, with their errors, also of each model left out.

    Least squares of the logarithm of speed with non-negative constants. Errors beyond `TOLERANCE`
    count linearly, so that a row which contradicts all others pulls with a bounded force.
    WaferLLM's programs and the service at its launch share all constants, those of later releases
    all but the arithmetic: see `LATER_COMPUTE`.

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
