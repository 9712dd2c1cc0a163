"""SLO: requests that meet the objectives of their class, and the verdict at a percentile.

Metrics are absent if no class has objectives. The verdict on a class is absent if that class has
none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cluster_sim.results.metrics.families.requests import served
from cluster_sim.results.metrics.good_requests import is_judged, within_slo
from cluster_sim.results.metrics.metric import Heading, Metric, Row, Scope, Value
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.verdict import Verdict, judged, objectives


def _good(selection: Selection) -> int | None:
    """Return the number of finished requests that meet every objective of their class."""
    good = within_slo(selection.run, selection.once(served).done)
    return None if good is None else int(np.sum(good))


def _goodput_per_s(selection: Selection) -> float | None:
    good = selection.once(_good)
    return None if good is None else selection.once(served).per_s(good)


def _attainment(selection: Selection) -> float | None:
    if (good := selection.once(_good)) is None:
        return None
    everyone = int(np.sum(is_judged(selection.run, selection.pool, selection.class_)))
    return good / everyone if everyone else 0.0


def verdict(selection: Selection) -> Verdict | None:
    """Return the verdict on a run or on one of its classes; None if it has no objectives."""
    of_run = selection.whole.once(_of_run)
    if of_run is None or selection.class_ is None:
        return of_run
    return of_run.of_class(selection.class_)


def _of_run(whole: Selection) -> Verdict | None:
    wanted = objectives(whole.run.scenario)
    return judged([whole.run], wanted) if wanted else None


def _of_verdict(field: str) -> Callable[[Selection], Value]:
    """Return a function that returns a field of the verdict, or None if there is no verdict."""

    def compute(selection: Selection) -> Value:
        found = verdict(selection)
        value: Value = None if found is None else getattr(found, field)
        return value

    return compute


METRICS = (
    Metric(
        "request_goodput",
        "requests/s",
        "Finished requests that meet the SLO of their class, per second of the duration.",
        _goodput_per_s,
        is_extensive=True,
        label="goodput [requests/s]",
        heading=Heading("goodput [requests/s]", decimals=2),
        row=Row(195, "requests/s within SLO", ",.2f"),
    ),
    Metric(
        "slo_attainment",
        "share",
        "Share of all requests, rejected, failed and unfinished requests included, that meet the SLO of "
        "their class. A request that its user cancelled counts only if it had already missed its TTFT.",
        _attainment,
        label="share within SLO",
        heading=Heading("within SLO [%]", 100.0, 1),
        row=Row(5, "within SLO", ".1%"),
    ),
    Metric(
        "slo_percentile",
        "",
        "Percentile of requests at which objectives are judged; by class if classes differ.",
        _of_verdict("percentile"),
        scope=Scope.RUN | Scope.CLASS,
        label="percentile of the SLO",
    ),
    Metric(
        "slo_met",
        "",
        "Whether every objective is met at its percentile; the latency of a request that did not finish "
        "counts as infinite, and that of a request that its user cancelled in time is left out. The SLO of a run is met if that of every class is.",
        _of_verdict("is_met"),
        scope=Scope.RUN | Scope.CLASS,
        label="SLO met",
    ),
    Metric(
        "slo_missed",
        "",
        "Objectives that are missed, each with metric, limit_ms and value_ms. An infinite value is null, "
        "and infinite_because gives the reason. Entries of a run also name the class.",
        _of_verdict("missed"),
        scope=Scope.RUN | Scope.CLASS,
        label="objectives missed",
    ),
    Metric(
        "slo_margins",
        "share",
        "Limit minus value, as a share of the limit, by objective; negative if the objective is missed. "
        "An infinite value has no margin.",
        _of_verdict("margins"),
        scope=Scope.RUN,
        label="margins of the objectives",
    ),
)
