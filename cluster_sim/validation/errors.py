"""Predictions beside measurements: errors by group, points of a figure, a table."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO

import numpy as np

from cluster_sim.validation.measured import METRICS
from cluster_sim.validation.predictions import Prediction

_ABOUT = (
    "dataset", "hardware", "model", "precision", "framework", "layout", "replicas", "isl", "osl",
    "load", "amount", "split_key", "source", "notes",
)  # fmt: skip
"""Fields of a run that are columns of the table of predictions."""


@dataclass(frozen=True)
class ErrorRow:
    """Errors of one metric over a group of runs; all are shares of the measured value."""

    dataset: str
    hardware: str
    model: str
    metric: str
    count: int
    """Number of figures."""
    median: float
    """Median of the errors without their signs."""
    p90: float
    """Error without its sign that nine of ten stay below."""
    bias: float
    """Median of the signed errors: above 0, predictions are too high."""


def errors(
    predictions: Iterable[Prediction], by: Sequence[str] = ("dataset", "hardware", "model")
) -> list[ErrorRow]:
    """Return the errors by metric and by some fields of the runs, sorted.

    Runs that could not be set up are left out.

    Parameters
    ----------
    predictions
        Predictions beside their measurements.
    by
        Fields of runs that part the groups, out of dataset, hardware and model. The others read
        'all'.
    """
    groups: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for prediction in predictions:
        run = prediction.measured
        group = tuple(
            getattr(run, name) if name in by else "all" for name in ("dataset", "hardware", "model")
        )
        for metric in run.scored():
            if metric in prediction.values:
                groups[*group, metric].append(prediction.error(metric))
    order = list(METRICS)
    table = []
    for (dataset, hardware, model, metric), signed in sorted(
        groups.items(), key=lambda item: (*item[0][:3], order.index(item[0][3]))
    ):
        median, p90 = np.percentile(np.abs(signed), [50, 90])
        table.append(
            ErrorRow(
                dataset,
                hardware,
                model,
                metric,
                len(signed),
                float(median),
                float(p90),
                float(np.median(signed)),
            )
        )
    return table


def points(predictions: Iterable[Prediction]) -> dict[str, list[tuple[float, float, str]]]:
    """Return (measured, predicted, hardware) of every figure that counts, by metric and unit."""
    pairs: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for prediction in predictions:
        run = prediction.measured
        for metric in run.scored():
            if metric in prediction.values:
                pairs[metric].append((run.values[metric], prediction.values[metric], run.hardware))
    units = {metric: " [ms]" for metric in METRICS if metric.endswith("_ms")}
    return {
        METRICS[metric] + units.get(metric, ""): pairs[metric]
        for metric in METRICS
        if metric in pairs
    }


def as_csv(predictions: Iterable[Prediction]) -> str:
    """Return every prediction beside its measurement as CSV, one row per run.

    A cell is empty where something was not measured or not predicted.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *_ABOUT,
            *(f"{side}_{metric}" for metric in METRICS for side in ("measured", "predicted")),
            "fault",
        ]
    )
    for prediction in predictions:
        run = prediction.measured
        sides = [
            f"{side[metric]:.6g}" if metric in side else ""
            for metric in METRICS
            for side in (run.values, prediction.values)
        ]
        writer.writerow([*(getattr(run, name) for name in _ABOUT), *sides, prediction.fault])
    return text.getvalue()
