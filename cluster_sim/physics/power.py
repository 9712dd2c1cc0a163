"""Power of devices and nodes: from what runs, under a power limit, and summed over runs of steps.

    P = min(limit, busy + active f V² + e_mem BW + e_flop FLOPS V²),  V = 0.55 + 0.45 f

with f the clock as a share of the highest and V the voltage as a share of that at it. A CMOS
circuit draws in proportion to f V² (Chandrakasan et al., IEEE JSSC 27(4), 1992); the line of
voltage over clock and the energies are fits to boards that were measured, see the catalog. FLOPS
and BW are the rates that are reached, so f is in them already. Numbers may be numpy arrays.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.operating_point import CLOCK_ON_BANDWIDTH
from cluster_sim.hardware.power_and_cooling import Power, Surroundings
from cluster_sim.hardware.precision import Precision
from cluster_sim.typing import Line, Number

_FLOOR_V = 0.55
_LEAST_CLOCK = 0.05
_NEWTON_STEPS = 8


class WorkRates(NamedTuple):
    """Rates at which a device moves bytes and computes."""

    bytes_per_s: Number
    """Bytes that cross the memory bus [B/s]."""
    flop_per_s: Number
    """Arithmetic [FLOP/s]."""
    precision: Precision
    """Precision of the arithmetic."""


class RampWork(NamedTuple):
    """Work of one device over a run of steps, each quantity a line over the steps."""

    seconds: Line
    """Lengths of the steps [s]."""
    moved_bytes: Line
    """Bytes that cross the memory bus per step [B]."""
    arithmetic_j: Line
    """Energy of the arithmetic per step at the highest clock [J]."""
    steps: Number
    """Number of steps."""


def voltage(clock: Number) -> Number:
    """Return the share of the highest voltage at a share of the highest clock.

    >>> voltage(1.0), voltage(0.8)
    (1.0, 0.91)
    """
    return _FLOOR_V + (1.0 - _FLOOR_V) * clock


def demand_w(power: Power, rates: WorkRates, clock: Number = 1.0, active: Number = 1.0) -> Number:
    """Return the power that a device would draw without its limit [W].

    Parameters
    ----------
    power
        Constants of the device.
    rates
        Rates that the device reaches at `clock`.
    clock
        Share of the highest clock, above 0 and at most 1 [1].
    active
        Share of the time in which the processors hold work [1].
    """
    squared = voltage(clock) ** 2
    switching = active * clock * squared * power.active_w
    return (
        power.busy_w
        + switching
        + power.memory_j_per_byte * rates.bytes_per_s
        + power.flop.of(rates.precision) * squared * rates.flop_per_s
    )


def memory_w(power: Power, bytes_per_s: Number) -> Number:
    """Return the part of a device's power that warms its memory [W].

    It is 0 where memory is no part of its own, as on a wafer.
    """
    return (
        0.0 * bytes_per_s
        if power.memory_idle_w is None
        else power.memory_idle_w + power.memory_part_j_per_byte * bytes_per_s
    )


def slowdown(clock: Number, computing: Number) -> Number:
    """Return the factor by which work takes longer at a lower clock.

    Time of computing grows as 1/f. Time of reading memory, whose own clock stays, grows as f^-0.13.

    Parameters
    ----------
    clock
        Share of the highest clock, above 0 and at most 1 [1].
    computing
        Share of the time that follows the clock [1]; the rest follows the memory.

    Examples
    --------
    >>> slowdown(0.8, 1.0), round(slowdown(0.8, 0.0), 4)
    (1.25, 1.0294)
    """
    return computing / clock + (1.0 - computing) * clock**-CLOCK_ON_BANDWIDTH


def demand_at_clock_w(power: Power, rates: WorkRates, clock: float, computing: float) -> float:
    """Return the power at `clock` of work that reaches `rates` at the highest clock [W].

    `computing` is the share of the time that follows the clock, see `slowdown`.
    """
    slower = slowdown(clock, computing)
    slowed = WorkRates(rates.bytes_per_s / slower, rates.flop_per_s / slower, rates.precision)
    return float(demand_w(power, slowed, clock))


def clock_under(
    power: Power, cap_w: float, rates: WorkRates, computing: float, floor: float = 0.1
) -> float:
    """Return the highest clock at which a device keeps a power cap, as a share of the highest.

    Power grows with the clock, so bisection finds the answer, to the last digit. The cap must be
    below the board's own limit: rates that were measured in long runs have the clock of that limit
    in them already.

    Parameters
    ----------
    power
        Constants of the device.
    cap_w
        Power that the device may draw [W].
    rates
        Rates that the work would reach at the highest clock.
    computing
        Share of the time that follows the clock, see `slowdown` [1].
    floor
        Lowest clock, which is the answer where no clock keeps the cap [1].
    """
    if demand_at_clock_w(power, rates, 1.0, computing) <= cap_w:
        return 1.0
    low, high = floor, 1.0
    if demand_at_clock_w(power, rates, floor, computing) >= cap_w:
        return floor
    while low < (middle := 0.5 * (low + high)) < high:
        if demand_at_clock_w(power, rates, middle, computing) <= cap_w:
            low = middle
        else:
            high = middle
    return low


def own_clock(power: Power, moving_w: Number, computing_w: Number) -> Number:
    """Return the clock that the board's own limit leaves to work, as a share of the highest.

    The work reaches its rates under that limit. Newton's method on a convex, rising function starts
    above the root and comes down to it without passing it. The clock is 1 where the limit is not
    reached.

    Parameters
    ----------
    power
        Constants of the device.
    moving_w
        Power of the bytes that the work moves [W].
    computing_w
        Power of the arithmetic at the voltage of the highest clock [W].
    """
    left_w = power.limit_w - power.busy_w - moving_w
    clock = np.ones(np.broadcast_shapes(np.shape(moving_w), np.shape(computing_w)))
    for _ in range(_NEWTON_STEPS):
        v = voltage(clock)
        over_w = (power.active_w * clock + computing_w) * v**2 - left_w
        if not np.any(over_w > 0.0):
            break
        slope = power.active_w * v**2 + (power.active_w * clock + computing_w) * 2.0 * v * (
            1.0 - _FLOOR_V
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
        Bytes that cross the memory bus [B].
    arithmetic_j
        Energy of the arithmetic at the highest clock [J].
    clock
        Share of the clock at which the device runs such work when only its own limit slows it [1].
    """
    moving_w, computing_w = power.memory_j_per_byte * moved_bytes / seconds, arithmetic_j / seconds
    at = clock_of(power, moving_w, computing_w, clock)
    v = voltage(at)
    return np.minimum(
        power.busy_w + (power.active_w * at + computing_w) * v**2 + moving_w, power.limit_w
    )


