"""Power of a device as a function of its work, at its limit and under a power cap.

    P = min(limit, busy - c (1 - f V²) + w active f V² + e_mem BW + e_flop FLOPS V²),
    V = 0.55 + 0.45 f

P, busy, active and c are in W, e_mem is in J/B, BW in B/s, e_flop in J/FLOP and FLOPS in FLOP/s.
f is the clock as a share of the highest clock, V the voltage as a share of the voltage at that
clock. w is the share of the time in which the processors hold work (`physics.step_power`). c is the
power of clocks that run without work: what a device with a loaded model draws more at its highest
clock than at its lowest. FLOPS and BW are the rates that the device reaches, so they depend on f
already. A CMOS circuit draws power in proportion to f V² (Chandrakasan et al., IEEE JSSC 27(4),
1992). The line of voltage over clock and the energies are fits to measured boards; the catalog
gives their sources. Numbers may be numpy arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.operating_point import CLOCK_ON_BANDWIDTH
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.hardware.precision import Precision
from cluster_sim.typing import Number

FLOOR_V = 0.55
"""Share of the highest voltage in the limit of a clock of 0."""


LOWEST_CLOCK = 345.0 / 1980.0
"""Clock at which a device without a CUDA context idles, as a share of the highest clock: that of an
H100 (arXiv 2605.23918)."""
_CLOCKED_SHARE = 1.0 - LOWEST_CLOCK * (FLOOR_V + (1.0 - FLOOR_V) * LOWEST_CLOCK) ** 2
"""Share of the power of idle clocks that ends at the lowest clock."""


class WorkRates(NamedTuple):
    """Rates at which a device moves bytes and computes."""

    bytes_per_s: Number
    """Bytes over the memory bus [B/s]."""
    flop_per_s: Number
    """Arithmetic [FLOP/s]."""
    precision: Precision
    """Precision of the arithmetic."""


def voltage(clock: Number) -> Number:
    """Return the voltage at a clock, both as shares of their highest values.

    >>> voltage(1.0), voltage(0.8)
    (1.0, 0.91)
    """
    return FLOOR_V + (1.0 - FLOOR_V) * clock


def clocked_w(power: Power) -> float:
    """Return the power that the clocks of an idle device draw at the highest clock [W].

    It is proportional to f V². A device with a loaded model idles at its highest clock, and one
    without a model at its lowest; memory and model cost nothing by themselves.

    Source: arXiv 2605.23918 (H100 71.8 W at 345 MHz and 121.7 W at 1980 MHz, A100 53.7 and 80.0 W,
    L40S 35.6 and 102 W; less than 0.02 W per GB of allocated memory).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> round(clocked_w(SimpleNamespace(loaded_idle_w=121.7, idle_w=71.8)), 1)
    53.6
    """
    return (power.loaded_idle_w - power.idle_w) / _CLOCKED_SHARE


def idle_at_clock_w(power: Power, clock: Number) -> Number:
    """Return the power of a device with a loaded model and no running work, at a clock [W].

    Below the lowest clock it is that at the lowest clock.

    Parameters
    ----------
    power
        Constants of the device.
    clock
        Clock as a share of the highest [1].

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> h100 = SimpleNamespace(loaded_idle_w=121.7, idle_w=71.8)
    >>> [round(float(idle_at_clock_w(h100, mhz / 1980.0)), 1) for mhz in (345.0, 1275.0, 1980.0)]
    [71.8, 92.4, 121.7]
    """
    held = np.maximum(clock, LOWEST_CLOCK)
    return power.loaded_idle_w - clocked_w(power) * (1.0 - held * voltage(held) ** 2)


def demand_w(power: Power, rates: WorkRates, clock: Number = 1.0, active: Number = 1.0) -> Number:
    """Return the power that a device would draw without its power limit [W].

    Parameters
    ----------
    power
        Constants of the device.
    rates
        Rates that the device reaches at `clock`.
    clock
        Clock as a share of the highest, above 0 and at most 1 [1].
    active
        Share of the time in which the processors hold work [1].

    Returns
    -------
    Number
        Power [W], of the shape of the arrays.
    """
    squared = voltage(clock) ** 2
    switching = active * clock * squared * power.active_w
    held_w = clocked_w(power)
    return (
        power.busy_w
        - held_w * (1.0 - clock * squared)
        + switching
        + power.memory_j_per_byte * rates.bytes_per_s
        + power.flop.of(rates.precision) * squared * rates.flop_per_s
    )


def memory_w(power: Power, bytes_per_s: Number) -> Number:
    """Return the part of a device's power that heats its memory [W].

    It is 0 if the memory is not a separate part, as on a wafer.

    Parameters
    ----------
    power
        Constants of the device.
    bytes_per_s
        Bytes over the memory bus [B/s].

    Returns
    -------
    Number
        Power [W], of the shape of the arrays.

    Examples
    --------
    30 W, and 10 pJ/B at 2 TB/s:

    >>> from types import SimpleNamespace
    >>> power = SimpleNamespace(memory_idle_w=30.0, memory_part_j_per_byte=10e-12)
    >>> memory_w(power, 2e12)
    50.0
    """
    return (
        0.0 * bytes_per_s
        if power.memory_idle_w is None
        else power.memory_idle_w + power.memory_part_j_per_byte * bytes_per_s
    )


def slowdown(clock: Number, computing: Number) -> Number:
    """Return the factor by which work takes longer at a lower clock.

    Compute time grows with the clock as 1/f. The time to read memory, whose clock does not change,
    grows as f^-0.13.

    Parameters
    ----------
    clock
        Clock as a share of the highest, above 0 and at most 1 [1].
    computing
        Share of compute in the time [1]; the rest is memory time.

    Returns
    -------
    Number
        Factor, at least 1 [1].

    Examples
    --------
    >>> slowdown(0.8, 1.0), round(slowdown(0.8, 0.0), 4)
    (1.25, 1.0294)
    """
    return computing / clock + (1.0 - computing) * clock**-CLOCK_ON_BANDWIDTH


def demand_at_clock_w(power: Power, rates: WorkRates, clock: float, computing: float) -> float:
    """Return the power at `clock` of work that reaches `rates` at the highest clock [W].

    `computing` is the share of compute in the time, see `slowdown`.
    """
    slower = slowdown(clock, computing)
    slowed = WorkRates(rates.bytes_per_s / slower, rates.flop_per_s / slower, rates.precision)
    return float(demand_w(power, slowed, clock))


def clock_under(
    power: Power, cap_w: float, rates: WorkRates, computing: float, floor: float = 0.1
) -> float:
    """Return the highest clock at which a device keeps a power cap, as a share of the maximum.

    Power grows with the clock, so bisection finds the clock to the last digit. The cap must be
    below the board's power limit: rates that were measured in long runs already include the clock
    at that limit.

    Parameters
    ----------
    power
        Constants of the device.
    cap_w
        Power cap of the device [W].
    rates
        Rates of the work at the highest clock.
    computing
        Share of compute in the time, see `slowdown` [1].
    floor
        Lowest clock, and the result if no clock keeps the cap [1].

    Returns
    -------
    float
        Clock as a share of the highest [1].
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
