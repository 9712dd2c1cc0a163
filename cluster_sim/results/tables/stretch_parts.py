"""Power of devices in stretches of steps, of which long ones are split into parts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.device_power import PoweredSteps
from cluster_sim.deployment.stretch_work import stretch_counts, work_of
from cluster_sim.typing import Array


def powered_parts(
    deployment: Deployment, rows: Mapping[str, Array], longest_s: float
) -> PoweredSteps:
    """Return the power of one device of a replica in its stretches.

    Power changes within a stretch, as the context grows, and temperatures follow it within seconds.
    Parts of whole steps therefore have a power of their own. Those of a stretch have its energy and
    its bytes together.

    Parameters
    ----------
    deployment
        Deployment of the replica.
    rows
        Columns of the table of stretches for the replica, in order of time.
    longest_s
        Length above which a stretch is split [s].
    """
    size, steps = deployment.devices_per_replica, rows["steps"]
    began_s, ended_s, energy_j, moved = (
        rows[name] for name in ("began_s", "ended_s", "energy_j", "bytes")
    )
    count = np.clip(np.ceil((ended_s - began_s) / longest_s), 1, steps).astype(np.int64)
    if np.any(count > 1):
        row = np.repeat(np.arange(len(count)), count)
        part = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        first, until = (steps[row] * at // count[row] for at in (part, part + 1))
        whole = {name: values[row] for name, values in rows.items()}
        work = work_of(deployment, stretch_counts(_later(whole, first)), until - first)
        first_s, slope_s = whole["first_s"], whole["slope_s"]
        share_j = work.energy_j((first_s + first * slope_s, slope_s), whole["clock"])
        share_b = work.total(work.bytes)
        energy_j, moved = _of_whole(share_j, energy_j, row), _of_whole(share_b, moved, row)
        start_s = whole["began_s"] + first * first_s + slope_s * (first * (first - 1) * 0.5)
        ended_s = np.where(part + 1 < count[row], np.append(start_s[1:], 0.0), whole["ended_s"])
        began_s = start_s
    length_s = size * np.maximum(ended_s - began_s, 1e-12)
    return PoweredSteps(began_s, ended_s, energy_j / length_s, moved / length_s)


def _later(rows: Mapping[str, Array], steps: Array) -> Mapping[str, Array]:
    """Return the counts of each row `steps` steps later."""
    grown = {
        "context": rows["growth"],
        "windowed": rows["growing"],
        "pairs": 1.0 * rows["prompt_tokens"] * rows["prompt_tokens"],
    }
    return {**rows, **{name: rows[name] + steps * slope for name, slope in grown.items()}}


def _of_whole(parts: Array, whole: Array, row: Array) -> Array:
    """Return the parts of each row scaled so that they add up to the whole of the row."""
    sums = np.bincount(row, parts, len(whole))
    factors = np.divide(whole, sums, out=np.ones(len(whole)), where=sums > 0.0)
    scaled: Array = parts * factors[row]
    return scaled
