"""The table of errors as Markdown, as docs/accuracy.md shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from cluster_sim.validation.measured import METRICS
from cluster_sim.validation.predictions import Prediction

_HEADING = (
    "| runs | metric | values | median error | 90 % below | bias | in the fit? |\n"
    "|---|---|---:|---:|---:|---:|---|\n"
)


@dataclass
class _Line:
    """Values of one metric in one line of the table."""

    hardware: set[str] = field(default_factory=set)
    releases: set[str] = field(default_factory=set)
    errors: list[float] = field(default_factory=list)


def as_markdown(predictions: Iterable[Prediction]) -> str:
    """Return the errors as a Markdown table, without a heading of its own.

    A line is for one metric of one data set, model and engine profile. Values to which a constant
    was fitted have a line of their own.

    Parameters
    ----------
    predictions
        Predictions with their measurements.
    """
    lines: dict[tuple[str, str, str, bool, int], _Line] = defaultdict(_Line)
    order = list(METRICS)
    for prediction in predictions:
        run = prediction.measured
        for metric, error in prediction.scores().items():
            is_seen = metric in prediction.fitted
            place = (run.dataset, run.model, run.release.profile, is_seen, order.index(metric))
            line = lines[place]
            line.hardware.add(run.hardware)
            line.releases.add(run.release.name)
            line.errors.append(error)
    return _HEADING + "".join(
        _cells(place, line, order[place[-1]]) for place, line in sorted(lines.items())
    )


def _cells(place: tuple[str, str, str, bool, int], line: _Line, metric: str) -> str:
    dataset, model, profile, is_seen, _ = place
    median, p90 = np.percentile(np.abs(line.errors), [50, 90])
    releases = ", ".join(sorted(line.releases)) if len(line.releases) <= 3 else profile
    about = f"{dataset} on {', '.join(sorted(line.hardware))}: {model}, {releases}"
    cells = (
        about.replace("|", "\\|"),
        METRICS[metric],
        f"{len(line.errors):,}",
        _percent(median),
        _percent(p90),
        f"{100 * np.median(line.errors):+.3g} %",
        "yes" if is_seen else "no",
    )
    return f"| {' | '.join(cells)} |\n"


def _percent(share: float) -> str:
    """Return a share with two digits, such as 2.8 % or 37 %.

    >>> _percent(0.028), _percent(0.374)
    ('2.8 %', '37 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"
