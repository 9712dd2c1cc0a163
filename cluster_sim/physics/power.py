"""What devices and nodes draw: from what runs, under a power limit, and summed over runs of like
steps.

    P = min(limit, busy + active f V² + e_mem BW + e_flop FLOPS V²),  V = 0.55 + 0.45 f

with f the clock as a share of the highest and V the voltage as a share of that at it. A CMOS
circuit draws in proportion to f V² (Chandrakasan et al., IEEE JSSC 27(4), 1992); the line of
voltage over clock and the energies are fits to boards that were measured, see the catalog. FLOPS
and BW are the rates that are reached, so f is in them already. Numbers may be numpy arrays.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from cluster_sim.hardware.operating_point import CLOCK_ON_BANDWIDTH
from cluster_sim.hardware.power_and_cooling import Power, Surroundings
from cluster_sim.hardware.precision import Precision

Number = Any  # float or an array of them
Line = tuple[Number, Number]  # first, slope

_FLOOR_V = 0.55
_LEAST_CLOCK = 0.05
_NEWTON_STEPS = 8


def voltage(clock: Number) -> Number:
    """Share of the highest voltage at a share of the highest clock.

    >>> voltage(1.0), voltage(0.8)
    (1.0, 0.91)
    """
    return _FLOOR_V + (1.0 - _FLOOR_V) * clock


def demand_w(
    power: Power,
    bytes_per_s: Number,
    flop_per_s: Number,
    precision: Precision,
    clock: Number = 1.0,
    active: Number = 1.0,
) -> Number:
    """Watts that a device would draw without its limit.

    bytes_per_s, flop_per_s: what it reaches at `clock`, a share of the highest; active: share of
    the time in which its processors hold work.
    """
    squared = voltage(clock) ** 2
    switching = active * clock * squared * power.active_w
    return (
        power.busy_w
        + switching
        + power.memory_j_per_byte * bytes_per_s
        + power.flop.of(precision) * squared * flop_per_s
    )


def memory_w(power: Power, bytes_per_s: Number) -> Number:
    """Of what a device draws, the part that warms its memory [W]; 0 where memory is no part of its
    own.
    """
    return (
        0.0 * bytes_per_s
        if power.memory_idle_w is None
        else power.memory_idle_w + power.memory_part_j_per_byte * bytes_per_s
    )


def slowdown(clock: Number, computing: Number) -> Number:
    """How much longer work takes at `clock` (above 0) of which a share `computing` follows the
    clock and the rest the memory.

    Time of computing is as 1/f, of reading memory as f^-0.13, its own clock being untouched.

    >>> slowdown(0.8, 1.0), round(slowdown(0.8, 0.0), 4)
    (1.25, 1.0294)
    """
    return computing / clock + (1.0 - computing) * clock**-CLOCK_ON_BANDWIDTH


def demand_at_clock_w(
    power: Power,
    bytes_per_s: float,
    flop_per_s: float,
    precision: Precision,
    clock: float,
    computing: float,
) -> float:
    """Watts at `clock` of work that reaches these rates at the highest one."""
    slower = slowdown(clock, computing)
    return float(demand_w(power, bytes_per_s / slower, flop_per_s / slower, precision, clock))


def clock_under(
    power: Power,
    cap_w: float,
    bytes_per_s: float,
    flop_per_s: float,
    precision: Precision,
    computing: float,
    floor: float = 0.1,
) -> float:
    """The highest clock, as a share, at which a device keeps `cap_w`; `floor` where none from there
    on does.

    bytes_per_s, flop_per_s: what the work would reach at the highest clock, at which `computing` of
    its time follows the clock. Power grows with the clock, so the answer is found by bisection, to
    the last digit. For caps below the board's own limit:
    rates that were measured in long runs have the clock of that limit in them already.
    """
    if demand_at_clock_w(power, bytes_per_s, flop_per_s, precision, 1.0, computing) <= cap_w:
        return 1.0
    low, high = floor, 1.0
    if demand_at_clock_w(power, bytes_per_s, flop_per_s, precision, floor, computing) >= cap_w:
        return floor
    while low < (middle := 0.5 * (low + high)) < high:
        if demand_at_clock_w(power, bytes_per_s, flop_per_s, precision, middle, computing) <= cap_w:
            low = middle
        else:
            high = middle
    return low


def own_clock(power: Power, moving_w: Number, computing_w: Number) -> Number:
    """The clock, a share of the highest, that the board's own limit leaves to work that reaches
    these rates under it; 1 where it does not bind.

    moving_w: of the bytes; computing_w: of the arithmetic at the highest clock. Newton's method on
    a convex, rising function from above its root: it comes down to it without passing it.
    """
    room_w = power.limit_w - power.busy_w - moving_w
    clock = np.ones(np.broadcast_shapes(np.shape(moving_w), np.shape(computing_w)))
    for _ in range(_NEWTON_STEPS):
        v = voltage(clock)
        over_w = (power.active_w * clock + computing_w) * v**2 - room_w
        if not np.any(over_w > 0.0):
            break
        slope = power.active_w * v**2 + (power.active_w * clock + computing_w) * 2.0 * v * (
            1.0 - _FLOOR_V
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            clock = np.where(over_w > 0.0, np.maximum(clock - over_w / slope, _LEAST_CLOCK), clock)
    return clock


def step_w(
    power: Power, seconds: Number, moved: Number, arithmetic_j: Number, clock: Number = 1.0
) -> Number:
    """Watts of one device over a step that takes `seconds`, moves `moved` bytes and computes for
    `arithmetic_j` (at the highest clock).

    clock: a share of the clock at which the device runs such work when nothing but its own limit
    slows it.
    """
    moving_w, computing_w = power.memory_j_per_byte * moved / seconds, arithmetic_j / seconds
    at = clock_of(power, moving_w, computing_w, clock)
    v = voltage(at)
    return np.minimum(
        power.busy_w + (power.active_w * at + computing_w) * v**2 + moving_w, power.limit_w
    )


def clock_of(power: Power, moving_w: Number, computing_w: Number, clock: Number) -> Number:
    """Share of the highest clock, where `clock` is the share of the own one at which these rates
    are reached.

    At the own clock they are higher by at most its inverse, which is what computing gains, and only
    work that computes is at the limit. At a clock of 1 the limit itself tells what is drawn.
    """
    if np.all(np.asarray(clock) == 1.0):
        return clock
    return np.where(
        np.asarray(clock) == 1.0,
        1.0,
        clock * own_clock(power, moving_w / clock, computing_w / clock),
    )


def ramp_energy_j(
    power: Power, seconds: Line, moved: Line, arithmetic_j: Line, steps: Number, clock: Number = 1.0
) -> Number:
    """Joules of runs of like steps on one device at `clock`, exactly: the sum over steps of the
    lesser of demand and limit.

    Seconds, bytes moved and energy of the arithmetic (at the highest clock) of the i-th step are
    first + i·slope, each given as (first, slope). Demand and limit are straight lines in i as well,
    and so is what demand exceeds the limit by: the sum of its positive terms is an arithmetic
    series.
    """
    n, squared = np.asarray(steps, dtype=float), voltage(clock) ** 2
    first, slope = (
        (power.busy_w + power.active_w * clock * squared) * of_time
        + power.memory_j_per_byte * of_bytes
        + squared * of_flop
        for of_time, of_bytes, of_flop in zip(seconds, moved, arithmetic_j, strict=True)
    )
    over = _positive(first - power.limit_w * seconds[0], slope - power.limit_w * seconds[1], n)
    return _series(first, slope, n) - over


def _series(first: Number, slope: Number, n: Number) -> Number:
    return n * first + slope * (n * (n - 1.0) * 0.5)


def _positive(first: Number, slope: Number, n: Number) -> Number:
    """Sum of max(first + i·slope, 0) over i from 0 to n - 1."""
    first, slope = np.asarray(first, dtype=float), np.asarray(slope, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.clip(np.ceil(-first / slope), 0.0, n)  # terms before the line meets zero
    turn = np.where(slope == 0.0, np.where(first > 0.0, 0.0, n), turn)
    early = _series(first, slope, turn)
    return np.where(
        slope < 0.0, np.where(first > 0.0, early, 0.0), _series(first, slope, n) - early
    )


def devices_under_w(around: Surroundings | None, node_w: float, most_w: float) -> float:
    """Watts that the devices of a node may draw together for the node to draw `node_w`; 0 where it
    draws more without them.

    most_w: of the devices at their limits. The positive root of a quadratic, see `surroundings_w`.

    >>> from cluster_sim.hardware.power_and_cooling import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> round(devices_under_w(dgx, 4000.0 + 3300.0, 8000.0), 6)
    4000.0
    """
    if around is None:
        return max(node_w, 0.0)
    left_w, bend = max(node_w - around.base_w, 0.0), (around.most_w - around.base_w) / most_w**2
    return 2.0 * left_w / (1.0 + sqrt(1.0 + 4.0 * bend * left_w))


def surroundings_w(around: Surroundings, devices_w: Number, most_w: float) -> Number:
    """Watts of a node beside its devices, which draw `devices_w` together and `most_w` at their
    limits.

    Fans and losses of supplies grow faster than what they serve: a base, and the rest with the
    square of the devices' load (estimate).

    >>> from cluster_sim.hardware.power_and_cooling import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> surroundings_w(dgx, 4000.0, 8000.0)
    3300.0
    """
    return around.base_w + (around.most_w - around.base_w) * (devices_w / most_w) ** 2
