"""Heat of one device: die, memory, heat sink and coolant as a linear network, solved by its
eigenvalues.

    Cd dTd/dt = Pd - (Td - Ts)/Rds - (Td - Tm)/Rdm                  die
    Cm dTm/dt = Pm - (Tm - Ts)/Rms - (Tm - Td)/Rdm                  memory
    Cs dTs/dt = (Td - Ts)/Rds + (Tm - Ts)/Rms - (Ts - Tc)/Rsa       heat sink or cold plate
    lag dTc/dt = Tin + rise (Pd + Pm) - Tc                          coolant

Under constant power each temperature is its steady value and a sum of exponentials, so its state
after any time and the next time it crosses a limit are found, not stepped to. A Cauer network; see
e.g. JEDEC JESD51-14 for such ladders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from cluster_sim.hardware.memory import Refresh
from cluster_sim.hardware.power_and_cooling import Cooling

Array = NDArray[np.float64]

DIE = 0
"""Places in a state; the coolant's is the last, the sink's the one before it, and memory's, where
there is one, 1."""
MEMORY = 1
_FLOW_ON_SINK = 0.38
_BLOCK = 300.0  # of the fastest time constant: e^300 is far from the largest number
_SETTLED = 60.0  # time constants after which nothing moves: e^-60 is below the last digit


@dataclass(frozen=True)
class Heat:
    """What warms a device, constant for a while."""

    die_w: float
    memory_w: float
    """0 where memory is on the die."""
    inlet_c: float
    """Of the coolant that reaches it, preheating included: see `inlet_c`."""


def inlet_c(cooling: Cooling, supply_c: float, upstream_w: float) -> float:
    """Temperature of the coolant at a device [degC] when the site supplies it at `supply_c` and a
    device in front of it draws `upstream_w`.

    >>> from cluster_sim.hardware.power_and_cooling import Cooling
    >>> rear = Cooling.model_validate({"medium": "air", "die_to_sink": "0.02 K/W", "sink_to_coolant": "0.03 K/W", "coolant_rise": "0.006 K/W",
    ...     "preheat": "0.014 K/W", "die": "45 J/K", "sink": "650 J/K", "coolant_lag": "1 s"})
    >>> round(inlet_c(rear, 25.0, 700.0), 6)
    34.8
    """
    return supply_c + cooling.preheat_k_per_w * upstream_w


def upstream(cooling: Cooling, place: int) -> int | None:
    """Place within its node of the device in front of the one at `place`; None where the coolant
    reaches that first.
    """
    return None if cooling.front is None or place < cooling.front else place - cooling.front


def with_flow(cooling: Cooling, share: float) -> Cooling:
    """`cooling` with a share (above 0) of its air or water, as after the loss of a fan or a pump.

    The coolant warms by as much more as there is less of it (balance of energy); the way from sink
    to coolant resists as the flow to the power -0.38, a third more at half of it (estimate; forced
    convection alone is 0.8, and part of it is metal).

    >>> from cluster_sim.hardware.power_and_cooling import Cooling
    >>> plate = Cooling.model_validate({"medium": "liquid", "die_to_sink": "0.01 K/W", "sink_to_coolant": "0.01 K/W",
    ...     "coolant_rise": "0.005 K/W", "die": "90 J/K", "sink": "300 J/K", "coolant_lag": "2 s"})
    >>> half = with_flow(plate, 0.5)
    >>> half.coolant_rise_k_per_w, round(half.sink_to_coolant_k_per_w, 4)
    (0.01, 0.013)
    """
    if share == 1.0:
        return cooling
    return cooling.model_copy(update={
        "sink_to_coolant_k_per_w": cooling.sink_to_coolant_k_per_w * share**-_FLOW_ON_SINK,
        "coolant_rise_k_per_w": cooling.coolant_rise_k_per_w / share,
        "preheat_k_per_w": cooling.preheat_k_per_w / share,
    })  # fmt: skip


def bandwidth_left(refresh: Refresh, memory_c: float) -> float:
    """Share of its bandwidth that memory of a temperature has beside refreshing itself."""
    if memory_c < refresh.double_c:
        return 1.0
    return refresh.double_share if memory_c < refresh.quadruple_c else refresh.quadruple_share


@dataclass(frozen=True, eq=False)
class ThermalNetwork:
    """The network of one kind of cooling, its eigenvalues found. States are arrays of temperatures
    [degC]: die, (memory,) sink, coolant.

    rates: eigenvalues [1/s], all negative, ascending; to and from the temperatures by `modes` and
    its inverse `weights`.
    """

    cooling: Cooling
    rates: Array
    modes: Array
    weights: Array
    capacities_j_per_k: Array
    """Of die, (memory,) and sink; the coolant's lag is no store of heat."""
    _steady: Array
    """Steady temperatures for one W in the die, one W in the memory, one K at the inlet: one column
    each."""

    @property
    def has_memory(self) -> bool:
        """Whether memory is a part of its own."""
        return self.cooling.memory_j_per_k is not None

    def steady(self, heat: Heat) -> Array:
        """State after a long time of `heat`."""
        state: Array = self._steady @ np.array([heat.die_w, heat.memory_w, heat.inlet_c])
        return state

    def after(self, state: Array, heat: Heat, elapsed_s: float) -> Array:
        """State after `elapsed_s` of `heat`, in closed form."""
        steady = self.steady(heat)
        later: Array = steady + self.modes @ (
            np.exp(self.rates * elapsed_s) * (self.weights @ (state - steady))
        )
        return later

    def fading(self, times_s: Array) -> Array:
        """Matrices that take the distance of a state from the steady one to what is left of it
        after each of `times_s`.
        """
        left: Array = np.einsum(
            "ij,tj,jk->tik",
            self.modes,
            np.exp(np.multiply.outer(times_s, self.rates)),
            self.weights,
        )
        return left

    def trajectory(
        self, state: Array, edges_s: Array, die_w: Array, memory_w: Array, inlet_c: Array
    ) -> Array:
        """States at `edges_s` (n + 1 ascending times, one row each), the first of them `state`,
        under heat that is constant between edges (n values each).

        In the network's modes each piece adds its own fading part, so the states are running sums;
        they are taken in blocks of time short enough for the growing exponentials to stay numbers.
        """
        modal = np.column_stack([die_w, memory_w, inlet_c]) @ (self.weights @ self._steady).T
        states = np.empty((len(edges_s), len(state)))
        states[0] = now = self.weights @ state
        first, pieces, block_s = 0, len(edges_s) - 1, _BLOCK / -float(self.rates[0])
        while first < pieces:
            last = max(
                int(np.searchsorted(edges_s, edges_s[first] + block_s, side="right")) - 1, first + 1
            )
            since_s = edges_s[first : last + 1] - edges_s[first]
            if since_s[-1] > block_s:  # one long piece
                fading = np.exp(self.rates * since_s[-1])
                states[last] = now = fading * now + modal[first] * (1.0 - fading)
            else:
                growing = np.exp(np.multiply.outer(since_s, -self.rates))
                states[first + 1 : last + 1] = (
                    now + np.cumsum(modal[first:last] * np.diff(growing, axis=0), axis=0)
                ) / growing[1:]
                now = states[last]
            first = last
        found: Array = states @ self.modes.T
        found[0] = state
        return found

    def removed_j(self, state: Array, heat: Heat, elapsed_s: float) -> float:
        """Heat that the sink gives to the coolant in `elapsed_s`: the integral of (Ts - Tc)/Rsa."""
        steady = self.steady(heat)
        integral = steady * elapsed_s + self.modes @ (
            np.expm1(self.rates * elapsed_s) / self.rates * (self.weights @ (state - steady))
        )
        return float(integral[-2] - integral[-1]) / self.cooling.sink_to_coolant_k_per_w

    def stored_j(self, state: Array) -> float:
        """Heat in die, memory and sink, from 0 degC."""
        return float(self.capacities_j_per_k @ state[:-1])

    def crossing_s(self, state: Array, heat: Heat, place: int, limit_c: float) -> float:
        """Seconds until the temperature at `place` of the state is first equal to `limit_c` under
        `heat`; inf where it never is.

        A temperature that is at the limit now is not crossing it: the next time counts. To 1e-9 of
        the slowest time constant.
        """
        steady = float(self.steady(heat)[place])
        parts = self.modes[place] * (self.weights @ (state - self.steady(heat)))
        now_c = float(state[place])
        # All parts fade, so the temperature stays between these two: far from the limit this is all
        # that is worked out.
        highest, lowest = (
            steady + float(np.sum(parts[parts > 0.0])),
            steady + float(np.sum(parts[parts < 0.0])),
        )
        if not lowest <= limit_c <= highest:
            return inf
        horizon_s = _SETTLED / -float(self.rates[-1])
        gap = steady - limit_c
        amplitudes, rates = [gap, *parts.tolist()], [0.0, *self.rates.tolist()]
        later = [root_s for root_s in roots(amplitudes, rates, horizon_s) if root_s > 0.0]
        if (
            abs(now_c - limit_c) < 1e-9 and later and later[0] < 1e-9 * horizon_s
        ):  # where it starts, found again
            later = later[1:]
        return later[0] if later else inf


