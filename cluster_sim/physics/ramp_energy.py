"""Energy of a device over a run of engine steps, in closed form.

The equation of each step is that of `physics.step_power`. Numbers may be numpy arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import clocked_w, voltage
from cluster_sim.typing import Array, Line, Number


class RampWork(NamedTuple):
    """Work of one device over a run of steps; each quantity is a line over the steps."""

    seconds: Line
    """Lengths of the steps [s]."""
    moved_bytes: Line
    """Bytes over the memory bus per step [B]."""
    arithmetic_j: Line
    """Energy of the arithmetic per step at the highest clock [J]."""
    steps: Number
    """Number of steps."""


def ramp_energy_j(
    power: Power, work: RampWork, clock: Number = 1.0, own_share: Number = 1.0
) -> Number:
    """Return the energy of a run of steps on one device [J].

    The sum over the steps of min(demand, limit) is exact. Step lengths, traffic and arithmetic are
    lines over the steps, and so is the time in which the processors hold work until it reaches
    the whole step. The steps before and after that are summed apart: there demand and limit are
    lines, and the positive terms of their difference are an arithmetic series.

    Parameters
    ----------
    power
        Constants of the device.
    work
        Work of the device over the run.
    clock
        Clock as a share of the highest [1].
    own_share
        Clock as a share of the own clock, see `working_share` [1].

    Returns
    -------
    Number
        Energy [J].

    Examples
    --------
    Ten steps of 10 ms at 500 W, see `step_w`:

    >>> from types import SimpleNamespace
    >>> watts = {"busy_w": 200.0, "active_w": 100.0, "limit_w": 700.0}
    >>> idle = {"loaded_idle_w": 90.0, "idle_w": 90.0, "full_traffic_w": None}
    >>> power = SimpleNamespace(memory_j_per_byte=50e-12, **watts, **idle)
    >>> float(ramp_energy_j(power, RampWork((0.01, 0.0), (2e10, 0.0), (1.0, 0.0), 10)))
    50.0
    """
    n, at_w = np.asarray(work.steps, dtype=float), clock * voltage(clock) ** 2
    held_w = clocked_w(power)
    steady_w, squared = power.busy_w + held_w * (at_w - 1.0), voltage(clock) ** 2
    lines = zip(work.seconds, work.moved_bytes, work.arithmetic_j, strict=True)
    first, slope = (
        steady_w * seconds + power.memory_j_per_byte * moved_bytes + squared * arithmetic_j
        for seconds, moved_bytes, arithmetic_j in lines
    )
    demand = first, slope
    active_w = power.active_w * at_w
    if not power.active_w or power.full_traffic_w is None or power.full_arithmetic_w is None:
        return _limited(power, work.seconds, _plus(demand, active_w, work.seconds), (0.0, n))
    first_s, slope_s = (
        power.memory_j_per_byte * moved_bytes / power.full_traffic_w
        + arithmetic_j / (own_share * power.full_arithmetic_w)
        for moved_bytes, arithmetic_j in zip(work.moved_bytes, work.arithmetic_j, strict=True)
    )
    holding = first_s, slope_s
    free_s, more_s = work.seconds[0] - holding[0], work.seconds[1] - holding[1]
    turn = _crossing(free_s, more_s, n)
    starts_free = (free_s > 0.0) | ((free_s == 0.0) & (more_s > 0.0))
    partly, wholly = (_plus(demand, active_w, time) for time in (holding, work.seconds))
    first, last = (0.0, turn), (turn, n)
    return np.where(
        starts_free,
        _limited(power, work.seconds, partly, first) + _limited(power, work.seconds, wholly, last),
        _limited(power, work.seconds, wholly, first) + _limited(power, work.seconds, partly, last),
    )


def _plus(demand: Line, watts: Number, seconds: Line) -> Line:
    """Return the energy of steps with further power over a time of each step [J]."""
    return demand[0] + watts * seconds[0], demand[1] + watts * seconds[1]


def _limited(power: Power, seconds: Line, demand: Line, steps: tuple[Number, Number]) -> Number:
    """Return the sum of min(demand, limit) over the steps from `steps[0]` until `steps[1]` [J]."""
    start, end = steps
    n = end - start
    (first_s, slope_s), (first, slope) = seconds, demand
    first, first_s = first + start * slope, first_s + start * slope_s
    over = _positive(first - power.limit_w * first_s, slope - power.limit_w * slope_s, n)
    return _series(first, slope, n) - over


def _series(first: Number, slope: Number, n: Number) -> Number:
    """Return the sum of n terms of an arithmetic series."""
    return n * first + slope * (n * (n - 1.0) * 0.5)


def _positive(first: Number, slope: Number, n: Number) -> Number:
    """Return the sum of max(first + i·slope, 0) over i from 0 to n - 1."""
    first, slope, turn = _turn(first, slope, n)
    turn = np.where(slope == 0.0, np.where(first > 0.0, 0.0, n), turn)
    early = _series(first, slope, turn)
    return np.where(
        slope < 0.0, np.where(first > 0.0, early, 0.0), _series(first, slope, n) - early
    )


def _crossing(first: Number, slope: Number, n: Number) -> Number:
    """Return the number of terms of a line before it changes its sign; n if it never does."""
    first, slope, turn = _turn(first, slope, n)
    return np.where(first * slope < 0.0, turn, n)


def _turn(first: Number, slope: Number, n: Number) -> tuple[Array, Array, Array]:
    """Return first term and slope of a line as arrays, and its terms before it crosses zero.

    The number of terms is from 0 to n, and is not valid if the slope is 0.
    """
    first, slope = np.asarray(first, dtype=float), np.asarray(slope, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return first, slope, np.clip(np.ceil(-first / slope), 0.0, n)
