"""Leakage of a die, which grows with its temperature.

    P_leak(T) = P_leak(60) exp((T - 60) / 70)

P_leak is in W and T in °C. Estimate: leakage of H100 and later is not published by temperature.
The line through 60 °C with the slope of the curve there replaces the curve, so that a thermal
network with leakage is solved in closed form. From 30 to 87 °C the line gives 0.81 P_leak(60) more,
and the curve 0.82.

The constants of a device's power were measured on boards that were warm themselves, and so they
contain the leakage of those boards. Only the difference counts:

    L = slope (Td - Tin' - Rd Pd - Rm Pm)

Td is the temperature of the die. Tin' is the temperature of the coolant of the boards that were
measured, and the rest is the rise of their dies in the steady state under the same power, with the
full flow. L is 0 for a board like those, and negative for a colder die.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from cluster_sim.hardware.power_and_cooling import Cooling, Power
from cluster_sim.typing import Number

_KELVIN_PER_E = 70.0
"""Rise of the temperature at which leakage grows by the factor e [K]."""
_MOST_GAIN = 0.9
"""Maximum of the kelvins by which leakage warms a die per kelvin, see `stable`."""


class Leak(NamedTuple):
    """Change of a device's leakage with the temperature of its die."""

    w_per_k: float = 0.0
    """Slope [W/K]; 0 for a device without a figure of its leakage."""
    inlet_c: float = 0.0
    """Temperature of the coolant of the boards that were measured [°C]."""
    die_k_per_w: float = 0.0
    """Rise of their dies per watt in the die [K/W]."""
    memory_k_per_w: float = 0.0
    """Rise of their dies per watt in the memory [K/W]."""

    def watts(self, die_c: Number, die_w: Number, memory_w: Number) -> Number:
        """Return the leakage relative to that in the constants of the power [W].

        Parameters
        ----------
        die_c
            Temperature of the die [°C].
        die_w, memory_w
            Power of die and memory, without this leakage [W].
        """
        measured_c = self.inlet_c + self.die_k_per_w * die_w + self.memory_k_per_w * memory_w
        return self.w_per_k * (die_c - measured_c)


NO_LEAK = Leak()
"""Leakage of a device whose file does not give it."""


def leak_of(power: Power, cooling: Cooling) -> Leak:
    """Return the leakage of a device by the temperature of its die.

    Parameters
    ----------
    power
        Power model of the device.
    cooling
        Path of its heat at full flow.

    Examples
    --------
    140 W at 60 °C, through 0.01 + 0.02 K/W and a coolant that warms by 0.01 K/W:

    >>> from types import SimpleNamespace
    >>> leakage = SimpleNamespace(at_60_w=140.0, reference_c=22.0)
    >>> paths = {"die_to_sink_k_per_w": 0.01, "sink_to_coolant_k_per_w": 0.02}
    >>> coolant = {"coolant_rise_k_per_w": 0.01, "memory_j_per_k": None}
    >>> cooling = SimpleNamespace(**paths, **coolant)
    >>> leak = leak_of(SimpleNamespace(leakage=leakage), cooling)
    >>> leak.w_per_k, round(leak.die_k_per_w, 6)
    (2.0, 0.04)
    >>> round(leak.watts(60.0, 700.0, 0.0), 6)  # 60 - 22 - 28 K warmer
    20.0
    """
    if power.leakage is None:
        return NO_LEAK
    slope, inlet_c = power.leakage.at_60_w / _KELVIN_PER_E, power.leakage.reference_c
    return Leak(slope, inlet_c, *_rises_k_per_w(cooling))


def stable(leak: Leak, cooling: Cooling) -> Leak:
    """Return the leakage with its slope limited to what `cooling` can remove.

    A failure may leave so little flow that leakage alone would heat the die indefinitely. The limit
    then is nine tenths of that slope: the die becomes so hot that it shuts down, as it would with
    the full slope.

    Parameters
    ----------
    leak
        Leakage of the die.
    cooling
        Path of its heat at the present flow.
    """
    die_k_per_w, _ = _rises_k_per_w(cooling)
    return leak._replace(w_per_k=min(leak.w_per_k, _MOST_GAIN / die_k_per_w))


def coldest_c(leak: Leak, idle_w: float) -> float:
    """Return the temperature of the coolant in which a device would draw no power [°C].

    The line of the leakage is too low far below the temperatures at which devices work. A device
    in colder coolant would draw negative power; no flow of the coolant changes that.

    Parameters
    ----------
    leak
        Leakage of the die.
    idle_w
        Lowest power of the device without this leakage [W].

    Examples
    --------
    2 W/K through 0.04 K/W, measured in 22 °C: 50 W are gone 25 K below 24 °C.

    >>> round(coldest_c(Leak(2.0, 22.0, 0.04, 0.04), 50.0), 6)
    -1.0
    """
    if not leak.w_per_k:
        return -inf
    return leak.inlet_c + leak.die_k_per_w * idle_w - idle_w / leak.w_per_k


def _rises_k_per_w(cooling: Cooling) -> tuple[float, float]:
    """Return the rise of the die over the coolant that arrives [K/W].

    The first is that per watt in the die, the second that per watt in the memory.
    """
    shared = cooling.sink_to_coolant_k_per_w + cooling.coolant_rise_k_per_w
    die = cooling.die_to_sink_k_per_w
    if cooling.memory_j_per_k is None:
        return die + shared, die + shared
    memory, across = cooling.memory_to_sink_k_per_w, cooling.die_to_memory_k_per_w
    assert memory is not None and across is not None
    # die and memory are joined through the sink and directly: a triangle of resistances
    around = die + memory + across
    return die * (memory + across) / around + shared, die * memory / around + shared
