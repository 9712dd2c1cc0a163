"""Power and energy of one device over engine steps, with the board's power limit.

The equation is that of `physics.power`. Numbers may be numpy arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import FLOOR_V, voltage
from cluster_sim.typing import Line, Number

_LEAST_CLOCK = 0.05
_NEWTON_STEPS = 8


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


def own_clock(power: Power, moving_w: Number, computing_w: Number) -> Number:
    """Return the clock at which a device runs at its power limit, as a share of the highest.

    It is 1 if the work stays below the limit. The rates of the work are those under the limit.
    Newton's method starts above the root of a convex, rising function and approaches it from above.

    Parameters
    ----------
    power
        Constants of the device.
    moving_w
        Power of the memory traffic [W].
    computing_w
        Power of the arithmetic at the voltage of the highest clock [W].

    Returns
    -------
    Number
        Clock as a share of the highest [1], of the shape of the arrays.
    """
    left_w = power.limit_w - power.busy_w - moving_w
    clock = np.ones(np.broadcast_shapes(np.shape(moving_w), np.shape(computing_w)))
    for _ in range(_NEWTON_STEPS):
        v = voltage(clock)
        over_w = (power.active_w * clock + computing_w) * v**2 - left_w
        if not np.any(over_w > 0.0):
            break
        slope = power.active_w * v**2 + (power.active_w * clock + computing_w) * 2.0 * v * (
            1.0 - FLOOR_V
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            clock = np.where(over_w > 0.0, np.maximum(clock - over_w / slope, _LEAST_CLOCK), clock)
    return clock


def step_w(
    power: Power,
    seconds: Number,
    moved_bytes: Number,
    arithmetic_j: Number,
    clock: Number = 1.0,
) -> Number:
    """Return the power of one device over a step [W].

    Parameters
    ----------
    power
        Constants of the device.
    seconds
        Length of the step [s].
    moved_bytes
        Bytes over the memory bus [B].
    arithmetic_j
        Energy of the arithmetic at the highest clock [J].
    clock
        Clock as a share of the own clock, at which only the power limit slows the device [1].

    Returns
    -------
    Number
        Power [W], at most the power limit of the board.

    Examples
    --------
    200 W, 100 W of active processors, 50 pJ/B at 2 TB/s, and 1 J of arithmetic in 10 ms:

    >>> from types import SimpleNamespace
    >>> watts = {"busy_w": 200.0, "active_w": 100.0, "limit_w": 700.0}
    >>> power = SimpleNamespace(memory_j_per_byte=50e-12, **watts)
    >>> float(step_w(power, 0.01, 2e10, 1.0))
    500.0
    """
    moving_w, computing_w = power.memory_j_per_byte * moved_bytes / seconds, arithmetic_j / seconds
    at = clock_of(power, moving_w, computing_w, clock)
    v = voltage(at)
    return np.minimum(
        power.busy_w + (power.active_w * at + computing_w) * v**2 + moving_w, power.limit_w
    )


def one_step_w(
    power: Power, seconds: float, moved_bytes: float, arithmetic_j: float, clock: float
) -> float:
    """Return `step_w` of single numbers [W], without arrays: a control loop asks often.

    NOTE: it takes 1 us, and `step_w` 30 us.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> watts = {"busy_w": 200.0, "active_w": 100.0, "limit_w": 700.0}
    >>> power = SimpleNamespace(memory_j_per_byte=50e-12, **watts)
    >>> one_step_w(power, 0.01, 2e10, 1.0, 1.0)
    500.0
    """
    moving_w, computing_w = power.memory_j_per_byte * moved_bytes / seconds, arithmetic_j / seconds
    at = 1.0
    if clock != 1.0:
        at = clock * one_own_clock(power, moving_w / clock, computing_w / clock)
    v = FLOOR_V + (1.0 - FLOOR_V) * at
    return min(power.busy_w + (power.active_w * at + computing_w) * v**2 + moving_w, power.limit_w)


def one_own_clock(power: Power, moving_w: float, computing_w: float) -> float:
    """Return `own_clock` of single numbers, without arrays."""
    left_w, clock = power.limit_w - power.busy_w - moving_w, 1.0
    for _ in range(_NEWTON_STEPS):
        v = FLOOR_V + (1.0 - FLOOR_V) * clock
        drawn_w = power.active_w * clock + computing_w
        over_w = drawn_w * v**2 - left_w
        if over_w <= 0.0:
            break
        slope = power.active_w * v**2 + drawn_w * 2.0 * v * (1.0 - FLOOR_V)
        clock = max(clock - over_w / slope, _LEAST_CLOCK)
    return clock


def clock_of(power: Power, moving_w: Number, computing_w: Number, clock: Number) -> Number:
    """Return the clock as a share of the highest, from a share of the own clock.

    The own clock is the one at the board's power limit, see `own_clock`. At the own clock the rates
    are higher than at `clock` by a factor of up to 1 / `clock`. Compute reaches that factor, and
    only compute-bound work is at the limit. A `clock` of 1 stays 1: the limit itself gives the
    power.

    Parameters
    ----------
    power
        Constants of the device.
    moving_w, computing_w
        Power of memory traffic and arithmetic at `clock`, see `own_clock` [W].
    clock
        Share of the own clock at which the rates are reached [1].

    Returns
    -------
    Number
        Clock as a share of the highest [1].
    """
    if np.all(np.asarray(clock) == 1.0):
        return clock
    return np.where(
        np.asarray(clock) == 1.0,
        1.0,
        clock * own_clock(power, moving_w / clock, computing_w / clock),
    )


def ramp_energy_j(power: Power, work: RampWork, clock: Number = 1.0) -> Number:
    """Return the energy of a run of steps on one device [J].

    The sum over the steps of min(demand, limit) is exact. Demand and limit are lines over the
    steps, and so is their difference. The sum of its positive terms is an arithmetic series.

    Parameters
    ----------
    power
        Constants of the device.
    work
        Work of the device over the run.
    clock
        Clock as a share of the highest [1].

    Returns
    -------
    Number
        Energy [J].

    Examples
    --------
    Ten steps of 10 ms at 500 W, see `step_w`:

    >>> from types import SimpleNamespace
    >>> watts = {"busy_w": 200.0, "active_w": 100.0, "limit_w": 700.0}
    >>> power = SimpleNamespace(memory_j_per_byte=50e-12, **watts)
    >>> float(ramp_energy_j(power, RampWork((0.01, 0.0), (2e10, 0.0), (1.0, 0.0), 10)))
    50.0
    """
    n, squared = np.asarray(work.steps, dtype=float), voltage(clock) ** 2
    lines = (work.seconds, work.moved_bytes, work.arithmetic_j)
    first, slope = (
        (power.busy_w + power.active_w * clock * squared) * seconds
        + power.memory_j_per_byte * moved_bytes
        + squared * arithmetic_j
        for seconds, moved_bytes, arithmetic_j in zip(*lines, strict=True)
    )
    first_s, slope_s = work.seconds
    over = _positive(first - power.limit_w * first_s, slope - power.limit_w * slope_s, n)
    return _series(first, slope, n) - over


def _series(first: Number, slope: Number, n: Number) -> Number:
    """Return the sum of n terms of an arithmetic series."""
    return n * first + slope * (n * (n - 1.0) * 0.5)


def _positive(first: Number, slope: Number, n: Number) -> Number:
    """Return the sum of max(first + i·slope, 0) over i from 0 to n - 1."""
    first, slope = np.asarray(first, dtype=float), np.asarray(slope, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.clip(np.ceil(-first / slope), 0.0, n)  # terms before the line crosses zero
    turn = np.where(slope == 0.0, np.where(first > 0.0, 0.0, n), turn)
    early = _series(first, slope, turn)
    return np.where(
        slope < 0.0, np.where(first > 0.0, early, 0.0), _series(first, slope, n) - early
    )
