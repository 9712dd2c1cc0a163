"""Predictions of measured runs by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.results.metrics.finished import Finished, finished
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.simulate import simulate
from cluster_sim.validation.fitted import fitted_metrics
from cluster_sim.validation.group_alone import rate_alone
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.setup import scenario_of, settings_of
from cluster_sim.validation.stated_settings import stated_kv_cache


@dataclass(frozen=True)
class Prediction:
    """Prediction of a measured run."""

    measured: MeasuredRun
    """Measured run."""
    values: Mapping[str, float]
    """Predicted values by the keys of `METRICS`."""
    fault: str = ""
    """Reason why the run cannot be set up; empty if it can."""

    @cached_property
    def fitted(self) -> frozenset[str]:
        """Metrics of the run that a constant was fitted to; empty if it cannot be set up."""
        return fitted_metrics(self.measured) if not self.fault else frozenset()

    def scores(self) -> dict[str, float]:
        """Return the errors of the metrics that are compared and predicted."""
        return {
            metric: self.error(metric) for metric in self.measured.scored() if metric in self.values
        }

    def error(self, metric: str) -> float:
        """Return (predicted - measured) / measured; for prefix hits, predicted - measured."""
        if metric == "prefix_hits":
            return self.values[metric] - self.measured.values[metric]
        return self.values[metric] / self.measured.values[metric] - 1.0


def predict(measured: MeasuredRun) -> Prediction:
    """Simulate a measured run, and return the predicted values.

    The throughput is output tokens over the time from the first arrival to the last finish. The
    throughput of a steady run or of sessions is computed as its measurement was: clients x answer /
    (TTFT + TPOT x (answer - 1)).

    Parameters
    ----------
    measured
        Measured run.

    Returns
    -------
    Prediction
        Predicted values. It has a fault, and no values, if the run cannot be set up.
    """
    try:
        scenario = scenario_of(measured)
        if measured.load == "none":
            return Prediction(measured, _memory(scenario))
        if measured.load in ("decode", "prefill"):
            return Prediction(measured, rate_alone(measured, scenario))
        done = _as_clients_saw(measured, finished(simulate(scenario)))
    except ScenarioError as error:
        return Prediction(measured, {}, str(error))
    values = values_of(done) | _memory(scenario)
    if measured.steady or measured.load == "sessions":
        answer = float(np.mean(done.output_tokens))
        values["output_per_s"] = (
            measured.amount * answer / (values["ttft_ms"] + values["tpot_ms"] * (answer - 1)) * 1e3
        )
    return Prediction(measured, values)


def _as_clients_saw(measured: MeasuredRun, done: Finished) -> Finished:
    """Return the requests with the first token at the time that clients of pools apart saw it.

    The server that decodes sends the whole answer as soon as it has the KV cache: SGLang
    (`disaggregation/decode.py`, 0.5) and Dynamo's workers. The wait for it is in TTFT, and not in
    the first gap between tokens.
    """
    if measured.prefill is None:
        return done
    wait_s = np.nan_to_num(done.hand_over_wait_s) + np.nan_to_num(done.kv_transfer_s)
    return replace(done, first_token_s=done.first_token_s + wait_s)


def values_of(done: Finished) -> dict[str, float]:
    """Return the values of finished requests by the keys of `METRICS`; memory is omitted.

    Parameters
    ----------
    done
        Finished requests of a run, at least one.
    """
    ttft_ms, tpot_ms = 1e3 * done.ttft_s, 1e3 * done.tpot_s
    return {
        "ttft_ms": float(np.mean(ttft_ms)),
        "tpot_ms": float(np.mean(tpot_ms)),
        **_percentiles("ttft", ttft_ms),
        **_percentiles("tpot", tpot_ms),
        "decode_ms": 1e3 * float(np.mean(done.finish_s - done.first_token_s)),
        "output_per_s": float(
            np.sum(done.output_tokens) / (np.max(done.finish_s) - np.min(done.arrival_s))
        ),
        "user_per_s": 1e3 / float(np.mean(tpot_ms)),
        "prefix_hits": float(np.sum(done.prefix_hit_tokens) / np.sum(done.prompt_tokens)),
    }


def _memory(scenario: Scenario) -> dict[str, float]:
    """Return the KV cache capacity of one replica that decodes, in tokens and GB per device."""
    deployment = resolve(scenario).deployments[-1]
    return {
        "kv_tokens": float(deployment.kv_tokens),
        "kv_gb": deployment.placement.kv_bytes / 1e9,
    }


def _percentiles(metric: str, values_ms: NDArray[np.float64]) -> dict[str, float]:
    shares = (50, 90, 99)
    values = np.percentile(values_ms, shares)
    return {
        f"{metric}_p{share}_ms": float(value) for share, value in zip(shares, values, strict=True)
    }


def predict_all(
    runs: Sequence[MeasuredRun],
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[Prediction]:
    """Return the predictions of runs in the order given.

    Runs with equal scenarios, such as runs of several versions of an engine, are simulated once.

    Parameters
    ----------
    runs
        Measured runs.
    workers
        Number of processes.
    progress
        Function that is called with the number of simulations done and the number of all
        simulations.
    """
    once: dict[tuple[object, ...], MeasuredRun] = {}
    for run in runs:
        once.setdefault(_setup(run), run)
    answers: dict[tuple[object, ...], Prediction] = {}
    for setup, answer in zip(once, _predictions(list(once.values()), workers), strict=True):
        answers[setup] = answer
        if progress is not None:
            progress(len(answers), len(once))
    return [replace(answers[_setup(run)], measured=run) for run in runs]


def _predictions(runs: list[MeasuredRun], workers: int) -> Iterator[Prediction]:
    """Yield the predictions in the order of the runs, each as soon as it is ready."""
    if workers == 1:
        yield from map(predict, runs)
        return
    # new processes instead of forks, which would copy locks that threads of numpy and pyarrow hold
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(predict, runs, chunksize=4)


def _setup(run: MeasuredRun) -> tuple[object, ...]:
    """Return everything that the scenario of a run, and its predicted values, depend on."""
    mlperf = run.split_key.rpartition("|x")[2] if run.dataset.startswith("mlperf") else ""
    settings = settings_of(run)
    return (
        run.dataset, run.hardware, run.model, run.precision, run.release.profile, run.group,
        run.prefill, run.isl, run.osl, run.load, run.amount, run.spread, run.steady,
        run.drafts, run.wafers, run.agents, mlperf, stated_kv_cache(run), str(settings),
    )  # fmt: skip
