"""The table of measured cases that `validate --write` makes from predictions."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from io import StringIO

import numpy as np

from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.setup_key import SetupKey, setup_keys, with_backend
from cluster_sim.deployment.validated_cases import Case
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import model_name
from cluster_sim.validation.predictions import Prediction
from cluster_sim.validation.setup import scenario_of, settings_of
from cluster_sim.validation.stated_settings import stated_engine, stated_kv_cache

_COLUMNS = (
    "model", *SetupKey._fields[:-1], "runs", "fitted", "tpot_error", "ttft_error", "throughput_error",
    "releases", "datasets",
)  # fmt: skip
_METRICS = {
    "tpot_error": ("tpot_ms", "tpot_p50_ms", "user_per_s", "decode_ms"),
    "ttft_error": ("ttft_ms", "ttft_p50_ms"),
    "throughput_error": ("output_per_s", "decode_per_device", "prefill_per_device"),
}
"""Metrics of which a run's error is taken, the first that was measured."""


def measured_cases(predictions: Iterable[Prediction]) -> list[Case]:
    """Return the cases of predictions: set-ups with the errors over their runs, sorted.

    Parameters
    ----------
    predictions
        Predictions with their measurements; those that could not be set up are omitted.
    """
    keys: dict[tuple[object, ...], SetupKey] = {}
    groups: dict[tuple[str, SetupKey], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.fault or not prediction.scores() or prediction.measured.load == "none":
            continue
        run = prediction.measured
        about = _about(run)
        if about not in keys:
            keys[about] = _key(run)
        groups[model_name(run.model), keys[about]].append(prediction)
    return sorted(_case(model, key, each) for (model, key), each in groups.items())


def cases_as_csv(cases: Iterable[Case]) -> str:
    """Return cases as the text of the catalog's table."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for case in cases:
        fields = case._asdict() | case.setup._asdict()
        writer.writerow(_cell(fields[name]) for name in _COLUMNS)
    return text.getvalue()


def _about(run: MeasuredRun) -> tuple[object, ...]:
    """Return the fields of a run that its set-up depends on."""
    return (
        run.hardware, run.model, run.precision, run.release.profile, run.layout, run.wafers,
        run.drafts, stated_kv_cache(run), settings_of(run).kv_cache, *stated_engine(run).items(),
    )  # fmt: skip


def _key(run: MeasuredRun) -> SetupKey:
    """Return the set-up of a run, with its engine profile before the settings of the run."""
    fleet = resolve(scenario_of(run))
    engine = fleet.deployments[-1].pool.replica.engine
    name = with_backend(run.release.profile, engine)
    return setup_keys(fleet)[0]._replace(engine=name, settings="")


def _case(model: str, key: SetupKey, predictions: Sequence[Prediction]) -> Case:
    errors = {name: _median(predictions, metrics) for name, metrics in _METRICS.items()}
    return Case(
        model=model,
        setup=key,
        runs=len(predictions),
        fitted=sum(bool(each.fitted & each.scores().keys()) for each in predictions),
        releases="; ".join(sorted({each.measured.release.name for each in predictions})),
        datasets="; ".join(sorted({each.measured.dataset for each in predictions})),
        **errors,
    )


def _median(predictions: Iterable[Prediction], metrics: Sequence[str]) -> float | None:
    """Return the median of the absolute errors; None if no run has one of the metrics."""
    errors = []
    for prediction in predictions:
        scores = prediction.scores()
        metric = next((name for name in metrics if name in scores), None)
        if metric is not None:
            errors.append(abs(scores[metric]))
    return round(float(np.median(errors)), 3) if errors else None


def _cell(value: object) -> object:
    return "" if value is None else value