@cache
def network(cooling: Cooling) -> ThermalNetwork:
    """The network of `cooling`."""
    sink = 1.0 / cooling.sink_to_coolant_k_per_w
    ds = 1.0 / cooling.die_to_sink_k_per_w
    if cooling.memory_j_per_k is not None:
        assert (
            cooling.memory_to_sink_k_per_w is not None and cooling.die_to_memory_k_per_w is not None
        )
        ms, dm = 1.0 / cooling.memory_to_sink_k_per_w, 1.0 / cooling.die_to_memory_k_per_w
        capacities = np.array([cooling.die_j_per_k, cooling.memory_j_per_k, cooling.sink_j_per_k])
        flows = np.array([
            [-ds - dm, dm, ds, 0.0],
            [dm, -ms - dm, ms, 0.0],
            [ds, ms, -ds - ms - sink, sink],
        ])  # fmt: skip
        sources = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    else:
        capacities = np.array([cooling.die_j_per_k, cooling.sink_j_per_k])
        flows = np.array([[-ds, ds, 0.0], [ds, -ds - sink, sink]])
        sources = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    rise = cooling.coolant_rise_k_per_w
    size = len(capacities) + 1
    matrix, forcing = np.zeros((size, size)), np.zeros((size, 3))
    matrix[:-1], forcing[:-1] = flows / capacities[:, None], sources / capacities[:, None]
    matrix[-1, -1] = -1.0 / cooling.coolant_lag_s
    forcing[-1] = np.array([rise, rise, 1.0]) / cooling.coolant_lag_s
    rates, modes = np.linalg.eig(matrix)
    # Real and negative: the part without coolant is a symmetric matrix scaled by its capacities,
    # and nothing flows back into the coolant.
    order = np.argsort(rates.real)
    rates, modes = rates.real[order], modes.real[:, order]
    steady = np.asarray(-np.linalg.solve(matrix, forcing), dtype=np.float64)
    return ThermalNetwork(cooling, rates, modes, np.linalg.inv(modes), capacities, steady)


