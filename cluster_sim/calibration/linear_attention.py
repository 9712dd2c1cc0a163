"""Constants of linear attention, fitted to measured blocks and tested on other shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cluster_sim.calibration.calibrated import Calibrated, DeviceFits
from cluster_sim.calibration.constants import (
    Bounds,
    Constants,
    LogFit,
    cross_validated,
    guess,
    rounded,
)
from cluster_sim.calibration.engines import by_engine, shares_of_peaks
from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.calibration.state_blocks import (
    KINDS,
    ONLY_CONVOLUTION,
    StateBlocks,
    state_blocks,
)
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import KernelFits, fit_name
from cluster_sim.hardware.linear_fit import LinearAttentionFit
from cluster_sim.physics.linear_attention import (
    LinearShape,
    linear_decode_s,
    linear_prefill_s,
    linear_roofline,
)
from cluster_sim.typing import Array

TOLERANCE = 0.03
"""Relative error above which a block counts linearly instead of by its square."""
FEWEST = 15
"""Minimum number of blocks for a fit."""

_DECODE = {
    "start_s": Bounds(6e-6, 5e-7, 5e-4),
    "free_heads": Bounds(100.0, 1.0, 1e4, vanishes=True),
    "bandwidth_bytes_per_s": Bounds(4e12, 1e11, 1e14),
    "channel_s": Bounds(5e-12, 1e-14, 1e-9, vanishes=True),
}
_PREFILL = {
    "prompt_start_s": Bounds(3e-5, 1e-6, 1e-2),
    "prompt_free_heads": Bounds(100.0, 1.0, 1e4, vanishes=True),
    "prompt_head_s": Bounds(1e-7, 1e-10, 1e-5, vanishes=True),
    "walk_s": Bounds(3e-8, 1e-10, 1e-6, vanishes=True),
    "compute_flop_per_s": Bounds(1.5e14, 1e12, 1e17),
    "overlap": Bounds(1.5, 1.0, 12.0),
    "prompt_channel_s": Bounds(1e-12, 1e-15, 1e-9, vanishes=True),
}
_UNLIMITED = 1e30
"""Rate that stands for unmeasured parts while the rest is fitted."""


class _Phase(NamedTuple):
    """Phase of serving, with the bounds of its constants."""

    name: str
    bounds: dict[str, Bounds]
    predict: Callable[[LinearAttentionFit, StateBlocks], Array]


def predict_decode(fit: LinearAttentionFit, blocks: StateBlocks) -> Array:
    """Return the time of each block in decode [s]."""
    seconds: Array = linear_decode_s(fit, blocks.shape, blocks.sequences)
    return seconds


def predict_prefill(fit: LinearAttentionFit, blocks: StateBlocks) -> Array:
    """Return the time of each block in prefill [s]."""
    seconds: Array = linear_prefill_s(fit, blocks.shape, blocks.sequences, blocks.tokens)
    return seconds


_PHASES = (
    _Phase("generation", _DECODE, predict_decode),
    _Phase("context", _PREFILL, predict_prefill),
)


def calibrate_linear(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    """Yield the errors and the fit of each kind of layer, per engine and phase.

    Kinds with fewer than `FEWEST` blocks of one phase are skipped.
    """
    for engine, kept_as, rows in by_engine(table, choice):
        for op, kind in KINDS.items():
            blocks = [state_blocks(rows, op, phase.name) for phase in _PHASES]
            if min(map(len, blocks)) < FEWEST:
                continue
            fit, errors = fit_linear(blocks, device, kind)
            fits = DeviceFits(KernelFits(linear={fit_name(kind, kept_as): fit}))
            for phase, measured, out in zip(_PHASES, blocks, errors, strict=True):
                part = "convolution of " if kind in ONLY_CONVOLUTION else ""
                yield Calibrated(
                    f"{part}{kind} {phase.name} {engine}".strip(),
                    len(measured),
                    out,
                    Errors.of(phase.predict(_roofline(device), measured), measured.seconds),
                    fits,
                    Errors.of(phase.predict(_seen(fit, kind), measured), measured.seconds),
                )


def fit_linear(
    blocks: list[StateBlocks], device: Device, kind: str
) -> tuple[LinearAttentionFit, list[Errors]]:
    """Return the constants that fit blocks of decode and prefill, and their errors.

    The errors are those on whole shapes (model and heads) outside of the fit, in decode and in
    prefill.

    Parameters
    ----------
    blocks
        Measured blocks of decode and of prefill.
    device
        Device of the measurements; shares of its peaks are the constants of unmeasured parts.
    kind
        Kind of layer.
    """
    constants: Constants = {}
    errors = []
    for phase, measured in zip(_PHASES, blocks, strict=True):

        def refit(
            seen: Array, held: Array, phase: _Phase = phase, measured: StateBlocks = measured
        ) -> Array:
            constants_seen = _fit_phase(phase, measured.take(seen), kind)
            return phase.predict(guess(LinearAttentionFit, constants_seen), measured.take(held))

        constants |= _fit_phase(phase, measured, kind)
        shapes = np.stack([measured.model, measured.heads])
        errors.append(cross_validated(shapes, measured.seconds, refit))
    if kind in ONLY_CONVOLUTION:
        bandwidth, flop_per_s = shares_of_peaks(device)
        constants |= {"bandwidth_bytes_per_s": bandwidth, "compute_flop_per_s": flop_per_s}
    fit = guess(LinearAttentionFit, constants)
    return fit.model_copy(update={"is_partial": kind in ONLY_CONVOLUTION}), errors


def _fit_phase(phase: _Phase, blocks: StateBlocks, kind: str) -> Constants:
    """Return the constants of one phase; for Mamba-2, those of the convolution."""
    given: Constants = {}
    if kind in ONLY_CONVOLUTION:
        given = {"bandwidth_bytes_per_s": _UNLIMITED, "free_heads": 0.0}
        given |= {"compute_flop_per_s": _UNLIMITED, "walk_s": 0.0}
    bounds = {name: bound for name, bound in phase.bounds.items() if name not in given}
    held = {name: value for name, value in given.items() if name in phase.bounds}
    _, best = LogFit(
        bounds,
        lambda constants: phase.predict(guess(LinearAttentionFit, constants | held), blocks),
        blocks.seconds,
        TOLERANCE,
    ).solved()
    return rounded(bounds, best) | held


def _seen(fit: LinearAttentionFit, kind: str) -> LinearAttentionFit:
    """Return the fit of the measured parts: without the scan if it was not measured."""
    if kind not in ONLY_CONVOLUTION:
        return fit
    rates = ("bandwidth_bytes_per_s", "compute_flop_per_s")
    return fit.model_copy(update=dict.fromkeys(rates, _UNLIMITED))


def _roofline(device: Device) -> LinearAttentionFit:
    """Return the roofline of states of 128 by 128 values in 32 bit."""
    shape = LinearShape(1, 128, 128, 0)
    return linear_roofline(shape, device.memory.bandwidth_bytes_per_s, device.peak.bf16_flop_per_s)
