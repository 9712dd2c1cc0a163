"""Temperatures of a thermal group over time, from the power of its devices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.device_power import DrawnPower
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.thermal import DIE, MEMORY, Heat, ThermalNetwork
from cluster_sim.typing import Array


class Temperatures(NamedTuple):
    """Temperatures of a group over time, and the power of each of its devices.

    There are n + 1 edges and states, and n powers.
    """

    edges_s: Array
    states: Array
    watts: Array
    """Power without leakage [W]."""
    leakage_w: Array
    """Mean leakage between edges, see `physics.leakage` [W]."""

    @property
    def die_c(self) -> Array:
        """Temperature of the die at the edges [degC]."""
        die_c: Array = self.states[:, DIE]
        return die_c

    @property
    def memory_c(self) -> Array | None:
        """Temperature of the memory at the edges [degC]; None if it is on the die."""
        return self.states[:, MEMORY] if self.states.shape[1] > 3 else None


def temperatures(
    group: ThermalGroup,
    state: Array,
    own: DrawnPower,
    front: DrawnPower | None,
    marks_s: Array | None = None,
) -> Temperatures:
    """Return the temperatures from `state` on. They are exact at every edge.

    A device that is off has no leakage. Air in front of a rear device is warmed by the power of the
    front device without its leakage.

    Parameters
    ----------
    state
        Temperatures at the first edge of `own` [degC].
    own, front
        Power of a device of the group, and of a device in front of it, over the same time.
    marks_s
        More edges within that time [s].
    """
    until_s = float(own.edges_s[-1])
    edges_s = _all_edges_s(own, front, marks_s)
    parts: list[tuple[Array, Array, Array, Array]] = []
    at_s, switched_s = float(own.edges_s[0]), _switched_s(own)
    while True:
        later_s = switched_s[np.searchsorted(switched_s, at_s, side="right") :]
        to_s = min(group.climate.next_change_s(at_s), *later_s[:1].tolist(), until_s)
        around = group.climate.conditions(at_s)
        inside = edges_s[
            np.searchsorted(edges_s, at_s, side="right") : np.searchsorted(
                edges_s, to_s, side="left"
            )
        ]
        piece_s = np.concatenate([[at_s], inside, [to_s]])
        watts, of_memory = _values(own, piece_s)
        front_w = _values(front, piece_s)[0] if front is not None else np.zeros(len(watts))
        network = group.network(around.flow, is_on=bool(watts[-1] > 0.0))
        inlet = around.supply_c + network.cooling.preheat_k_per_w * front_w
        states = network.trajectory(state, piece_s, watts - of_memory, of_memory, inlet)
        leakage_w = network.leaks_w(states, np.diff(piece_s), watts - of_memory, of_memory, inlet)
        parts.append((piece_s[:-1], states[:-1], watts, leakage_w))
        state, at_s = states[-1], to_s
        if at_s >= until_s:
            break
    edges, all_states, *powers = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Temperatures(
        np.append(edges, until_s), np.concatenate([all_states, state[None]]), *powers
    )


def _switched_s(own: DrawnPower) -> Array:
    """Return the times at which a device is switched on or off [s]."""
    is_on = own.watts > 0.0
    switched_s: Array = own.edges_s[1:-1][is_on[1:] != is_on[:-1]]
    return switched_s


def _all_edges_s(own: DrawnPower, front: DrawnPower | None, marks_s: Array | None) -> Array:
    """Return the times at which a power changes, and the marks, in order."""
    edges_s = own.edges_s
    if front is not None and front is not own:
        edges_s = np.concatenate([edges_s, front.edges_s])
    if marks_s is not None:
        edges_s = np.concatenate([edges_s, marks_s])
    return edges_s if edges_s is own.edges_s else np.unique(edges_s)


def last_temperatures(
    group: ThermalGroup, state: Array, own: DrawnPower, front: DrawnPower | None
) -> Array:
    """Return the temperatures at the last edge [degC].

    They are the superposition of the pieces of power, without the temperatures at other edges.

    Parameters
    ----------
    group
        Devices with equal temperatures.
    state
        Temperatures at the first edge of `own` [degC].
    own, front
        Power of a device of the group, and of a device in front of it, over the same time.
    """
    since_s, until_s = float(own.edges_s[0]), float(own.edges_s[-1])
    around, _, changes_s = group.around(since_s)
    is_off = not own.watts.all()
    if is_off or changes_s < until_s:
        last: Array = temperatures(group, state, own, front).states[-1]
        return last
    network = group.network(around.flow)
    modal = _modal(network)
    decays = _decays(network, own.edges_s)
    of_memory = own.memory_w @ decays
    amplitudes = (
        np.exp(network.rates * (until_s - since_s)) * (network.weights @ state - modal.always)
        + modal.always
        + modal.per_die_w * (own.watts @ decays - of_memory)
        + modal.per_memory_w * of_memory
        + modal.per_inlet_k * (around.supply_c * decays.sum(axis=0))
    )
    if front is not None:
        preheat = modal.per_inlet_k * network.cooling.preheat_k_per_w
        if front.edges_s is not own.edges_s:
            decays = _decays(network, front.edges_s)
        amplitudes += preheat * (front.watts @ decays)
    states: Array = network.modes @ amplitudes
    return states


def mean_powers(power: DrawnPower) -> tuple[float, float]:
    """Return the mean power over all of its time, and that of the memory [W]."""
    if len(power.watts) == 1:
        return float(power.watts[0]), float(power.memory_w[0])
    lengths_s = power.edges_s[1:] - power.edges_s[:-1]
    elapsed_s = float(power.edges_s[-1] - power.edges_s[0])
    if elapsed_s <= 0.0:
        return float(power.watts[-1]), float(power.memory_w[-1])
    return float(power.watts @ lengths_s) / elapsed_s, float(power.memory_w @ lengths_s) / elapsed_s


def joined(powers: Sequence[DrawnPower]) -> DrawnPower:
    """Return powers over times that follow each other as one."""
    if len(powers) == 1:
        return powers[0]
    edges_s = [power.edges_s[:-1] for power in powers[:-1]]
    return DrawnPower(
        np.concatenate([*edges_s, powers[-1].edges_s]),
        np.concatenate([power.watts for power in powers]),
        np.concatenate([power.memory_w for power in powers]),
    )


class _Modal(NamedTuple):
    """Steady amplitudes of the modes of a network, per unit of each source of heat."""

    always: Array
    """Amplitudes without any heat and with an inlet at 0 degC."""
    per_die_w: Array
    per_memory_w: Array
    per_inlet_k: Array


@cache
def _modal(network: ThermalNetwork) -> _Modal:
    """Return the steady amplitudes of the modes; those of a network are computed once."""
    always = network.steady(Heat(0.0, 0.0, 0.0))
    units = (Heat(1.0, 0.0, 0.0), Heat(0.0, 1.0, 0.0), Heat(0.0, 0.0, 1.0))
    return _Modal(
        network.weights @ always,
        *(network.weights @ (network.steady(unit) - always) for unit in units),
    )


def _decays(network: ThermalNetwork, edges_s: Array) -> Array:
    """Return what is left at the last edge of each piece of unit power, one column per mode.

    A source that acts from t0 until t1 with the steady amplitude a adds a (e^(r (t - t1)) -
    e^(r (t - t0))) to a mode with the rate r at the time t.
    """
    left = np.exp(np.multiply.outer(edges_s[-1] - edges_s, network.rates))
    decays: Array = left[1:] - left[:-1]
    return decays


def _values(power: DrawnPower, edges_s: Array) -> tuple[Array, Array]:
    """Return (power, power of the memory) between these edges [W].

    The edges contain all edges of `power` that lie within their time.
    """
    place = np.clip(
        np.searchsorted(power.edges_s, edges_s[:-1], side="right") - 1, 0, len(power.watts) - 1
    )
    return power.watts[place], power.memory_w[place]
