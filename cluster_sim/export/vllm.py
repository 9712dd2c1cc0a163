"""Files of `vllm bench serve`. Source: vllm/benchmarks/serve.py at 009e6d4a."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import Benchmark, ClientFile, at, number, writer
from cluster_sim.export.client_load import declared_load, measured_load
from cluster_sim.export.client_view import Answers
from cluster_sim.export.distributions import Distribution, Values
from cluster_sim.export.token_rate import max_tokens_per_second
from cluster_sim.results.metrics.gaps import itl
from cluster_sim.typing import Array

METRICS = ("ttft", "tpot", "itl", "e2el")
"""Metrics that are written by default."""
PERCENTS = (90.0, 95.0, 99.0)
"""Percentiles of each metric that are written by default."""

_STATISTIC = re.compile(r"(?:mean|median|std|p[0-9.]+)_(.+)_ms")
_PERCENT = re.compile(r"p([0-9.]+)_.+_ms")
_ABOUT_THE_RUN = ("num_prompts", "request_rate", "burstiness", "max_concurrency", "seed")
"""Numbers of the file that are no figures of the benchmark."""


def files(answers: Answers, *, detailed: bool) -> Iterator[ClientFile]:
    """Yield the file that it saves."""
    result = document(answers, detailed=detailed)
    yield ClientFile(file_name(result), [json.dumps(result)])


def document(
    answers: Answers,
    metrics: Sequence[str] = METRICS,
    percents: Sequence[float] = PERCENTS,
    *,
    detailed: bool = False,
) -> dict[str, Any]:
    """Return the object that it saves.

    Percentiles are linear, deviations those of a population. Requests that were rejected or did not
    finish have failed. TPOT leaves out answers of one token, ITL pools the gaps of all answers. No
    client queues, so latencies with and without that are the same.

    Parameters
    ----------
    answers
        Requests of the run.
    metrics
        Metrics of `--percentile-metrics`.
    percents
        Percentiles of `--metric-percentiles`.
    detailed
        Whether the gaps between tokens and the texts of answers are written, as with
        `--save-detailed`. When requests were sent and how long they are is written in any case, so
        that a file can be replayed.
    """
    result = _setup(answers) | _load(answers) | _totals(answers) | _requests(answers)
    for metric in metrics:
        result |= _statistics(metric, _distribution(answers, metric), percents)
    return result | _details(answers) if detailed else result


def file_name(result: Mapping[str, Any]) -> str:
    """Return the name that it gives the file."""
    clients = (
        f"-concurrency{result['max_concurrency']}" if result["max_concurrency"] is not None else ""
    )
    label, model = (re.sub(r"[^A-Za-z0-9_.-]", "-", result[key]) for key in ("label", "model_id"))
    return f"{label}-{result['request_rate']}qps{clients}-{model}-{result['date']}.json"


def recognises(result: Mapping[str, Any]) -> bool:
    """Return whether an object is one that it saves."""
    return "request_throughput" in result and "duration" in result and "completed" in result


def benchmark(result: Mapping[str, Any]) -> Benchmark:
    """Return the figures of a saved object.

    Older clients write request_goodput with a colon at its end. Lists, and what is about the run
    alone, are omitted.
    """
    values = {
        key.rstrip(":"): figure
        for key, value in result.items()
        if (figure := number(value)) is not None
    }
    values = {key: figure for key, figure in values.items() if key not in _ABOUT_THE_RUN}
    return Benchmark("vllm", str(result.get("label") or result.get("model_id") or ""), values)


def as_measured(answers: Answers, measured: Benchmark) -> Benchmark:
    """Return the figures of a simulation, with the metrics and percentiles of a measured one."""
    return benchmark(like(measured.values, answers))


def like(names: Iterable[str], answers: Answers) -> dict[str, Any]:
    """Return the object of a simulation with the metrics and percentiles that these names have."""
    names = list(names)
    statistics = [match[1] for name in names if (match := _STATISTIC.fullmatch(name))]
    known = (*METRICS, "client_queue_time", "e2el_including_client_queue")
    percents = {float(match[1]) for name in names if (match := _PERCENT.fullmatch(name))}
    metrics = [metric for metric in known if metric in statistics]
    return document(answers, metrics, sorted(percents))


def _setup(answers: Answers) -> dict[str, Any]:
    """Return what was measured, and by whom."""
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
    """Return how requests were sent: at a rate, by clients, or all at once.

    Burstiness is the shape of gamma-distributed gaps, as `--burstiness` takes it: 1 for Poisson,
    and inf for constant gaps, which the client then sends 1 / rate apart and saves as `Infinity`.
    Traffic that no rate and burstiness describe has those of its gaps.
    """
    scenario = answers.results.scenario
    sessions = scenario.workload.sessions
    declared = declared_load(scenario) if sessions is None else sessions.client_load()
    load = measured_load(answers) if declared is None else declared
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
    """Return the lists with which a file can be replayed: one entry for each request sent."""
    return {
        "input_lens": answers.prompt_tokens.tolist(),
        "output_lens": np.where(answers.done, answers.output_tokens, 0).tolist(),
        "ttfts": _of_all(answers, answers.of_done.ttft_s).tolist(),
        "start_times": answers.arrival_s.tolist(),
        "errors": [answers.failure(place) or "" for place in range(len(answers.done))],
    }


def _details(answers: Answers) -> dict[str, Any]:
    """Return the lists with what tokens came when: one entry for each request sent."""
    rows = iter(range(len(answers.of_done.arrival_s)))
    return {
        "itls": [
            answers.times.gaps_s(next(rows)).tolist() if is_done else [] for is_done in answers.done
        ],
        "generated_texts": [""] * len(answers.done),
    }


def _distribution(answers: Answers, metric: str) -> Distribution:
    """Return the values [s] of a metric."""
    done = answers.of_done
    if metric == "itl":
        return itl(answers.results)
    values: dict[str, Array] = {
        "ttft": done.ttft_s,
        "tpot": done.tpot_s[done.output_tokens > 1],
        "e2el": done.e2el_s,
        "e2el_including_client_queue": done.e2el_s,
        "client_queue_time": 0.0 * done.e2el_s,
    }
    return Values(values[metric])


def _statistics(metric: str, values_s: Distribution, percents: Sequence[float]) -> dict[str, float]:
    """Return the statistics of a metric [ms]; 0 if there are no values, as it writes then."""
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
    """Return the values of the requests that finished among all that were sent, 0 for the rest."""
    every = np.zeros(len(answers.done))
    every[answers.done] = values_s
    return every
