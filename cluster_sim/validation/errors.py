"""Errors of predictions against measurements: by group, as points of a figure, as a table."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import NamedTuple

import numpy as np

from cluster_sim.validation.measured import METRICS
from cluster_sim.validation.predictions import Prediction

_ABOUT = (
    "dataset", "hardware", "model", "precision", "framework", "date", "layout", "replicas", "isl",
    "osl", "load", "amount", "split_key", "source", "notes",
)  # fmt: skip
"""Fields of a run that are columns of the table of predictions."""


@dataclass(frozen=True)
class ErrorRow:
    """Errors of one metric over a group of runs, as shares of the measured value."""

    dataset: str
    """Name of the data set, or 'all'."""
    hardware: str
    """Name of the hardware, or 'all'."""
    model: str
    """Name of the model, or 'all'."""
    release: str
    """Engine release, or 'all'."""
    fit: str
    """Whether a constant was fitted to the values: 'yes' or 'no', or 'all'."""
    metric: str
    """Metric, a key of `METRICS`."""
    count: int
    """Number of measured values."""
    fitted: int
    """Number of measured values to which a constant was fitted."""
    median: float
    """Median of the absolute errors."""
    p90: float
    """90th percentile of the absolute errors."""
    bias: float
    """Median of the signed errors; above 0 if predictions are too high."""


class ErrorGroup(NamedTuple):
    """Group of measured values; 'all' stands for a field by which values are not grouped."""

    dataset: str
    hardware: str
    model: str
    release: str
    fit: str


def errors(
    predictions: Iterable[Prediction], by: Sequence[str] = ("dataset", "hardware", "model")
) -> list[ErrorRow]:
    """Return the errors of each metric in each group of runs, sorted.

    Runs that could not be set up are omitted.

    Parameters
    ----------
    predictions
        Predictions with their measurements.
    by
        Fields that define the groups: some of dataset, hardware, model, release and fit. Fields
        that are not given are 'all' in the rows.
    """
    groups: dict[tuple[ErrorGroup, str], list[tuple[float, bool]]] = defaultdict(list)
    for prediction in predictions:
        run = prediction.measured
        for metric, error in prediction.scores().items():
            is_fitted = metric in prediction.fitted
            fields = ErrorGroup(
                run.dataset, run.hardware, run.model, run.release.name, "yes" if is_fitted else "no"
            )._asdict()
            group = ErrorGroup(**{name: fields[name] if name in by else "all" for name in fields})
            groups[group, metric].append((error, is_fitted))
    order = list(METRICS)
    table = []
    for group, metric in sorted(groups, key=lambda key: (key[0], order.index(key[1]))):
        signed, is_fitted_each = zip(*groups[group, metric], strict=True)
        median, p90 = np.percentile(np.abs(signed), [50, 90])
        table.append(
            ErrorRow(
                *group,
                metric,
                len(signed),
                sum(is_fitted_each),
                float(median),
                float(p90),
                float(np.median(signed)),
            )
        )
    return table


_PANEL_SHARE = 0.02
"""Share of the values of the most frequent metric that a metric needs for a panel."""


def points(predictions: Iterable[Prediction]) -> dict[str, list[tuple[float, float, str]]]:
    """Return the points of a parity figure.

    Parameters
    ----------
    predictions
        Predictions with their measurements.

    Returns
    -------
    dict
        (measured value, predicted value, hardware) of each scored value, by the title of the panel:
        name and unit of the metric. Metrics with few values beside others with many are omitted.
    """
    pairs: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for prediction in predictions:
        run = prediction.measured
        for metric in prediction.scores():
            pairs[metric].append((run.values[metric], prediction.values[metric], run.hardware))
    most = max(map(len, pairs.values()), default=0)
    units = {metric: " [ms]" for metric in METRICS if metric.endswith("_ms")}
    return {
        METRICS[metric] + units.get(metric, ""): pairs[metric]
        for metric in METRICS
        if metric in pairs and len(pairs[metric]) >= _PANEL_SHARE * most
    }


def as_csv(predictions: Iterable[Prediction]) -> str:
    """Return predictions and measurements as CSV, one row per run.

    A cell is empty if the value was not measured or not predicted.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *_ABOUT,
            *(f"{side}_{metric}" for metric in METRICS for side in ("measured", "predicted")),
            "release",
            "profile",
            "settings",
            "fitted",
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
        closing = (
            run.release.name,
            run.release.profile,
            "; ".join(setting.name for setting in run.settings),
            " ".join(sorted(prediction.fitted & run.values.keys())),
            prediction.fault,
        )
        writer.writerow([*(getattr(run, name) for name in _ABOUT), *sides, *closing])
    return text.getvalue()
