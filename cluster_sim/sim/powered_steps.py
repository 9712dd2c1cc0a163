"""Power of one device in each engine step of some stretches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.device_power import DrawnPower, PoweredSteps
from cluster_sim.deployment.stretch_work import stretch_counts, work_of
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import memory_w
from cluster_sim.physics.step_power import step_w
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.typing import Array, Number


def powered_steps(
    deployment: Deployment, rows: Array, since_s: float
) -> tuple[PoweredSteps, Array]:
    """Return the power of one device in each step that ends after `since_s`, and its replica.

    The result does not depend on the grouping of steps into stretches.
    """
    power = deployment.device.power
    assert power is not None
    columns = dict(zip(STRETCH_COLUMNS, rows.T, strict=True))
    row, step = _steps_after(columns, since_s)
    first_s, slope_s = columns["first_s"][row], columns["slope_s"][row]
    seconds = first_s + step * slope_s
    began_s = columns["began_s"][row] + step * first_s + slope_s * (step * (step - 1) * 0.5)
    work = work_of(deployment, stretch_counts(columns), columns["steps"])
    moved, arithmetic_j = (
        _of_rows(first, row) + step * _of_rows(slope, row)
        for first, slope in (work.moved, work.arithmetic_j)
    )
    watts = step_w(power, seconds, moved, arithmetic_j, columns["clock"][row])
    steps = PoweredSteps(began_s, began_s + seconds, watts, moved / seconds)
    late = steps.ended_s > since_s
    if not late.all():
        steps, row = PoweredSteps(*(column[late] for column in steps)), row[late]
    return steps, columns["replica"][row].astype(int)


def _of_rows(values: Number, row: Array) -> Number:
    """Return the value of each step, from one value per row or one for all rows."""
    return values[row] if isinstance(values, np.ndarray) and values.ndim else values


def _steps_after(columns: Mapping[str, Array], since_s: float) -> tuple[Array, Array]:
    """Return (row, number within the stretch) of the steps, without most of the earlier ones.

    Steps of a long stretch are many, and only the last of them end after `since_s`. No step is
    longer than the longer of the first and the last, so that many have ended at least.
    """
    steps, first_s = columns["steps"].astype(np.int64), columns["first_s"]
    longest_s = np.maximum(first_s, first_s + (steps - 1) * columns["slope_s"])
    ended = ((since_s - columns["began_s"]) / np.maximum(longest_s, 1e-12)).astype(np.int64) - 1
    ended = np.clip(ended, 0, steps)
    count = steps - ended
    row = np.repeat(np.arange(len(steps)), count)
    step = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - ended, count)
    return row, step


def with_pauses(power: Power, steps: PoweredSteps, since_s: float, until_s: float) -> DrawnPower:
    """Return the power over a time of a device that always holds its model, as power_of_steps.

    NOTE: it takes a sixth of the time of power_of_steps, which also knows changes between steps.
    """
    count = len(steps.watts)
    edges_s = np.empty(2 * count + 2)
    edges_s[0], edges_s[1:-1:2], edges_s[2:-1:2], edges_s[-1] = (
        since_s,
        steps.began_s,
        steps.ended_s,
        until_s,
    )
    np.maximum(edges_s, since_s, out=edges_s)
    np.minimum(edges_s, until_s, out=edges_s)
    watts, of_memory_w = np.empty(2 * count + 1), np.empty(2 * count + 1)
    watts[::2], watts[1::2] = power.loaded_idle_w, steps.watts
    of_memory_w[::2] = memory_w(power, 0.0)
    of_memory_w[1::2] = memory_w(power, steps.bytes_per_s)
    return DrawnPower(edges_s, watts, np.minimum(of_memory_w, watts))


def steps_by_replica(steps: PoweredSteps, replicas: Array) -> dict[int, PoweredSteps]:
    """Return the steps of each replica; those of one replica follow each other."""
    places = np.flatnonzero(np.diff(replicas)) + 1
    first, last = [0, *places.tolist()], [*places.tolist(), len(replicas)]
    return {
        int(replicas[low]): PoweredSteps(*(column[low:high] for column in steps))
        for low, high in zip(first, last, strict=True)
        if high
    }
