"""Constants of routed experts, fitted to measured kernels and tested on other shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.calibrated import Calibrated, DeviceFits
from cluster_sim.calibration.constants import (
    Bounds,
    Constants,
    LogFit,
    cross_validated,
    guess,
    rounded,
    some_of,
)
from cluster_sim.calibration.engines import by_engine
from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.expert_rows import MeasuredExperts, even_rows, measured_experts
from cluster_sim.calibration.expert_sources import FORMATS, KernelRule, NumberFormat, rules_of
from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.expert_fit import ExpertFit, Tiles
from cluster_sim.hardware.kernel_fits import KernelFits, fit_name
from cluster_sim.physics.grouped_products import grouped_s
from cluster_sim.typing import Array

ROWS = 2000
"""Maximum number of kernels per fit; they are drawn at random."""
FEWEST = 20
"""Minimum number of kernels for a fit."""
TOLERANCE = 0.05
"""Relative error above which a kernel counts linearly instead of by its square."""
_STEPS, _REFIT_STEPS = 100, 30
_TILES: tuple[Tiles, ...] = get_args(Tiles)


class Kind(NamedTuple):
    """One measured kernel of an engine on a device."""

    device: Device
    processors: int
    source: str
    format: NumberFormat
    rule: KernelRule


def calibrate_experts(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    """Yield the errors and the fit of each kernel, per engine and format.

    Only rows with an even load are fitted. Kernels with too few rows, and formats that the device
    does not have, are skipped.
    """
    for engine, kept_as, every in by_engine(table, choice):
        if not len(rows := even_rows(every)):
            continue
        pairs = rows.select(["kernel_source", "moe_dtype"])
        kernels = sorted({(row["kernel_source"], row["moe_dtype"]) for row in pairs.to_pylist()})
        kernels = [kernel for kernel in kernels if kernel[1] in FORMATS]
        name = rows["engine"][0].as_py() if "engine" in rows.column_names else engine.lower()
        for (source, dtype), rule in rules_of(name, kernels).items():
            same = pc.and_(
                pc.equal(rows["kernel_source"], source), pc.equal(rows["moe_dtype"], dtype)
            )
            measured = measured_experts(rows.filter(same))
            number_format = FORMATS[dtype]
            has_format = device.peak.of(number_format.computed_in)[0] == number_format.computed_in
            if len(measured) < FEWEST or not has_format:
                continue
            kind = Kind(device, choice.processors, source, number_format, rule)
            yield _calibrated(kind, measured, engine, kept_as)


def _calibrated(kind: Kind, measured: MeasuredExperts, engine: str, kept_as: str) -> Calibrated:
    drawn = measured.take(some_of(len(measured), ROWS))
    fit = fit_experts(kind, drawn)
    key = ".".join(filter(None, (kind.format.name, kind.rule.kernel)))
    return Calibrated(
        f"experts {key} {engine}".strip(),
        len(measured),
        cross_validate(kind, drawn, fit),
        Errors.of(naive_s(kind, drawn), drawn.seconds),
        DeviceFits(KernelFits(experts={fit_name(key, kept_as): fit})),
        Errors.of(grouped_s(fit, drawn.shape, drawn.load), drawn.seconds),
    )


def fit_experts(kind: Kind, measured: MeasuredExperts) -> ExpertFit:
    """Return the constants that fit measured kernels, with the better rule for the tiles.

    Parameters
    ----------
    kind
        Kernel, its format and its device.
    measured
        Measured times.
    """
    ends = [(*_solved(kind, measured, tiles, None, _STEPS), tiles) for tiles in _TILES]
    _, constants, tiles = min(ends, key=lambda end: end[0])
    return _made(kind, rounded(_bounds(kind.device), constants), tiles)


def cross_validate(kind: Kind, measured: MeasuredExperts, fit: ExpertFit) -> Errors:
    """Return the errors on whole shapes outside of the fit.

    A shape is a model with its split over devices and groups. The rule for the tiles is that of
    `fit`.
    """
    start = {name: float(getattr(fit, name)) for name in _bounds(kind.device)}

    def refit(seen: Array, held: Array) -> Array:
        _, constants = _solved(kind, measured.take(seen), fit.tiles, start, _REFIT_STEPS)
        unseen = measured.take(held)
        seconds: Array = grouped_s(_made(kind, constants, fit.tiles), unseen.shape, unseen.load)
        return seconds

    shapes = np.vstack([measured.model, measured.split])
    return cross_validated(shapes, measured.seconds, refit)


def naive_s(kind: Kind, measured: MeasuredExperts) -> Array:
    """Return the time of each kernel at the device's peaks, for comparison [s]."""
    shape, load = measured.shape, measured.load
    weights = shape.matrices * shape.hidden * shape.inner
    read_s = load.active * weights * kind.format.weight_bytes
    compute_s = 2.0 * load.rows * weights / kind.device.peak.of(kind.format.computed_in)[1]
    seconds: Array = np.maximum(read_s / kind.device.memory.bandwidth_bytes_per_s, compute_s)
    return seconds


def _solved(
    kind: Kind, measured: MeasuredExperts, tiles: Tiles, start: Constants | None, steps: int
) -> tuple[float, Constants]:
    return LogFit(
        _bounds(kind.device),
        lambda constants: grouped_s(_made(kind, constants, tiles), measured.shape, measured.load),
        measured.seconds,
        TOLERANCE,
    ).solved(start, steps)


def _made(kind: Kind, constants: Constants, tiles: Tiles) -> ExpertFit:
    given = {
        "kernel": kind.source,
        "computed_in": kind.format.computed_in,
        "used": kind.rule.used,
        "gated": kind.rule.gated,
        "tiles": tiles,
        "processors": kind.processors,
        "weight_bytes": kind.format.weight_bytes,
    }
    return guess(ExpertFit, given | constants)


def _bounds(device: Device) -> dict[str, Bounds]:
    """Return the range of each constant, by the name of its field."""
    bandwidth = device.memory.bandwidth_bytes_per_s
    return {
        "launch_s": Bounds(3e-5, 1e-6, 1e-3),
        "groups_s": Bounds(1e-6, 1e-8, 1e-3, vanishes=True),
        "slot_s": Bounds(1e-7, 1e-10, 1e-5, vanishes=True),
        "expert_s": Bounds(1e-7, 1e-10, 1e-5, vanishes=True),
        "copy_s": Bounds(1e-10, 1e-13, 1e-7, vanishes=True),
        "copy_inner_s": Bounds(1e-14, 1e-17, 1e-11, vanishes=True),
        "token_hidden_s": Bounds(1e-13, 1e-16, 1e-10, vanishes=True),
        "row_hidden_s": Bounds(1e-13, 1e-16, 1e-10, vanishes=True),
        "row_inner_s": Bounds(1e-13, 1e-16, 1e-10, vanishes=True),
        "bandwidth_bytes_per_s": Bounds(0.8 * bandwidth, 0.02 * bandwidth, bandwidth),
        "crowded": Bounds(1.05, 0.5, 3.0),
        "compute_flop_per_s": Bounds(1e15, 2e13, 3e16),
        "overlap": Bounds(3.0, 1.0, 12.0),
        "tile_overhead": Bounds(1e3, 10.0, 1e6, vanishes=True),
        "tile_s": Bounds(1e-7, 1e-10, 1e-4, vanishes=True),
    }
