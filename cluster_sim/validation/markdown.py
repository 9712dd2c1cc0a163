"""The table of errors as Markdown, as docs/accuracy.md shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cluster_sim.units import percent
from cluster_sim.validation.measured import METRICS
from cluster_sim.validation.predictions import Prediction

_HEADING = (
    "| runs | metric | values | median error | 90 % below | bias | in the fit? |\n"
    "|---|---|---:|---:|---:|---:|---|\n"
)
_FITTED_KERNELS = ("A100-80GB", "H100", "H200", "B200", "GB200")
"""Devices whose kernels are fitted to measured ones; their runs share lines."""


class _Place(NamedTuple):
    """Runs and metric of one line, in the order of lines."""

    dataset: str
    model: str
    hardware: str
    kinds: str
    profile: str
    is_fitted: bool
    metric: int


@dataclass
class _Line:
    """Values of one metric in one line of the table."""

    hardware: set[str] = field(default_factory=set)
    releases: set[str] = field(default_factory=set)
    errors: list[float] = field(default_factory=list)


def as_markdown(predictions: Iterable[Prediction]) -> str:
    """Return the errors as a Markdown table, without a heading of its own.

    A line is for one metric of one data set, model and engine profile. Four kinds of values have
    lines of their own: those to which a constant was fitted, those of pools apart for prefill and
    decode, those with drafts, and those of each device whose kernels are not fitted.

    Parameters
    ----------
    predictions
        Predictions with their measurements.
    """
    lines: dict[_Place, _Line] = defaultdict(_Line)
    order = list(METRICS)
    for prediction in predictions:
        run = prediction.measured
        for metric, error in prediction.scores().items():
            line = lines[_place(prediction, metric)]
            line.hardware.add(run.hardware)
            line.releases.add(run.release.name)
            line.errors.append(error)
    return _HEADING + "".join(
        _cells(place, line, order[place.metric]) for place, line in sorted(lines.items())
    )


def _place(prediction: Prediction, metric: str) -> _Place:
    run = prediction.measured
    kinds = {"pools apart": run.prefill is not None, "drafts": run.drafts is not None}
    return _Place(
        run.dataset,
        run.model,
        "" if run.hardware in _FITTED_KERNELS else run.hardware,
        ", ".join(name for name, is_so in kinds.items() if is_so),
        run.release.profile,
        metric in prediction.fitted,
        list(METRICS).index(metric),
    )


def _cells(place: _Place, line: _Line, metric: str) -> str:
    median, p90 = np.percentile(np.abs(line.errors), [50, 90])
    releases = sorted(line.releases) if len(line.releases) <= 2 else [place.profile]
    about = ", ".join(filter(None, (place.model, place.kinds, *releases)))
    about = f"{place.dataset} on {', '.join(sorted(line.hardware))}: {about}"
    cells = (
        about.replace("|", "\\|"),
        METRICS[metric],
        f"{len(line.errors):,}",
        percent(median),
        percent(p90),
        f"{100 * np.median(line.errors):+.3g} %",
        "yes" if place.is_fitted else "no",
    )
    return f"| {' | '.join(cells)} |\n"
