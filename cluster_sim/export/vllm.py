"""Writer and reader of results of `vllm bench serve`.

Source: vllm/benchmarks/serve.py at 009e6d4a.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import Benchmark, ClientFile, at, number, writer
from cluster_sim.export.client_load import measured_load, own_load
from cluster_sim.export.client_view import Answers
from cluster_sim.export.distributions import Distribution, Values
from cluster_sim.export.setup import Setup
from cluster_sim.export.token_rate import max_tokens_per_second
from cluster_sim.typing import Array

METRICS = ("ttft", "tpot", "itl", "e2el")
"""Metrics that are written by default."""
PERCENTS = (90.0, 95.0, 99.0)
"""Percentiles of each metric that are written by default."""

_STATISTIC = re.compile(r"(?:mean|median|std|p[0-9.]+)_(.+)_ms")
_PERCENT = re.compile(r"p([0-9.]+)_.+_ms")
_ABOUT_THE_RUN = ("num_prompts", "request_rate", "burstiness", "max_concurrency", "seed")
"""Numbers of the file that are parameters, and not figures of the benchmark."""


def files(answers: Answers, *, detailed: bool) -> Iterator[ClientFile]:
    """Yield the result file."""
    result = document(answers, detailed=detailed)
    yield ClientFile(file_name(result), [json.dumps(result)])


def document(
    answers: Answers,
    metrics: Sequence[str] = METRICS,
    percents: Sequence[float] = PERCENTS,
    *,
    detailed: bool = False,
) -> dict[str, Any]:
    """Return the object of the result file.

    Percentiles are interpolated linearly, and standard deviations are those of the population.
    Requests that were rejected or did not finish count as failed. TPOT excludes answers of one
    token. ITL pools the gaps between chunks of all answers. There is no queue in the client, so
    latencies with and without the client's queue are equal.

    Parameters
    ----------
    answers
        Requests of the run, from the view of the client.
    metrics
        Metrics of `--percentile-metrics`.
    percents
        Percentiles of `--metric-percentiles`.
    detailed
        Whether the gaps between tokens and the (empty) texts of answers are written, like with
        `--save-detailed`. Times and lengths of requests are always written, so that the file can be
        replayed.
    """
    result = _setup(answers) | _load(answers) | _totals(answers) | _requests(answers)
    for metric in metrics:
        result |= _statistics(metric, _distribution(answers, metric), percents)
    return result | _details(answers) if detailed else result


def file_name(result: Mapping[str, Any]) -> str:
    """Return the client's name for the result file."""
    clients = (
        f"-concurrency{result['max_concurrency']}" if result["max_concurrency"] is not None else ""
    )
    label, model = (re.sub(r"[^A-Za-z0-9_.-]", "-", result[key]) for key in ("label", "model_id"))
    return f"{label}-{result['request_rate']}qps{clients}-{model}-{result['date']}.json"


def recognises(result: Mapping[str, Any]) -> bool:
    """Return whether an object is a result of `vllm bench serve`."""
    return "request_throughput" in result and "duration" in result and "completed" in result


def benchmark(result: Mapping[str, Any]) -> Benchmark:
    """Return the figures of a result.

    Older clients write request_goodput with a final colon. Lists and parameters of the run are
    omitted.
    """
    values = {
        key.rstrip(":"): figure
        for key, value in result.items()
        if (figure := number(value)) is not None
    }
    values = {key: figure for key, figure in values.items() if key not in _ABOUT_THE_RUN}
    name = str(result.get("label") or result.get("model_id") or "")
    return Benchmark("vllm", name, values, _setup_in(result))


def _setup_in(result: Mapping[str, Any]) -> Setup:
    """Return the set-up that a result gives."""
    model, rate = result.get("model_id"), result.get("request_rate")
    completed = number(result.get("completed"))
    totals = (number(result.get(f"total_{which}_tokens")) for which in ("input", "output"))
    means = [total / completed if completed and total is not None else None for total in totals]
    return Setup(
        model if isinstance(model, str) else None,
        inf if rate == "inf" else number(rate),
        number(result.get("max_concurrency")),
        number(result.get("num_prompts")),
        *means,
    )


def as_measured(answers: Answers, measured: Benchmark) -> Benchmark:
    """Return the figures of a run, with the metrics and percentiles of a measured result.

    Parameters
    ----------
    answers
        Requests of the run, from the view of the client.
    measured
        Measured result, whose names select the metrics and percentiles.
    """
    return benchmark(like(measured.values, answers))


def like(names: Iterable[str], answers: Answers) -> dict[str, Any]:
    """Return the object of a simulation with the metrics and percentiles of these names."""
    names = list(names)
    statistics = [match[1] for name in names if (match := _STATISTIC.fullmatch(name))]
    known = (*METRICS, "client_queue_time", "e2el_including_client_queue")
    percents = {float(match[1]) for name in names if (match := _PERCENT.fullmatch(name))}
    metrics = [metric for metric in known if metric in statistics]
    return document(answers, metrics, sorted(percents))


