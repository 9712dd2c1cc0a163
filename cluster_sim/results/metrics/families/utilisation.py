"""Utilisation of compute, memory bandwidth and pipeline stages of wafers; warm-up included."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.results.memory_bound import saturated_fraction
from cluster_sim.results.metrics.metric import MACHINES, Heading, Metric, Row
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.states import WORKING


def _mean_of_devices(selection: Selection, column: str) -> float:
    """Return the mean over devices of a share of the run, relative to the time that they work.

    The devices of a replica work while it is ready or draining.
    """
    devices, states = selection.run.devices, selection.states
    values, numbers = devices[column].to_numpy(), devices["replica"].to_numpy()
    if selection.pool is not None:
        is_of_pool = devices["pool"].to_numpy() == selection.pool
        values, numbers = values[is_of_pool], numbers[is_of_pool]
    if states.are_constant:
        return float(np.mean(values))
    working_s = states.seconds(numbers.tolist(), WORKING)
    return float(np.sum(values)) * states.end_s / working_s if working_s else 0.0


class Pipelines(NamedTuple):
    """Occupancy of the pipelines of wafers while they run steps."""

    slots: float
    busy: float
    """Share of time in which the slowest stage of a replica is busy."""


def _pipelines(selection: Selection) -> Pipelines | None:
    """Return the pipelines of the selected wafers; None if there are no wafers."""
    run = selection.run
    wafers = [deployment for deployment in selection.deployments if deployment.pool.is_wafer]
    if not wafers:
        return None
    table = run.stretches
    selected = np.isin(
        table["replica"].to_numpy(),
        [number for wafer in wafers for number in run.fleet.numbers(wafer.name)],
    )
    length_s = table["ended_s"].to_numpy()[selected] - table["began_s"].to_numpy()[selected]
    occupancy = table["station_occupancy"].to_numpy()[selected]
    busy = float(np.average(occupancy, weights=length_s)) if length_s.sum() else 0.0
    slots = min(float(times.slots) for wafer in wafers if (times := wafer.wafer_steps) is not None)
    return Pipelines(slots, busy)


def _slots(selection: Selection) -> float | None:
    pipelines = selection.once(_pipelines)
    return None if pipelines is None else pipelines.slots


def _occupancy(selection: Selection) -> float | None:
    pipelines = selection.once(_pipelines)
    return None if pipelines is None else pipelines.busy


def _bubbles(selection: Selection) -> float | None:
    pipelines = selection.once(_pipelines)
    return None if pipelines is None else 1.0 - pipelines.busy


METRICS = (
    Metric(
        "compute_utilisation",
        "share",
        "FLOP over the maximum at the peak rate during the time in which replicas were ready or "
        "draining, in the mean over devices.",
        lambda selection: _mean_of_devices(selection, "compute_utilisation"),
        scope=MACHINES,
        row=Row(260, "compute used, mean", ".1%"),
    ),
    Metric(
        "bandwidth_utilisation",
        "share",
        "Bytes moved over the maximum at the memory bandwidth during the time in which replicas were "
        "ready or draining, in the mean over devices.",
        lambda selection: _mean_of_devices(selection, "bandwidth_utilisation"),
        scope=MACHINES,
        row=Row(270, "memory bandwidth used, mean", ".1%"),
    ),
    Metric(
        "bandwidth_saturated_fraction",
        "share",
        "Share of the busy time in which steps wait for memory bandwidth.",
        lambda selection: saturated_fraction(selection.run, selection.pool),
        scope=MACHINES,
        label="memory-bound share of busy time",
    ),
    Metric(
        "pipeline_slots",
        "",
        "Number of batches that the pipeline of a wafer holds simultaneously; absent without wafers.",
        _slots,
        scope=MACHINES,
    ),
    Metric(
        "station_occupancy",
        "share",
        "Share of busy time in which the slowest pipeline stage works; absent without wafers.",
        _occupancy,
        scope=MACHINES,
        label="slowest stage, busy share",
        heading=Heading("slowest stage, busy share"),
    ),
    Metric(
        "pipeline_bubble_fraction",
        "share",
        "Share of busy time in which the slowest pipeline stage idles; absent without wafers.",
        _bubbles,
        scope=MACHINES,
    ),
)
