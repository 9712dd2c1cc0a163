"""Goodput: requests within the objectives of their class; absent where no class has any."""

from __future__ import annotations

import numpy as np

from cluster_sim.results.metrics.families.requests import served
from cluster_sim.results.metrics.finished import within_slo
from cluster_sim.results.metrics.metric import Heading, Metric, Row
from cluster_sim.results.metrics.selection import Selection


def _good(selection: Selection) -> int | None:
    """Return how many finished requests meet every objective of their class."""
    good = within_slo(selection.run, selection.once(served).done)
    return None if good is None else int(np.sum(good))


def _goodput_per_s(selection: Selection) -> float | None:
    good = selection.once(_good)
    return None if good is None else selection.once(served).per_s(good)


def _attainment(selection: Selection) -> float | None:
    if (good := selection.once(_good)) is None:
        return None
    requests = selection.once(served)
    everyone = requests.completed + requests.unfinished + requests.rejected
    return good / everyone if everyone else 0.0


METRICS = (
    Metric(
        "request_goodput",
        "requests/s",
        "Finished requests within the SLO of their class, per second of the duration.",
        _goodput_per_s,
        is_extensive=True,
        label="goodput [requests/s]",
        heading=Heading("goodput [requests/s]", decimals=2),
    ),
    Metric(
        "slo_attainment",
        "share",
        "Share of all requests, rejected and unfinished ones too, within the SLO of their class.",
        _attainment,
        label="share within SLO",
        heading=Heading("within SLO [%]", 100.0, 1),
        row=Row(210, "within SLO", ".1%"),
    ),
)