def _setup(answers: Answers) -> dict[str, Any]:
    """Return the description of the experiment."""
    scenario = answers.results.scenario
    return {
        "date": at(0.0).strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": "cluster-sim",
        "backend": "cluster-sim",
        "label": scenario.title,
        "model_id": scenario.model.name,
        "tokenizer_id": scenario.model.name,
        "num_prompts": len(answers.done),
        "simulated_by": writer(),
        "seed": scenario.seed,
    }


def _load(answers: Answers) -> dict[str, Any]:
    """Return the load: a rate with burstiness, or a number of clients.

    Burstiness is the shape of gamma-distributed gaps, like in `--burstiness`: 1 is Poisson, inf is
    constant gaps of 1 / rate, which the client saves as `Infinity`. For traffic of another kind,
    rate and burstiness are fitted to its gaps.
    """
    load = own_load(answers.results.scenario) or measured_load(answers)
    return {
        "request_rate": "inf" if load.rate_per_s is None else load.rate_per_s,
        "burstiness": load.gamma_shape,
        "max_concurrency": load.max_concurrency,
    }


def _totals(answers: Answers) -> dict[str, Any]:
    done = answers.of_done
    prompts, outputs = int(np.sum(done.prompt_tokens)), int(np.sum(done.output_tokens))
    good = None if answers.good is None else int(np.sum(answers.good))
    latencies_s = _of_all(answers, done.e2el_s)
    return {
        "duration": answers.duration_s,
        "completed": int(np.sum(answers.done)),
        "failed": int(np.sum(~answers.done)),
        "total_input_tokens": prompts,
        "total_output_tokens": outputs,
        "request_throughput": answers.per_second(len(done.arrival_s)),
        "request_goodput": None if good is None else answers.per_second(good),
        "output_throughput": answers.per_second(outputs),
        "total_token_throughput": answers.per_second(prompts + outputs),
        "latencies": latencies_s.tolist(),
        "queue_times": [0.0] * len(latencies_s),
        "max_output_tokens_per_s": max_tokens_per_second(answers),
        "max_concurrent_requests": answers.results.summary()["max_concurrent_requests"],
        "rtfx": 0.0,
    }


def _requests(answers: Answers) -> dict[str, Any]:
    """Return the lists that a replay of the file needs, with one entry per sent request."""
    return {
        "input_lens": answers.prompt_tokens.tolist(),
        "output_lens": np.where(answers.done, answers.output_tokens, 0).tolist(),
        "ttfts": _of_all(answers, answers.of_done.ttft_s).tolist(),
        "start_times": answers.arrival_s.tolist(),
        "errors": [answers.failure(place) or "" for place in range(len(answers.done))],
    }


def _details(answers: Answers) -> dict[str, Any]:
    """Return the lists of gaps between tokens and of texts, with one entry per sent request."""
    rows = iter(range(len(answers.of_done.arrival_s)))
    return {
        "itls": [
            answers.times.gaps_s(next(rows)).tolist() if is_done else [] for is_done in answers.done
        ],
        "generated_texts": [""] * len(answers.done),
    }


def _distribution(answers: Answers, metric: str) -> Distribution:
    """Return the distribution of a metric [s]."""
    done = answers.of_done
    if metric == "itl":
        return answers.gaps
    values: dict[str, Array] = {
        "ttft": done.ttft_s,
        "tpot": done.tpot_s[done.output_tokens > 1],
        "e2el": done.e2el_s,
        "e2el_including_client_queue": done.e2el_s,
        "client_queue_time": 0.0 * done.e2el_s,
    }
    return Values(values[metric])


def _statistics(metric: str, values_s: Distribution, percents: Sequence[float]) -> dict[str, float]:
    """Return the statistics of a metric [ms]; 0 without values, like the client."""
    names = [
        f"mean_{metric}_ms",
        f"median_{metric}_ms",
        f"std_{metric}_ms",
        *(f"p{percent:g}_{metric}_ms" for percent in percents),
    ]
    if not values_s.count:
        return dict.fromkeys(names, 0.0)
    mean_s, std_s = values_s.mean(), values_s.std()
    median_s, *others_s = values_s.percentiles([50.0, *percents])
    statistics_s = [mean_s, median_s, std_s, *others_s]
    return {name: 1e3 * value_s for name, value_s in zip(names, statistics_s, strict=True)}


def _of_all(answers: Answers, values_s: Array) -> Array:
    """Return a column of all sent requests with the values of the finished ones, else 0."""
    every = np.zeros(len(answers.done))
    every[answers.done] = values_s
    return every
