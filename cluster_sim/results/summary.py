"""The fields of summary.json: all metrics, computed for a run, its pools and its classes."""

from __future__ import annotations

from typing import Any

from cluster_sim.deployment.validated_cases import validation_of
from cluster_sim.results.extrapolate import of_fleet
from cluster_sim.results.metrics.metric import Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.slo_percentiles import slo_percentiles
from cluster_sim.results.metrics.table import BY_SCOPE
from cluster_sim.results.run_data import RunData


def summary(run: RunData) -> dict[str, Any]:
    """Return the fields of summary.json.

    Names are those of `vllm bench serve` if it has such a field. Latencies are in ms. Rates are
    over the time from the first counted arrival to the last answer. Fields of features that are
    not simulated are absent. The summary of a sample is extrapolated to its fleet. `validation` says
    whether measured runs are like this one, and how large the errors of their predictions are.
    """
    whole = Selection(run)
    report: dict[str, Any] = {"name": run.scenario.title} | fields(whole, Scope.RUN)
    report["pools"] = {name: fields(pool, Scope.POOL) for name, pool in whole.by_pool.items()}
    if whole.by_class:
        report["classes"] = {
            name: fields(class_, Scope.CLASS) for name, class_ in whole.by_class.items()
        }
    report["validation"] = validation_of(run.fleet).fields()
    return of_fleet(report, run.scenario.stands_for)


def fields(selection: Selection, scope: Scope) -> dict[str, Any]:
    """Return the metrics of a scope that exist for a selection, by name."""
    values = ((metric.name, metric.of(selection)) for metric in BY_SCOPE[scope])
    found = {name: value for name, value in values if value is not None}
    return found if scope is Scope.POOL else found | slo_percentiles(selection)
