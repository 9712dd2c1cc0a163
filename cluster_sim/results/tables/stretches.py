"""The table of stretches: runs of consecutive engine steps with the same batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.stretch_work import stretch_counts, work_of
from cluster_sim.results.columns import STRETCH_COLUMNS, STRETCH_TOTALS, names
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.tables.arrow import column
from cluster_sim.typing import Array, Number

_SOME = ("energy_j", "station_occupancy")
"""Columns that are null for some devices."""
RANK_TOKENS = "rank_tokens"
"""Column that only runs with several attention ranks per replica have."""
_REAL = {
    "began_s", "first_s", "slope_s", "growth", "clock", "memory_share", "link_share", "bus_s",
    "link_s",
}  # fmt: skip
"""Recorded columns that are not whole numbers."""


def stretches_table(fleet: Fleet, recorder: Recorder) -> pa.Table:
    """Return one row per stretch, see columns.STRETCHES and STRETCH_TOTALS."""
    rows = np.frombuffer(recorder.stretches, dtype=float).reshape(-1, len(STRETCH_COLUMNS))
    real = _REAL
    if any(deployment.pool.replica.speculation for deployment in fleet.deployments):
        # each sequence grows at its own rate
        real = _REAL | {"context", "kv_tokens"}
    data: dict[str, Array] = {
        name: rows[:, place].astype(float if name in real else np.int64)
        for place, name in enumerate(STRETCH_COLUMNS)
    }
    if all(deployment.attention_ranks == 1 for deployment in fleet.deployments):
        del data[RANK_TOKENS]
    steps = data["steps"]
    data["ended_s"] = (
        data["began_s"] + steps * data["first_s"] + data["slope_s"] * (steps * (steps - 1) * 0.5)
    )
    for name in names(STRETCH_TOTALS)[1:]:
        data[name] = np.full(len(steps), np.nan if name in _SOME else 0.0)
    for deployment in fleet.deployments:
        selected = (
            np.isin(data["replica"], fleet.numbers(deployment.name))
            if len(fleet.deployments) > 1
            else slice(None)
        )
        counts = {name: values[selected] for name, values in data.items()}
        work = work_of(deployment, stretch_counts(counts), counts["steps"])
        data["flop"][selected] = work.total(work.linear_flop) + work.total(work.attention_flop)
        data["bytes"][selected] = work.total(work.bytes)
        if deployment.device.power is not None:
            data["energy_j"][selected] = work.energy_j(
                (counts["first_s"], counts["slope_s"]), counts["clock"]
            )
        if deployment.pool.is_wafer:
            data["station_occupancy"][selected] = _occupancy(deployment, counts)
    return pa.table(
        {
            name: column(values, np.isnan(values) if name in _SOME else None)
            for name, values in data.items()
        }
    )


def _occupancy(deployment: Deployment, rows: Mapping[str, Array]) -> Array:
    """Return the share of each stretch in which the slowest pipeline stage of the replica works.

    The rest are pipeline bubbles. A lower clock slows all stages and the step by the same factor.
    """
    times, speculation = deployment.wafer_steps, deployment.pool.replica.speculation
    assert times is not None
    each = 1 + (speculation.draft_tokens if speculation else 0)
    middle: Number = (rows["steps"] - 1) / 2
    work = stretch_counts(rows)
    middle_work = replace(
        work,
        context=work.context + middle * work.growth,
        windowed=work.windowed + middle * work.growing,
        pairs=work.pairs + middle * work.pairs_growth,
    )
    busy_s = times.busy_s(middle_work, each) / rows["clock"]
    occupancy: Array = np.minimum(busy_s / (rows["first_s"] + middle * rows["slope_s"]), 1.0)
    return occupancy
