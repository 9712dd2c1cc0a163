"""Power and energy of one device over engine steps, with the board's power limit.

The equation is that of `physics.power`. Numbers may be numpy arrays.

The processors do not hold work during the whole step: they wait for the host, for launches of
kernels, and for other devices. The share of the step in which they hold work is

    w = min(1, memory traffic / full traffic + arithmetic / full arithmetic)

where full traffic and full arithmetic are the rates at which nothing else fits into the step. Only
this share of the step draws `active` power. In the rest of the step the device draws its `busy`
power: clocks are up and kernels are short. Readings that it was compared with are in docs/energy.md.
"""

from __future__ import annotations

import numpy as np

from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import FLOOR_V, clocked_w, voltage
from cluster_sim.typing import Number

_LEAST_CLOCK = 0.05
_NEWTON_STEPS = 8


def working_share(
    power: Power, moving_w: Number, computing_w: Number, clock: Number = 1.0
) -> Number:
    """Return the share of a step in which the processors hold work [1].

    It is 1 if the device's file does not give the full rates.

    Parameters
    ----------
    power
        Constants of the device.
    moving_w
        Power of the memory traffic [W].
    computing_w
        Power of the arithmetic at the voltage of the highest clock [W].
    clock
        Share of the own clock at which the rates are reached; full arithmetic is slower by it [1].

    Examples
    --------
    A quarter of the full traffic, and a half of the arithmetic that fits at half of the clock:

    >>> from types import SimpleNamespace
    >>> power = SimpleNamespace(full_traffic_w=200.0, full_arithmetic_w=400.0)
    >>> working_share(power, 50.0, 100.0, 0.5)
    0.75
    """
    if power.full_traffic_w is None or power.full_arithmetic_w is None:
        return 1.0
    share = moving_w / power.full_traffic_w + computing_w / (clock * power.full_arithmetic_w)
    return min(share, 1.0) if isinstance(share, float) else np.minimum(share, 1.0)


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
    held_w = clocked_w(power)
    left_w = power.limit_w - power.busy_w + held_w - moving_w
    switching_w = held_w + power.active_w * working_share(power, moving_w, computing_w)
    clock = np.ones(np.broadcast_shapes(np.shape(moving_w), np.shape(computing_w)))
    for _ in range(_NEWTON_STEPS):
        v = voltage(clock)
        over_w = (switching_w * clock + computing_w) * v**2 - left_w
        if not np.any(over_w > 0.0):
            break
        slope = switching_w * v**2 + (switching_w * clock + computing_w) * 2.0 * v * (1.0 - FLOOR_V)
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
    >>> idle = {"loaded_idle_w": 90.0, "idle_w": 90.0, "full_traffic_w": None}
    >>> power = SimpleNamespace(memory_j_per_byte=50e-12, **watts, **idle)
    >>> float(step_w(power, 0.01, 2e10, 1.0))
    500.0
    """
    moving_w, computing_w = power.memory_j_per_byte * moved_bytes / seconds, arithmetic_j / seconds
    at = clock_of(power, moving_w, computing_w, clock)
    held_w = clocked_w(power)
    switching_w = held_w + power.active_w * working_share(power, moving_w, computing_w, clock)
    return np.minimum(
        power.busy_w - held_w + (switching_w * at + computing_w) * voltage(at) ** 2 + moving_w,
        power.limit_w,
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
    >>> idle = {"loaded_idle_w": 90.0, "idle_w": 90.0, "full_traffic_w": None}
    >>> power = SimpleNamespace(memory_j_per_byte=50e-12, **watts, **idle)
    >>> one_step_w(power, 0.01, 2e10, 1.0, 1.0)
    500.0
    """
    moving_w, computing_w = power.memory_j_per_byte * moved_bytes / seconds, arithmetic_j / seconds
    at = 1.0
    if clock != 1.0:
        at = clock * one_own_clock(power, moving_w / clock, computing_w / clock)
    v, held_w = FLOOR_V + (1.0 - FLOOR_V) * at, clocked_w(power)
    switching_w = held_w + power.active_w * working_share(power, moving_w, computing_w, clock)
    demand_w: float = power.busy_w - held_w + (switching_w * at + computing_w) * v**2 + moving_w
    return min(demand_w, power.limit_w)


def one_own_clock(power: Power, moving_w: float, computing_w: float) -> float:
    """Return `own_clock` of single numbers, without arrays."""
    held_w, clock = clocked_w(power), 1.0
    left_w = power.limit_w - power.busy_w + held_w - moving_w
    switching_w = held_w + power.active_w * working_share(power, moving_w, computing_w)
    for _ in range(_NEWTON_STEPS):
        v = FLOOR_V + (1.0 - FLOOR_V) * clock
        drawn_w = switching_w * clock + computing_w
        over_w = drawn_w * v**2 - left_w
        if over_w <= 0.0:
            break
        slope = switching_w * v**2 + drawn_w * 2.0 * v * (1.0 - FLOOR_V)
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
