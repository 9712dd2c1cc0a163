"""The table of devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cluster_sim.deployment.device_power import PoweredSteps, device_pieces
from cluster_sim.deployment.fleet import ReplicaSpec
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.results.columns import DEVICES, names
from cluster_sim.results.states import WITHOUT_POWER, WORKING, States
from cluster_sim.results.tables.ended import Ended

_SOME = ("energy_j", "mean_power_w")
"""Columns that are null for some devices."""
_FROM_TEMPERATURES = 4
"""Number of columns at the end that are filled from the table of temperatures."""


class _Share(NamedTuple):
    """Work and energy of one device of a replica over the run."""

    busy_s: float
    flop: float
    bytes: float
    energy_j: float | None
    mean_power_w: float | None
    compute_utilisation: float
    bandwidth_utilisation: float


def devices_table(run: Ended) -> pa.Table:
    """Return one row per device that holds a replica, see columns.DEVICES.

    `thermal.with_extremes` adds the last columns, which hold temperatures.
    """
    totals = _totals(run.stretches)
    rows = [
        (place, replica.deployment.name, replica.number, replica.deployment.device.name, *share)
        for replica in run.fleet.replicas
        for share in [_share(run, replica, _of_replica(totals, replica.number))]
        for place in replica.devices
    ]
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            name: pa.array(values, pa.float64() if name in _SOME else None)
            for name, values in zip(names(DEVICES)[:-_FROM_TEMPERATURES], columns, strict=True)
        }
    )


def _totals(stretches: pa.Table) -> dict[str, Any]:
    """Return sums over the stretches of each replica, as arrays indexed by number of replica."""
    replica = stretches["replica"].to_numpy()
    return {
        name: np.bincount(replica, weights=values)
        for name, values in (
            ("busy_s", stretches["ended_s"].to_numpy() - stretches["began_s"].to_numpy()),
            ("flop", stretches["flop"].to_numpy()),
            ("bytes", stretches["bytes"].to_numpy()),
            ("energy_j", stretches["energy_j"].to_numpy()),
        )
    }


def _of_replica(totals: Mapping[str, Any], number: int) -> dict[str, float]:
    """Return the sums of one replica; arrays end at the last replica that has a stretch."""
    return {
        name: float(total[number]) if number < len(total) else 0.0 for name, total in totals.items()
    }


def _share(run: Ended, replica: ReplicaSpec, total: Mapping[str, float]) -> _Share:
    """Return the share of one device in the work of its replica, split evenly."""
    simulated_s, deployment = run.simulated_s, replica.deployment
    device, each = deployment.device, deployment.devices_per_replica
    _, peak = device.peak.of(deployment.computed_in)
    flop, moved = total["flop"] / each, total["bytes"] / each
    energy_j = None
    if device.power is not None:
        idle_j = (
            _locked_idle_j(device.power, run, replica.number)
            if run.states.has_locks(replica.number)
            else _idle_j(device.power, total["busy_s"], run.states, replica.number)
        )
        energy_j = total["energy_j"] / each + idle_j
    return _Share(
        busy_s=total["busy_s"],
        flop=flop,
        bytes=moved,
        energy_j=energy_j,
        mean_power_w=energy_j / simulated_s if energy_j is not None and simulated_s else None,
        compute_utilisation=flop / (peak * simulated_s) if simulated_s else 0.0,
        bandwidth_utilisation=(
            moved / (device.bandwidth_bytes_per_s * simulated_s) if simulated_s else 0.0
        ),
    )


def _idle_j(power: Power, busy_s: float, states: States, number: int) -> float:
    """Return the energy of a device while its replica runs no step [J]."""
    working_s = states.seconds([number], WORKING)
    off_s = states.seconds([number], WITHOUT_POWER)
    empty_s = max(states.end_s - working_s - off_s, 0.0)
    return power.loaded_idle_w * (states.end_s - busy_s - off_s - empty_s) + power.idle_w * empty_s


def _locked_idle_j(power: Power, run: Ended, number: int) -> float:
    """Return the energy of a device between steps, whose clock is locked at times [J]."""
    is_own = run.stretches["replica"].to_numpy() == number
    began_s, ended_s = (run.stretches[name].to_numpy()[is_own] for name in ("began_s", "ended_s"))
    nothing = np.zeros(len(began_s))
    idle = run.states.idle_power(number, power)
    knots_s, watts = device_pieces(PoweredSteps(began_s, ended_s, nothing, nothing), idle)
    edges_s = np.clip(np.concatenate([[0.0], knots_s, [run.simulated_s]]), 0.0, run.simulated_s)
    return float(np.sum(watts * np.diff(edges_s)))