def roots(amplitudes: Sequence[float], rates: Sequence[float], horizon: float) -> list[float]:
    """Where the sum of amplitudes·exp(rates·t) is zero in [0, horizon], ascending.

    rates: all different. Divided by one of its exponentials and differentiated, the sum has a term
    less and between two of its zeros a zero of that (Rolle); so the zeros of the smaller sum part
    the line into pieces with at most one zero each. A sum of n terms has at most n - 1 zeros (Polya
    and Szego, Problems and Theorems in Analysis II, part V, 75).

    >>> [round(t, 9) for t in roots([1.0, -3.0, 2.0], [0.0, -1.0, -2.0], 10.0)]  # (1 - x)(1 - 2x) with x = exp(-t)
    [0.0, 0.693147181]
    """
    terms = sorted(
        ((a, r) for a, r in zip(amplitudes, rates, strict=True) if a != 0.0),
        key=lambda term: -term[1],
    )  # the slowest first: no exponential grows
    if len(terms) < 2:
        return []
    (first, slowest), rest = terms[0], terms[1:]
    relative = [(a, r - slowest) for a, r in rest]
    if len(terms) == 2:
        other, rate = relative[0]
        ratio = -first / other
        at = log(ratio) / rate if ratio > 0.0 else -1.0
        return [at] if 0.0 <= at <= horizon else []

    def value(t: float) -> float:
        return first + sum(a * exp(r * t) for a, r in relative)

    turns = roots([a * r for a, r in relative], [r for _, r in relative], horizon)
    ends = [0.0, *(turn for turn in turns if 0.0 < turn < horizon), horizon]
    found = []
    low, at_low = 0.0, value(0.0)
    for high in ends[1:]:
        at_high = value(high)
        if at_low == 0.0:
            found.append(low)
        elif (at_low < 0.0) != (at_high < 0.0) and at_high != 0.0:
            found.append(_bisected(value, low, high, at_low < 0.0))
        low, at_low = high, at_high
    return found


def _bisected(value: Callable[[float], float], low: float, high: float, rising: bool) -> float:
    """Where `value` changes its sign between `low` and `high`, to the last digit."""
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return middle
        if (value(middle) < 0.0) == rising:
            low = middle
        else:
            high = middle
