"""Temperatures, power and clocks of devices over a run that has ended, in bins, and their extremes
for the table of devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.thermal_groups import Course, Drawn, Spot, course, drawn, empty

Array = npt.NDArray[Any]
Throttle = tuple[float, int, float, float, str]
"""When, which spot, its clock and its memory's bandwidth as shares from then on, and why."""

_BINS, _FEWEST_BINS, _MOST_ROWS = 600, 60, 200_000
_REASONS = ("", "sw_thermal_slowdown", "hw_thermal_slowdown", "lost")


class _Clocks(NamedTuple):
    """A spot's throttling, constant in pieces: from_s[i] until from_s[i + 1], the last until the
    end.
    """

    from_s: Array
    clock: Array
    refresh: Array
    reason: Array
    """Places in _REASONS: the later the worse."""


def with_temperatures(
    fleet: Fleet,
    spots: Sequence[Spot],
    devices: pa.Table,
    stretches: pa.Table,
    throttles: Sequence[Throttle],
    lost_s: dict[int, float],
    until_s: float,
) -> tuple[pa.Table, pa.Table]:
    """(table of temperatures, `devices` with their extremes), where anything is known of them."""
    columns: dict[str, list[Array]] = {name: [] for name in _COLUMNS}
    names: list[str] = []
    extremes: dict[str, tuple[float, float | None, float, float]] = {}
    bins = int(np.clip(_MOST_ROWS // max(len(spots), 1), _FEWEST_BINS, _BINS))
    edges_s = np.linspace(0.0, until_s, bins + 1)
    if until_s > 0.0:
        by_replica = _by_replica(fleet, stretches, lost_s, until_s) if spots else {}
        log: dict[int, list[Throttle]] = {}
        for row in throttles:
            log.setdefault(row[1], []).append(row)
        for number, spot in enumerate(spots):
            run, clocks = _course(spot, by_replica, edges_s), _clocks(log.get(number, ()), until_s)
            for name, values in _binned(run, clocks, edges_s).items():
                columns[name].append(values)
            columns["alike"].append(np.full(bins, len(spot.places)))
            names += [spot.devices()[0]] * bins
            lengths_s = np.diff(np.append(clocks.from_s, until_s))
            of_all = (
                float(np.max(run.die_c)),
                None if run.memory_c is None else float(np.max(run.memory_c)),
                float(np.sum(lengths_s[clocks.reason > 0])),
                float(np.min(clocks.clock)),
            )
            extremes |= dict.fromkeys(spot.devices(), of_all)
    table = {"device": pa.array(names, pa.string()).dictionary_encode()}
    for name, kind in _COLUMNS.items():
        values = np.concatenate(columns[name]) if columns[name] else np.zeros(0)
        if name == "reason":
            table[name] = pa.array(
                [_REASONS[int(place)] or None for place in values], pa.string()
            ).dictionary_encode()
        else:
            table[name] = pa.array(values, kind, from_pandas=name == "memory_c")
    of_devices = [
        extremes.get(name, (None, None, None, None)) for name in devices["device"].to_pylist()
    ]
    for place, name in enumerate(("max_die_c", "max_memory_c", "throttled_s", "lowest_clock")):
        devices = devices.append_column(
            name, pa.array([one[place] for one in of_devices], pa.float64())
        )
    return pa.table(table), devices


# device: the first of so many that are `alike`; of a bin that ends at `at_s`, its mean power, its
# highest temperatures, its lowest
# clock (share of what the device would run at cool), the share of the bandwidth that refreshing
# leaves, and the worst reason.
_COLUMNS = {
    "alike": pa.int32(), "at_s": pa.float64(), "power_w": pa.float64(), "die_c": pa.float64(), "memory_c": pa.float64(), "clock": pa.float64(),
    "refresh_share": pa.float64(), "reason": pa.string(),
}  # fmt: skip


def _by_replica(
    fleet: Fleet, stretches: pa.Table, lost_s: dict[int, float], until_s: float
) -> dict[int, Drawn]:
    """What each device of a replica drew, at the mean power of each stretch."""
    replica = stretches["replica"].to_numpy()
    order = np.argsort(replica, kind="stable")
    replica, began_s, ended_s, energy_j, moved = (
        replica[order], *(stretches[name].to_numpy()[order] for name in ("began_s", "ended_s", "energy_j", "bytes")),
    )  # fmt: skip
    by_replica = {}
    for spec in fleet.replicas:
        size, power = spec.deployment.devices_per_replica, spec.deployment.device.power
        if power is not None:
            mine = slice(*np.searchsorted(replica, (spec.number, spec.number + 1)))
            length_s = np.maximum(ended_s[mine] - began_s[mine], 1e-12)
            by_replica[spec.number] = drawn(
                power, began_s[mine], ended_s[mine], energy_j[mine] / (size * length_s), moved[mine] / (size * length_s), 0.0, until_s,
                lost_s.get(spec.number, inf),
            )  # fmt: skip
    return by_replica


def _course(spot: Spot, by_replica: dict[int, Drawn], edges_s: Array) -> Course:
    nobody = empty(spot.power, 0.0, float(edges_s[-1]))
    own, front = (
        nobody if number is None else by_replica[number] for number in (spot.replica, spot.upstream)
    )
    return course(spot, spot.start(), own, front if spot.is_behind else None, edges_s)


def _clocks(log: Sequence[Throttle], until_s: float) -> _Clocks:
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
        np.array([_REASONS.index(one) for one in reason]),
    )


def _binned(run: Course, clocks: _Clocks, edges_s: Array) -> dict[str, Array]:
    """Of each bin what `_COLUMNS` says."""
    first = np.searchsorted(run.edges_s, edges_s)
    lengths_s = np.diff(run.edges_s)
    energy_j = np.append(0.0, np.cumsum(run.watts * lengths_s))
    # a clock holds from before the bin, too: the one that is in force when it begins
    held = np.searchsorted(clocks.from_s, edges_s[:-1], side="right") - 1
    last = np.searchsorted(clocks.from_s, edges_s[1:], side="left")

    def worst(values: Array, of: Any) -> Array:
        if len(values) == 1:
            return np.full(len(edges_s) - 1, values[0])
        return np.array(
            [
                of(values[low : max(high, low + 1)])
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
        "die_c": highest(run.die_c),
        "memory_c": highest(run.memory_c),
        "clock": worst(clocks.clock, np.min),
        "refresh_share": worst(clocks.refresh, np.min),
        "reason": worst(clocks.reason, np.max),
    }
