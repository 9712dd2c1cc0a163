"""What `vllm bench serve` writes. Source: vllm/benchmarks/serve.py at 009e6d4a."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import Benchmark, at, number, writer
from cluster_sim.export.client_load import declared_load, measured_load
from cluster_sim.export.client_view import Answers
from cluster_sim.export.network_latency import ways_s
from cluster_sim.export.percentiles import linear
from cluster_sim.results.metrics.gaps import Gaps, itl
from cluster_sim.typing import Array

METRICS = ("ttft", "tpot", "itl", "e2el")
PERCENTS = (90.0, 95.0, 99.0)

_STATISTIC = re.compile(r"(?:mean|median|std|p[0-9.]+)_(.+)_ms")
_PERCENT = re.compile(r"p([0-9.]+)_.+_ms")
_ABOUT_THE_RUN = ("num_prompts", "request_rate", "burstiness", "max_concurrency")
_STEPS_AT_A_TIME = 1 << 20


def document(
    answers: Answers,
    metrics: Sequence[str] = METRICS,
    percents: Sequence[float] = PERCENTS,
    detailed: bool = False,
) -> dict[str, Any]:
    """The object that it saves, as with `--percentile-metrics`, `--metric-percentiles` and
    `--save-detailed`.

    Percentiles are linear, deviations those of a population. Requests that were rejected or did not
    finish have failed. TPOT leaves out answers of one token, ITL pools the gaps of all answers. No
    client queues, so latencies with and without that are the same.
    """
    scenario, done = answers.results.scenario, answers.of_done
    prompts, outputs = int(np.sum(done.prompt_tokens)), int(np.sum(done.output_tokens))
    good = None if answers.good is None else int(np.sum(answers.good))
    latencies_s = _all(answers, done.e2el_s)
    said: dict[str, Any] = {
        "date": at(0.0).strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": "cluster-sim",
        "backend": "cluster-sim",
        "label": scenario.title,
        "model_id": scenario.model.name,
        "tokenizer_id": scenario.model.name,
        "num_prompts": len(answers.done),
        "simulated_by": writer(),
        "seed": scenario.seed,
        **_load(answers),
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
        "max_output_tokens_per_s": _most_tokens_in_a_second(answers),
        "max_concurrent_requests": answers.results.summary()["max_concurrent_requests"],
        "rtfx": 0.0,
    }
    for metric in metrics:
        said |= _statistics(metric, _values_s(answers, metric), percents)
    if detailed:
        ttfts_s, rows = _all(answers, done.ttft_s), iter(range(len(done.arrival_s)))
        said |= {
            "input_lens": answers.prompt_tokens.tolist(),
            "output_lens": np.where(answers.done, answers.output_tokens, 0).tolist(),
            "ttfts": ttfts_s.tolist(),
            "itls": [
                answers.times.gaps_s(next(rows)).tolist() if finished else []
                for finished in answers.done
            ],
            "start_times": answers.arrival_s.tolist(),
            "generated_texts": [""] * len(answers.done),
            "errors": [_error(*both) for both in zip(answers.done, answers.rejected, strict=True)],
        }
    return said


def file_name(said: Mapping[str, Any]) -> str:
    """What it calls the file."""
    clients = (
        f"-concurrency{said['max_concurrency']}" if said["max_concurrency"] is not None else ""
    )
    label, model = (re.sub(r"[^A-Za-z0-9_.-]", "-", said[key]) for key in ("label", "model_id"))
    return f"{label}-{said['request_rate']}qps{clients}-{model}-{said['date']}.json"


def is_one(said: Mapping[str, Any]) -> bool:
    """Whether an object is one of these."""
    return "request_throughput" in said and "duration" in said and "completed" in said


def benchmark(said: Mapping[str, Any]) -> Benchmark:
    """Its figures. Older clients write request_goodput with a colon at its end; lists, and what is
    about the run alone, are left out.
    """
    values = {
        key.rstrip(":"): value for key, one in said.items() if (value := number(one)) is not None
    }
    values = {
        key: value for key, value in values.items() if key not in _ABOUT_THE_RUN and key != "seed"
    }
    return Benchmark("vllm", str(said.get("label") or said.get("model_id") or ""), values)


def like(names: Iterable[str], answers: Answers) -> dict[str, Any]:
    """The document of a simulation, with the metrics and percentiles that a measured one has."""
    names = list(names)
    metrics = [
        metric
        for metric in (*METRICS, "client_queue_time", "e2el_including_client_queue")
        if any(_of(name) == metric for name in names)
    ]
    percents = sorted({float(found[1]) for name in names if (found := _PERCENT.fullmatch(name))})
    return document(answers, metrics, percents)


def _of(name: str) -> str | None:
    found = _STATISTIC.fullmatch(name)
    return found[1] if found else None


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


def _values_s(answers: Answers, metric: str) -> Array | Gaps:
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
    return values[metric]


def _statistics(metric: str, values_s: Array | Gaps, percents: Sequence[float]) -> dict[str, float]:
    """Zero where there are no values, as it writes then."""
    names = [
        f"mean_{metric}_ms",
        f"median_{metric}_ms",
        f"std_{metric}_ms",
        *(f"p{percent:g}_{metric}_ms" for percent in percents),
    ]
    if not (values_s.count if isinstance(values_s, Gaps) else len(values_s)):
        return dict.fromkeys(names, 0.0)
    if isinstance(values_s, Gaps):
        mean_s, std_s = values_s.mean(), values_s.std()
        median_s, *others_s = values_s.percentiles([50.0, *percents])
    else:
        mean_s, std_s = float(np.mean(values_s)), float(np.std(values_s))
        median_s, *others_s = linear(values_s, [50.0, *percents])
    return {
        name: 1e3 * value_s
        for name, value_s in zip(names, [mean_s, median_s, std_s, *others_s], strict=True)
    }


def _all(answers: Answers, values_s: Array) -> Array:
    """One a request that was sent; 0 for those that failed."""
    every = np.zeros(len(answers.done))
    every[answers.done] = values_s
    return every


def _error(finished: bool, rejected: bool) -> str:
    return "" if finished else "rejected" if rejected else "had not finished when the run ended"


def _most_tokens_in_a_second(answers: Answers) -> float:
    """The fullest of the seconds that are counted from the first arrival, of first tokens and
    chunks after them.
    """
    if not answers.done.any():
        return 0.0
    results, began_s = answers.results, float(np.min(answers.arrival_s))
    counts = np.zeros(int(answers.duration_s) + 2)

    def add(times_s: Array, weights: Array) -> None:
        place = np.clip((times_s - began_s).astype(np.int64), 0, len(counts) - 1)
        np.add(counts, np.bincount(place, weights, len(counts)), out=counts)

    add(answers.of_done.first_token_s, np.ones(len(answers.of_done.first_token_s)))
    table, ways = results.stretches, ways_s(results.scenario)
    replica, began, first_s, slope_s, steps, weight = (
        table[name].to_numpy()
        for name in ("replica", "began_s", "first_s", "slope_s", "steps", "counted")
    )
    upto = np.cumsum(steps)
    for part in np.split(
        np.arange(len(steps)),
        np.searchsorted(upto, np.arange(_STEPS_AT_A_TIME, int(upto[-1]), _STEPS_AT_A_TIME)),
    ):
        row = np.repeat(part, steps[part])
        n = np.arange(len(row)) - np.repeat(np.cumsum(steps[part]) - steps[part], steps[part]) + 1.0
        add(
            began[row] + n * first_s[row] + slope_s[row] * n * (n - 1) / 2 + ways[replica[row]],
            weight[row].astype(float),
        )
    resumed = results.events["what"].to_numpy() == "resumed"
    request, at_s = (results.events[name].to_numpy()[resumed] for name in ("request", "at_s"))
    mine = np.isin(request, answers.number)
    add(at_s[mine], np.ones(int(mine.sum())))
    return float(np.max(counts))
