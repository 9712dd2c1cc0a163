"""The table of temperatures, power and clocks of devices over a run, in bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cluster_sim.deployment.device_power import (
    DrawnPower,
    power_of_steps,
    power_without_replica,
)
from cluster_sim.deployment.temperatures import Temperatures, temperatures
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.recorder import ThrottleRow
from cluster_sim.results.tables.ended import Ended
from cluster_sim.results.tables.stretch_parts import powered_parts
from cluster_sim.results.tables.stretches import RANK_TOKENS
from cluster_sim.typing import Array

_BINS, _FEWEST_BINS, _MOST_ROWS = 600, 60, 200_000
_REASONS = ("", "sw_thermal_slowdown", "hw_thermal_slowdown", "lost")
"""Causes of throttling, in ascending order of severity."""
_OF_STRETCHES = (
    *(name for name in STRETCH_COLUMNS if name != RANK_TOKENS),
    "ended_s",
    "energy_j",
    "bytes",
)
_TYPES = {
    "alike": pa.int32(),
    "at_s": pa.float64(),
    "power_w": pa.float64(),
    "die_c": pa.float64(),
    "memory_c": pa.float64(),
    "clock": pa.float64(),
    "refresh_share": pa.float64(),
    "reason": pa.string(),
    "leakage_w": pa.float64(),
}
"""Types of the columns of columns.THERMAL, except the first."""


class Extremes(NamedTuple):
    """Temperatures and throttling of one device for the table of devices."""

    max_die_c: float | None = None
    max_memory_c: float | None = None
    throttled_s: float | None = None
    lowest_clock: float | None = None
    leakage_j: float = 0.0
    """Energy of its leakage [J], which the table counts in `energy_j`."""


_UNKNOWN = Extremes()


class _Clocks(NamedTuple):
    """Throttling of a group of devices, constant from from_s[i] until from_s[i + 1].

    The last interval lasts until the end of the run.
    """

    from_s: Array
    clock: Array
    refresh: Array
    reason: Array
    """Indices in _REASONS."""


def thermal_table(
    run: Ended, groups: Sequence[ThermalGroup], throttles: Sequence[ThrottleRow]
) -> tuple[pa.Table, dict[str, Extremes]]:
    """Return the table of temperatures, see columns.THERMAL, and the extremes by name of device.

    Both are empty if temperatures are not simulated.
    """
    columns: dict[str, list[Array]] = {name: [] for name in _TYPES}
    names: list[str] = []
    extremes: dict[str, Extremes] = {}
    bins = int(np.clip(_MOST_ROWS // max(len(groups), 1), _FEWEST_BINS, _BINS))
    edges_s = np.linspace(0.0, run.simulated_s, bins + 1)
    if run.simulated_s > 0.0:
        by_replica = _by_replica(run, float(edges_s[1])) if groups else {}
        log: dict[int, list[ThrottleRow]] = {}
        for row in throttles:
            log.setdefault(row[1], []).append(row)
        for number, group in enumerate(groups):
            course = _course(group, by_replica, _without_model(group, run), edges_s)
            clocks = _clocks(log.get(number, ()), run.simulated_s)
            for name, values in _binned(course, clocks, edges_s).items():
                columns[name].append(values)
            columns["alike"].append(np.full(bins, len(group.places)))
            names += [group.devices()[0]] * bins
            extremes |= dict.fromkeys(group.devices(), _extremes(course, clocks, run.simulated_s))
    return _table(names, columns), extremes


def with_extremes(devices: pa.Table, extremes: Mapping[str, Extremes]) -> pa.Table:
    """Return the table of devices with the extremes of their temperatures, and their leakage."""
    of_devices = [extremes.get(name, _UNKNOWN) for name in devices["device"].to_pylist()]
    *columns, leakage_j = zip(*of_devices, strict=True)
    for name, values in zip(Extremes._fields[:-1], columns, strict=True):
        devices = devices.append_column(name, pa.array(values, pa.float64()))
    return _with_leakage(devices, np.array(leakage_j)) if any(leakage_j) else devices


def _with_leakage(devices: pa.Table, leakage_j: Array) -> pa.Table:
    """Return the table of devices with the energy of leakage in energy and mean power."""
    energy_j, mean_w = (devices[name].to_numpy() for name in ("energy_j", "mean_power_w"))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = 1.0 + np.where(energy_j > 0.0, leakage_j / energy_j, 0.0)
    for name, values in (("energy_j", energy_j), ("mean_power_w", mean_w)):
        place = devices.column_names.index(name)
        more = pa.array(values * factor, pa.float64(), from_pandas=True)
        devices = devices.set_column(place, name, more)
    return devices


def _extremes(course: Temperatures, clocks: _Clocks, simulated_s: float) -> Extremes:
    lengths_s = np.diff(np.append(clocks.from_s, simulated_s))
    memory_c = course.memory_c
    return Extremes(
        float(np.max(course.die_c)),
        None if memory_c is None else float(np.max(memory_c)),
        float(np.sum(lengths_s[clocks.reason > 0])),
        float(np.min(clocks.clock)),
        float(np.sum(course.leakage_w * np.diff(course.edges_s))),
    )


def _table(names: list[str], columns: Mapping[str, list[Array]]) -> pa.Table:
    """Return the binned columns of all groups of devices as one table.

    It has no column of leakage if there is none.
    """
    table = {"device": pa.array(names, pa.string()).dictionary_encode()}
    for name, kind in _TYPES.items():
        values = np.concatenate(columns[name]) if columns[name] else np.zeros(0)
        if name == "leakage_w" and not np.any(values):
            continue
        if name == "reason":
            table[name] = pa.array(
                [_REASONS[int(place)] or None for place in values], pa.string()
            ).dictionary_encode()
        else:
            table[name] = pa.array(values, kind, from_pandas=name == "memory_c")
    return pa.table(table)


def _by_replica(run: Ended, longest_s: float) -> dict[int, DrawnPower]:
    """Return the power of each device of a replica over time.

    It is constant within a stretch, or within parts of stretches longer than `longest_s` [s].
    """
    order = np.argsort(run.stretches["replica"].to_numpy(), kind="stable")
    columns = {name: run.stretches[name].to_numpy()[order] for name in _OF_STRETCHES}
    by_replica = {}
    for spec in run.fleet.replicas:
        number, power = spec.number, spec.deployment.device.power
        if power is not None:
            selected = slice(*np.searchsorted(columns["replica"], (number, number + 1)))
            rows = {name: values[selected] for name, values in columns.items()}
            steps = powered_parts(spec.deployment, rows, longest_s)
            idle = run.states.idle_power(number, power)
            by_replica[number] = power_of_steps(power, steps, 0.0, run.simulated_s, idle)
    return by_replica


def _without_model(group: ThermalGroup, run: Ended) -> DrawnPower:
    """Return the power of a device without a replica on the node of a group."""
    steady = power_without_replica(group.power, 0.0, run.simulated_s)
    if run.states.are_constant:
        return steady
    is_on = run.states.node_on(group.node)
    edges_s = np.append(is_on.from_s, run.simulated_s)
    return DrawnPower(edges_s, steady.watts * is_on.values, steady.memory_w * is_on.values)


def _course(
    group: ThermalGroup,
    by_replica: Mapping[int, DrawnPower],
    without_model: DrawnPower,
    edges_s: Array,
) -> Temperatures:
    """Return the temperatures of a group of devices over the bins."""
    own, front = group.drawn(by_replica, without_model)
    return temperatures(group, group.start(), own, front, edges_s)


def _clocks(log: Sequence[ThrottleRow], until_s: float) -> _Clocks:
    """Return the throttling of a group of devices from its log before `until_s`."""
    rows = [
        (0.0, 1.0, 1.0, ""),
        *(
            (at_s, clock, refresh, reason)
            for at_s, _, clock, refresh, reason in log
            if at_s < until_s
        ),
    ]
    from_s, clock, refresh, reason = zip(*rows, strict=True)
    return _Clocks(
        np.array(from_s),
        np.array(clock),
        np.array(refresh),
        np.array([_REASONS.index(name) for name in reason]),
    )


def _binned(course: Temperatures, clocks: _Clocks, edges_s: Array) -> dict[str, Array]:
    """Return the columns of _TYPES over the bins, except `alike`."""
    first = np.searchsorted(course.edges_s, edges_s)
    lengths_s = np.diff(course.edges_s)
    leakage_j = np.append(0.0, np.cumsum(course.leakage_w * lengths_s))
    energy_j = np.append(0.0, np.cumsum((course.watts + course.leakage_w) * lengths_s))
    # the clock that is in force when the bin begins counts too
    held = np.searchsorted(clocks.from_s, edges_s[:-1], side="right") - 1
    last = np.searchsorted(clocks.from_s, edges_s[1:], side="left")

    def worst(values: Array, extreme: Callable[[Array], Any]) -> Array:
        if len(values) == 1:
            return np.full(len(edges_s) - 1, values[0])
        return np.array(
            [
                extreme(values[low : max(high, low + 1)])
                for low, high in zip(held.tolist(), last.tolist(), strict=True)
            ]
        )

    def highest(values: Array | None) -> Array:
        if values is None:
            return np.full(len(edges_s) - 1, np.nan)
        return np.maximum(np.maximum.reduceat(values, first[:-1]), values[first[1:]])

    return {
        "at_s": edges_s[1:],
        "power_w": np.diff(energy_j[first]) / np.diff(edges_s),
        "die_c": highest(course.die_c),
        "memory_c": highest(course.memory_c),
        "clock": worst(clocks.clock, np.min),
        "refresh_share": worst(clocks.refresh, np.min),
        "reason": worst(clocks.reason, np.max),
        "leakage_w": np.diff(leakage_j[first]) / np.diff(edges_s),
    }
