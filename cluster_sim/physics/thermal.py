"""Temperatures of one device: die, memory, heat sink and coolant as a linear network.

    Cd dTd/dt = Pd + L - (Td - Ts)/Rds - (Td - Tm)/Rdm              die
    Cm dTm/dt = Pm - (Tm - Ts)/Rms - (Tm - Td)/Rdm                  memory
    Cs dTs/dt = (Td - Ts)/Rds + (Tm - Ts)/Rms - (Ts - Tc)/Rsa       heat sink or cold plate
    lag dTc/dt = Tin + rise (Pd + Pm + Ls) - Tc                     coolant

T is a temperature [°C], P a power [W], C a heat capacity [J/K], R and rise are thermal resistances
[K/W], and lag is a time [s]. The indices are d for the die, m for the memory, s for the sink, c for
the coolant at the sink, and in for the coolant that arrives; Rsa connects sink and coolant.
L is the leakage of a die that is warmer than the one whose power was measured (`physics.leakage`).
It is linear in Td, so the network stays linear. Ls is L in the steady state: the coolant's rise
follows it at once, and so all time constants stay real. Other terms follow L itself.

The network is solved by its eigenvalues. Under constant power each temperature is its steady value
plus a sum of exponentials. Therefore the state after any time, and the next time at which it
crosses a limit, are computed without time steps. Range: linear heat transfer with constant
resistances, uniform temperature of each part.

Source: a Cauer network; see e.g. JEDEC JESD51-14 for such ladders.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from cluster_sim.hardware.power_and_cooling import Cooling
from cluster_sim.physics.exponential_sums import roots
from cluster_sim.physics.leakage import Leak
from cluster_sim.typing import Array

DIE = 0
"""Index of the die in a state. The last index is the coolant, the one before it the sink."""
MEMORY = 1
"""Index of the memory in a state with memory."""

_BLOCK = 300.0  # fastest time constants per block: e^300 does not overflow
_SETTLED = 60.0  # slowest time constants until the steady state: e^-60 is below the last digit


@dataclass(frozen=True)
class Heat:
    """Heat sources of a device, constant over an interval."""

    die_w: float
    """Heat in the die [W]."""
    memory_w: float
    """Heat in the memory [W]; 0 if the memory is on the die."""
    inlet_c: float
    """Temperature of the coolant that reaches the device, with preheating [°C]."""


@dataclass(frozen=True, eq=False)
class ThermalNetwork:
    """Network of one kind of cooling, with its eigenvalues.

    A state is an array of temperatures [°C]: die, (memory,) sink, coolant.
    """

    cooling: Cooling
    rates: Array
    """Eigenvalues, all negative, ascending [1/s]."""
    modes: Array
    """Eigenvectors: matrix from amplitudes of modes to temperatures."""
    weights: Array
    """Inverse of `modes`."""
    capacities_j_per_k: Array
    """Heat capacities of die, (memory,) and sink [J/K]; the coolant's lag stores no heat."""
    leak: Leak
    """Leakage of the die by its temperature."""
    _steady: Array
    """Steady temperatures for 1 W in the die, 1 W in the memory and 1 K at the inlet: one column
    each."""
    _always: Array
    """Steady temperatures without these three, because of leakage; zeros without it."""
    _settling: Array
    """Temperature of the die, integrated over time, per distance of each temperature from its
    steady value: minus the inverse of the network's matrix, its first row [s]."""

    @property
    def has_memory(self) -> bool:
        """Whether the memory is a separate part."""
        return self.cooling.memory_j_per_k is not None

    def steady(self, heat: Heat) -> Array:
        """Return the steady state under `heat`, the limit after a long time."""
        state: Array = self._steady @ np.array([heat.die_w, heat.memory_w, heat.inlet_c])
        return state + self._always if self.leak.w_per_k else state

    def after(self, state: Array, heat: Heat, elapsed_s: float) -> Array:
        """Return the state after `elapsed_s` seconds of `heat`, in closed form."""
        steady = self.steady(heat)
        later: Array = steady + self.modes @ (
            np.exp(self.rates * elapsed_s) * (self.weights @ (state - steady))
        )
        return later

    def fading(self, times_s: Array) -> Array:
        """Return, for each time, the matrix by which distances from the steady state decay.

        The matrix maps the distance of a state from the steady state to the distance after that
        time. The shape of the result is (times, temperatures, temperatures).
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
        """Return the states at `edges_s` under heat that is constant between edges.

        In the network's modes each interval adds its own decaying part, so the states are
        cumulative sums. They are computed in blocks of time that are short enough for the growing
        exponentials not to overflow.

        Parameters
        ----------
        state
            State at the first edge.
        edges_s
            Ascending times, n + 1 values [s].
        die_w, memory_w
            Heat in die and memory between edges, n values each [W].
        inlet_c
            Temperature of the coolant that reaches the device, n values [°C].

        Returns
        -------
        Array
            One row per edge, one column per temperature.
        """
        modal = np.column_stack([die_w, memory_w, inlet_c]) @ (self.weights @ self._steady).T
        if self.leak.w_per_k:
            modal = modal + self.weights @ self._always
        amplitudes = np.empty((len(edges_s), len(state)))
        amplitudes[0] = now = self.weights @ state
        first, pieces, block_s = 0, len(edges_s) - 1, _BLOCK / -float(self.rates[0])
        while first < pieces:
            last = max(
                int(np.searchsorted(edges_s, edges_s[first] + block_s, side="right")) - 1, first + 1
            )
            since_s = edges_s[first : last + 1] - edges_s[first]
            if since_s[-1] > block_s:  # one long piece
                fading = np.exp(self.rates * since_s[-1])
                amplitudes[last] = now = fading * now + modal[first] * (1.0 - fading)
            else:
                growing = np.exp(np.multiply.outer(since_s, -self.rates))
                amplitudes[first + 1 : last + 1] = (
                    now + np.cumsum(modal[first:last] * np.diff(growing, axis=0), axis=0)
                ) / growing[1:]
                now = amplitudes[last]
            first = last
        states: Array = amplitudes @ self.modes.T
        states[0] = state
        return states

    def removed_j(self, state: Array, heat: Heat, elapsed_s: float) -> float:
        """Return the heat that flows from the sink to the coolant in `elapsed_s` seconds [J].

        It is the integral of (Ts - Tc)/Rsa.
        """
        steady = self.steady(heat)
        integral = steady * elapsed_s + self.modes @ (
            np.expm1(self.rates * elapsed_s) / self.rates * (self.weights @ (state - steady))
        )
        return float(integral[-2] - integral[-1]) / self.cooling.sink_to_coolant_k_per_w

    def leaked_j(self, state: Array, later: Array, heat: Heat, elapsed_s: float) -> float:
        """Return the leakage of `elapsed_s` seconds of `heat` that lead from `state` to `later` [J].

        It is the integral of L. In each interval the integral of the distance from the steady state
        is linear in the change of the state, since the network is.
        """
        lengths_s, states = np.array([elapsed_s]), np.stack([state, later])
        powers = (np.array([each]) for each in (heat.die_w, heat.memory_w, heat.inlet_c))
        return float(elapsed_s * self.leaks_w(states, lengths_s, *powers)[0])

    def leaks_w(
        self, states: Array, lengths_s: Array, die_w: Array, memory_w: Array, inlet_c: Array
    ) -> Array:
        """Return the mean leakage between the edges of a trajectory, see `trajectory` [W].

        Parameters
        ----------
        states
            States at the edges.
        lengths_s
            Lengths of the intervals between them [s]; an interval of length 0 has no leakage.
        die_w, memory_w, inlet_c
            Heat and coolant in the intervals, as in `trajectory`.
        """
        if not self.leak.w_per_k:
            return np.zeros(len(lengths_s))
        steady_c = np.column_stack([die_w, memory_w, inlet_c]) @ self._steady[DIE]
        settled_k = np.diff(states, axis=0) @ self._settling
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_c = steady_c + self._always[DIE] - settled_k / lengths_s
        leaks_w: Array = np.where(lengths_s > 0.0, self.leak.watts(mean_c, die_w, memory_w), 0.0)
        return leaks_w

    def stored_j(self, state: Array) -> float:
        """Return the heat that die, memory and sink store, relative to 0 °C [J]."""
        return float(self.capacities_j_per_k @ state[:-1])

    def crossing_s(self, state: Array, heat: Heat, place: int, limit_c: float) -> float:
        """Return the time until a temperature first reaches a limit under `heat` [s].

        It is infinite if the temperature never reaches the limit. A temperature that is at the
        limit now does not count; the next crossing does. The result is exact to 1e-9 of the slowest
        time constant.

        Parameters
        ----------
        state
            Present state.
        heat
            Heat from now on.
        place
            Index of the temperature in the state.
        limit_c
            Limit [°C].
        """
        steady = float(self.steady(heat)[place])
        parts = self.modes[place] * (self.weights @ (state - self.steady(heat)))
        now_c = float(state[place])
        # All parts decay, so the temperature stays between these two bounds. Far from the limit
        # nothing else is computed.
        highest = steady + float(np.sum(parts[parts > 0.0]))
        lowest = steady + float(np.sum(parts[parts < 0.0]))
        if not lowest <= limit_c <= highest:
            return inf
        horizon_s = _SETTLED / -float(self.rates[-1])
        gap = steady - limit_c
        amplitudes, rates = [gap, *parts.tolist()], [0.0, *self.rates.tolist()]
        later = [root_s for root_s in roots(amplitudes, rates, horizon_s) if root_s > 0.0]
        is_start = abs(now_c - limit_c) < 1e-9 and later and later[0] < 1e-9 * horizon_s
        if is_start:  # the root is the starting point
            later = later[1:]
        return later[0] if later else inf