def clock_of(power: Power, moving_w: Number, computing_w: Number, clock: Number) -> Number:
    """Return the clock as a share of the highest, from one as a share of the own clock.

    The own clock is that which the board's limit leaves, see `own_clock`. At it the rates are
    higher by at most 1 / `clock`, which is what computing gains, and only work that computes is at
    the limit. A `clock` of 1 stays 1: there the limit itself gives the power.

    Parameters
    ----------
    power
        Constants of the device.
    moving_w, computing_w
        Power of bytes and arithmetic at `clock`, as for `own_clock` [W].
    clock
        Share of the own clock at which the rates are reached [1].
    """
    if np.all(np.asarray(clock) == 1.0):
        return clock
    return np.where(
        np.asarray(clock) == 1.0,
        1.0,
        clock * own_clock(power, moving_w / clock, computing_w / clock),
    )


def ramp_energy_j(power: Power, work: RampWork, clock: Number = 1.0) -> Number:
    """Return the energy of a run of steps on one device at a share of the highest clock [J].

    The sum over steps of the lesser of demand and limit is exact: demand and limit are lines over
    the steps, and so is what demand exceeds the limit by. The sum of its positive terms is an
    arithmetic series.
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
        turn = np.clip(np.ceil(-first / slope), 0.0, n)  # terms before the line meets zero
    turn = np.where(slope == 0.0, np.where(first > 0.0, 0.0, n), turn)
    early = _series(first, slope, turn)
    return np.where(
        slope < 0.0, np.where(first > 0.0, early, 0.0), _series(first, slope, n) - early
    )


def surroundings_w(around: Surroundings, devices_w: Number, most_w: float) -> Number:
    """Return the power of a node beside its devices [W].

    Fans and losses of supplies grow faster than what they serve: a base, and the rest with the
    square of the devices' load (estimate).

    Parameters
    ----------
    around
        Constants of the node.
    devices_w
        Power of all its devices together [W].
    most_w
        Power of all its devices at their limits [W].

    Examples
    --------
    >>> from cluster_sim.hardware.power_and_cooling import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> surroundings_w(dgx, 4000.0, 8000.0)
    3300.0
    """
    return around.base_w + (around.most_w - around.base_w) * (devices_w / most_w) ** 2


def devices_under_w(around: Surroundings | None, node_w: float, most_w: float) -> float:
    """Return the power that a node's devices may draw together for the node to draw `node_w` [W].

    It is the positive root of a quadratic, see `surroundings_w`; 0 where the node draws more even
    without its devices.

    Parameters
    ----------
    around
        Constants of the node; None where it draws nothing beside its devices.
    node_w
        Power of the node [W].
    most_w
        Power of all its devices at their limits [W].

    Examples
    --------
    >>> from cluster_sim.hardware.power_and_cooling import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> round(devices_under_w(dgx, 4000.0 + 3300.0, 8000.0), 6)
    4000.0
    """
    if around is None:
        return max(node_w, 0.0)
    left_w, bend = max(node_w - around.base_w, 0.0), (around.most_w - around.base_w) / most_w**2
    return 2.0 * left_w / (1.0 + sqrt(1.0 + 4.0 * bend * left_w))
