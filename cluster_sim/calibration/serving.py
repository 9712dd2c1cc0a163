"""Constants of an engine, fitted to measured serving runs.

The constants are the overlap of launches, relative times of kernels, and host overheads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cluster_sim.calibration.serving_constants import (
    constants_of,
    is_of_engine,
    parts_of,
    with_constants,
)
from cluster_sim.calibration.serving_runs import ServingRow, times_s
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.typing import Array

_TTFT_WEIGHT = 0.4
"""Weight of errors of TTFT, which varies more than twice as much as TPOT between repeated runs."""
_PULL = 0.01
"""Weight that pulls each constant to its start, per factor of e."""
_RELEASE_PULL = 0.1
"""Weight that pulls each constant of a release to that of the release before, per factor of e."""
_STEP = 1e-3
"""Step of the logarithms of constants for derivatives."""


@dataclass(frozen=True)
class ServingFit:
    """Device with fitted constants, and the errors of the fit."""

    device: Device
    tpot_errors: Array
    """Signed relative error of TPOT of each row, in the given order."""
    ttft_errors: Array
    """Signed relative error of TTFT of each row; NaN if it was not measured."""


def fit_serving(
    device: Device, rows: Sequence[ServingRow], *, keeps_shares: bool = False
) -> ServingFit:
    """Return the device with efficiencies and overheads fitted to its runs.

    The method is robust least squares on the logarithm of time (soft l1, scale 4 %). Every constant
    stays within its bounds and is pulled weakly to its start, so constants that the rows do not
    determine stay. Those of a release, such as `vLLM 0.15`, are pulled to those of the release
    before it, `vLLM`, instead. The result is deterministic.

    Parameters
    ----------
    device
        GPU with the constants from which the fit starts.
    rows
        Measured runs.
    keeps_shares
        Whether the device keeps its shares of peaks, which all of its engines use. The constants of
        one engine can then be fitted alone.

    Raises
    ------
    ValueError
        The device is a wafer, or there are no rows.
    """
    from scipy.optimize import least_squares

    if device.efficiency is None or not rows:
        raise ValueError("got a wafer, or no runs; expected a GPU and at least one run")
    constants = [
        constant
        for constant in constants_of(device, rows)
        if is_of_engine(constant.name) or not keeps_shares
    ]
    names, values, bounds = zip(*constants, strict=True)
    low, high = np.log(np.array(bounds)).T
    start = np.clip(np.log(np.maximum(values, 1e-12)), low + 1e-6, high - 1e-6)
    pulls = _Pulls.of(names, start)

    def changed(logs: Array) -> Device:
        return with_constants(device, dict(zip(names, np.exp(logs).tolist(), strict=True)))

    def residuals(logs: Array) -> Array:
        return np.concatenate([_weighted(changed(logs), rows), pulls.residuals(logs)])

    def slopes(logs: Array) -> Array:
        """Return the derivatives of the residuals; a constant of an engine changes its runs only."""
        matrix = np.zeros((3 * len(rows), len(names)))
        before = _weighted(changed(logs), rows)
        for column, name in enumerate(names):
            touched = np.array([_changes(device, name, row) for row in rows])
            ahead = logs.copy()
            ahead[column] += _STEP
            some = [row for row, is_touched in zip(rows, touched, strict=True) if is_touched]
            places = np.tile(touched, 3)
            matrix[places, column] = (_weighted(changed(ahead), some) - before[places]) / _STEP
        return np.vstack([matrix, pulls.slopes()])

    solved = least_squares(
        residuals, start, slopes, bounds=(low, high), loss="soft_l1", f_scale=0.04, xtol=1e-5
    )
    fitted = changed(solved.x)
    return ServingFit(fitted, *map(np.expm1, _log_errors(fitted, rows)))


class _Pulls(NamedTuple):
    """Pulls of the logarithms of constants to their targets."""

    start: Array
    """Start of each constant."""
    earlier: Array
    """Place of the same constant of the release before; its own place if there is none."""

    @classmethod
    def of(cls, names: Sequence[str], start: Array) -> _Pulls:
        place = {name: index for index, name in enumerate(names)}
        parts = [parts_of(name) for name in names]
        before = [".".join((maker(first), *rest)) for first, *rest in parts]
        earlier = [place.get(name, index) for index, name in enumerate(before)]
        return cls(start, np.array(earlier))

    @property
    def _is_later(self) -> NDArray[np.bool_]:
        return np.not_equal(self.earlier, np.arange(len(self.start)))

    def residuals(self, logs: Array) -> Array:
        return np.where(
            self._is_later, _RELEASE_PULL * (logs - logs[self.earlier]), _PULL * (logs - self.start)
        )

    def slopes(self) -> Array:
        matrix = np.diag(np.where(self._is_later, _RELEASE_PULL, _PULL))
        later = np.flatnonzero(self._is_later)
        matrix[later, self.earlier[later]] = -_RELEASE_PULL
        return matrix


def _changes(device: Device, name: str, row: ServingRow) -> bool:
    """Return whether a constant changes the times of a run."""
    return not is_of_engine(name) or parts_of(name)[0] == device.overhead_name(row.engine)


def _weighted(device: Device, rows: Sequence[ServingRow]) -> Array:
    """Return the weighted errors of TPOT, then those of TTFT; 0 if it was not measured."""
    tpot, ttft, late = _all_log_errors(device, rows)
    return np.concatenate([tpot, *(_TTFT_WEIGHT * np.nan_to_num(part) for part in (ttft, late))])


def leave_one_configuration_out(
    device: Device, rows: Sequence[ServingRow], *, keeps_shares: bool = False
) -> tuple[Array, Array]:
    """Return the signed relative errors of TPOT and TTFT of each row.

    Each row is predicted by a fit to the rows of all other configurations.
    """
    errors = np.empty((2, len(rows)))
    # start of the fits: each one moves on from there
    begin = fit_serving(device, rows, keeps_shares=keeps_shares).device
    for configuration in sorted({row.configuration for row in rows}):
        held = np.array([row.configuration == configuration for row in rows])
        rest = [row for row in rows if row.configuration != configuration]
        fitted = fit_serving(begin, rest, keeps_shares=keeps_shares).device if rest else device
        errors[:, held] = np.expm1(
            _log_errors(fitted, [row for row in rows if row.configuration == configuration])
        )
    return errors[0], errors[1]


def errors_of(device: Device, rows: Sequence[ServingRow]) -> tuple[Array, Array]:
    """Return the signed relative errors of TPOT and TTFT of each row, without a fit."""
    tpot, ttft = _log_errors(device, rows)
    return np.expm1(tpot), np.expm1(ttft)


def _log_errors(device: Device, rows: Sequence[ServingRow]) -> tuple[Array, Array]:
    tpot, ttft, _ = _all_log_errors(device, rows)
    return tpot, ttft


def _all_log_errors(device: Device, rows: Sequence[ServingRow]) -> tuple[Array, Array, Array]:
    """Return the errors of TPOT, of mean TTFT and of its 99th percentile."""
    steps: dict[tuple[str, ReplicaLayout], GpuSteps] = {}
    errors = np.full((3, len(rows)), np.nan)
    for place, row in enumerate(rows):
        key = (row.model.name, row.layout)
        if key not in steps:
            steps[key] = GpuSteps(row.model, device, row.layout)
        times = times_s(steps[key], row, device.overhead(row.engine))
        measured = (row.tpot_s, row.ttft_s, row.ttft_p99_s)
        for kind, (time_s, measured_s) in enumerate(zip(times, measured, strict=True)):
            if measured_s is not None:
                errors[kind, place] = log(time_s / measured_s)
    return errors[0], errors[1], errors[2]
