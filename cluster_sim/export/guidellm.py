"""What GuideLLM writes to benchmarks.json, report version 2. Source: guidellm 0.8.1, its schemas
and docs/guides/metrics.md.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import writer
from cluster_sim.export.client_load import declared_load
from cluster_sim.export.client_view import Answers
from cluster_sim.export.percentiles import stepped
from cluster_sim.typing import Array
from cluster_sim.workload.arrivals import ClientLoad

PERCENTILES = {
    "p001": 0.1, "p01": 1.0, "p05": 5.0, "p10": 10.0, "p25": 25.0, "p50": 50.0, "p75": 75.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9,
}  # fmt: skip
STATUSES = ("successful", "incomplete", "errored", "total")
_TOGETHER_S = 1e-4  # events nearer to each other than this count as one
_LEAST_S = 1e-6  # an event's share of time

Values = tuple[Array, Array]
"""Values and their weights."""


def document(answers: Answers) -> dict[str, Any]:
    """The report: one benchmark of the requests that count. Requests that were rejected are
    errored, unfinished ones incomplete.

    Percentiles are the smallest value that has at least that share of the weight up to it.
    request_latency is in seconds, the others in ms; time_per_output_token_ms is latency over
    tokens, the first included, weighted by tokens; inter_token_latency_ms leaves the first out,
    weighted by tokens less one. Rates and concurrency are weighted by time, tokens spread evenly
    from the first to the last of a request, as GuideLLM takes them. No confidence intervals.
    """
    scenario = answers.results.scenario
    view = _View(answers)
    strategy = _strategy(answers)
    config = {
        "id_": scenario.title,
        "run_id": scenario.name,
        "run_index": 0,
        "strategy": strategy,
        "constraints": {},
        "sample_size": None,
        "warmup": {"percent": None, "value": scenario.warmup_s or None, "mode": "duration"},
        "cooldown": {"percent": None, "value": None, "mode": "prefer_duration"},
        "prefer_response_metrics": True,
        "slo": _slo(answers),
        "confidence": None,
        "warnings": [],
        "profile": {"kind": strategy["type_"]},
        "requests": {"seed": scenario.seed},
        "backend": {"kind": "cluster-sim", "model": scenario.model.name},
        "environment": {"simulated_by": writer()},
    }
    benchmark = {
        "type_": "generative_benchmark",
        "config": config,
        "scheduler_state": view.scheduler_state(),
        "scheduler_metrics": view.scheduler_metrics() | {"strategy_type": strategy["type_"]},
        "metrics": view.metrics(),
        "requests": {
            "successful": view.requests("successful"),
            "incomplete": view.requests("incomplete"),
            "errored": view.requests("errored"),
            "total": None,
        },
        "warnings": [],
        "start_time": view.began_s,
        "end_time": view.ended_s,
        "duration": view.ended_s - view.began_s,
        "warmup_duration": 0.0,
        "cooldown_duration": 0.0,
    }
    metadata = {
        "version": 2,
        "guidellm_version": writer(),
        "python_version": platform.python_version(),
        "platform": "simulation",
    }
    spec = {
        "backend": {"kind": "openai_http", "target": "http://simulated"},
        "profile": _PROFILES[strategy["type_"]](strategy),
        "data": [
            {
                "kind": "synthetic_text",
                "prompt_tokens": _mean(answers.prompt_tokens),
                "output_tokens": _mean(answers.output_tokens),
            }
        ],
    }
    about = {
        "metadata": {"labels": {"name": scenario.title, "simulated_by": writer()}},
        "spec": spec,
        "benchmarks": [None],
    }
    return {"metadata": metadata, "config": about, "benchmarks": [benchmark], "conclusions": []}


def summary(
    values: Array, weights: Array | None = None, count: int | None = None
) -> dict[str, Any]:
    """A distribution; all zero where it is empty. weights: default 1 each; count: default their
    sum.
    """
    weights = np.ones(len(values)) if weights is None else weights
    if not len(values):
        names = ("mean", "median", "mode", "variance", "std_dev", "min", "max")
        return (
            dict.fromkeys(names, 0.0)
            | {"count": 0, "total_sum": 0.0, "percentiles": dict.fromkeys(PERCENTILES, 0.0)}
            | _WITHOUT
        )
    count = round(float(np.sum(weights))) if count is None else count
    unique, place = np.unique(values, return_inverse=True)
    weight: Array = np.bincount(place, weights)
    if (weight > 0).any():
        unique, weight = unique[weight > 0], weight[weight > 0]
    else:
        weight = np.ones(len(unique))
    share = weight / np.sum(weight)
    mean = float(np.sum(unique * share))
    variance = float(np.sum((unique - mean) ** 2 * share))
    percentiles = dict(
        zip(PERCENTILES, stepped(unique, weight, list(PERCENTILES.values())), strict=True)
    )
    return {
        "mean": mean,
        "median": percentiles["p50"],
        "mode": float(unique[np.argmax(share)]),
        "variance": variance,
        "std_dev": variance**0.5,
        "min": float(unique[0]),
        "max": float(unique[-1]),
        "count": count,
        "total_sum": mean * count,
        "percentiles": percentiles,
    } | _WITHOUT


def rates(times_s: Array, amounts: Array, began_s: float, ended_s: float) -> dict[str, Any]:
    """Amounts a second over time: each over half the way to its neighbours, weighted by that."""
    inside = (times_s >= began_s) & (times_s <= ended_s)
    times_s, amounts = (
        np.append(times_s[inside], [began_s, ended_s]),
        np.append(amounts[inside], [0.0, 0.0]),
    )
    times_s, amounts = _merged(times_s, amounts)
    if len(times_s) < 2:
        return summary(np.empty(0))
    middles_s = (times_s[1:] + times_s[:-1]) / 2
    share_s = np.diff(np.concatenate(([times_s[0]], middles_s, [times_s[-1]])))
    share_s[-1] = max(share_s[-1], _LEAST_S)
    return summary(amounts / share_s, share_s, round(float(np.sum(amounts))))


def concurrency(from_s: Array, to_s: Array, began_s: float, ended_s: float) -> dict[str, Any]:
    """How many of these were under way, weighted by time."""
    inside = (to_s >= began_s) & (from_s <= ended_s)
    from_s, to_s, count = from_s[inside], to_s[inside], int(np.sum(inside))
    if not count:
        return summary(np.empty(0))
    times_s, changes = _merged(np.concatenate([from_s, to_s]), np.repeat([1.0, -1.0], count))
    before = times_s < began_s
    times_s, changes = (
        np.append(began_s, times_s[~before]),
        np.append(np.sum(changes[before]), changes[~before]),
    )
    kept = times_s <= ended_s
    times_s, changes = np.append(times_s[kept], ended_s), changes[kept]
    levels, lengths_s = np.maximum(np.cumsum(changes), 0.0), np.maximum(np.diff(times_s), 0.0)
    return summary(levels, lengths_s, count) if (lengths_s > 0).any() else summary(np.empty(0))


_WITHOUT = {"pdf": None, "mean_ci": None, "percentile_cis": None}


def _merged(times_s: Array, amounts: Array) -> tuple[Array, Array]:
    """In order; from left to right all that lie close behind one are added to it."""
    unique_s, place = np.unique(times_s, return_inverse=True)
    summed = np.bincount(place, amounts)
    ends = np.searchsorted(unique_s, unique_s + _TOGETHER_S, side="right").tolist()
    starts, at = [], 0
    while at < len(ends):
        starts.append(at)
        at = ends[at]
    return unique_s[starts], np.add.reduceat(summed, starts)


class _View:
    """Columns of all requests, and which of them have which status."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.status = np.where(answers.done, 0, np.where(answers.rejected, 2, 1))
        self.start_s = answers.arrival_s
        self.end_s = np.where(
            answers.done,
            answers.finish_s,
            np.where(answers.rejected, answers.arrival_s, answers.end_s),
        )
        self.began_s = float(np.min(self.start_s, initial=np.inf)) if len(self.start_s) else 0.0
        self.ended_s = float(np.max(self.end_s)) if len(self.end_s) else 0.0
        self.first_s = answers.first_token_s
        self.last_s = np.where(
            answers.done | np.isnan(self.first_s), self.end_s, self.first_s
        )  # how far one that was cut off had come is not kept
        self.output = np.where(answers.done, answers.output_tokens, 0)
        self.chunks = np.zeros(len(self.status), dtype=np.int64)
        self.chunks[answers.done] = answers.times.chunks
        self.first_output_s = self.first_s.copy()
        if answers.of_done.first_output_token_s is not None:
            self.first_output_s[answers.done] = answers.of_done.first_output_token_s

    def of(self, status: str) -> Array:
        chosen: Array = (
            np.ones(len(self.status), dtype=bool)
            if status == "total"
            else self.status == STATUSES.index(status)
        )
        return chosen

    def each(self, make: Callable[[Array], dict[str, Any]]) -> dict[str, Any]:
        """A distribution for each status, from the rows that have it."""
        return {status: make(np.nonzero(self.of(status))[0]) for status in STATUSES}

    def metrics(self) -> dict[str, Any]:
        began_s, ended_s, prompts = self.began_s, self.ended_s, self.answers.prompt_tokens
        latency_s = self.end_s - self.start_s
        has_first = self.first_s == self.first_s

        def of(
            values: Array, weights: Array | None = None, among: Array | None = None
        ) -> dict[str, Any]:
            def make(rows: Array) -> dict[str, Any]:
                rows = rows if among is None else rows[among[rows]]
                return summary(
                    values[rows], None if weights is None else weights[rows].astype(float)
                )

            return self.each(make)

        def rate(events: Callable[[Array], Values]) -> dict[str, Any]:
            return self.each(lambda rows: rates(*events(rows), began_s, ended_s))

        def first(rows: Array) -> Array:
            seen_s: Array = np.where(has_first[rows], self.first_s[rows], self.end_s[rows])
            return seen_s

        def together(rows: Array) -> Values:
            times_s, tokens = self._tokens(rows)
            return np.append(times_s, first(rows)), np.append(tokens, prompts[rows].astype(float))

        with np.errstate(divide="ignore", invalid="ignore"):
            each_s = np.where(self.output > 0, latency_s / self.output, 0.0)
            gap_s = np.where(
                self.output > 1, (self.end_s - self.first_s) / np.maximum(self.output - 1, 1), 0.0
            )
        good = self.answers.good
        determined = None if good is None else len(good) + int(np.sum(self.of("errored")))
        attained = None if good is None or not determined else int(np.sum(good)) / determined
        return {
            "request_totals": {status: int(np.sum(self.of(status))) for status in STATUSES},
            "requests_per_second": rate(lambda rows: (self.end_s[rows], np.ones(len(rows)))),
            "request_concurrency": self.each(
                lambda rows: concurrency(self.start_s[rows], self.end_s[rows], began_s, ended_s)
            ),
            "request_latency": of(latency_s),
            "request_dispatch_delay": None,
            "request_scheduled_latency": None,
            "turn_predecessor_delay": None,
            "turn_scheduling_delay": None,
            "root_dispatch_delay": None,
            "request_streaming_iterations_count": of(self.chunks.astype(float)),
            "prompt_token_count": of(prompts.astype(float)),
            "output_token_count": of(self.output.astype(float)),
            "total_token_count": of((prompts + self.output).astype(float)),
            "time_to_first_token_ms": of(1e3 * (self.first_s - self.start_s), None, has_first),
            "time_to_first_output_token_ms": of(
                1e3 * (self.first_output_s - self.start_s), None, has_first
            ),
            "time_per_output_token_ms": of(1e3 * each_s, self.output),
            "inter_token_latency_ms": of(1e3 * gap_s, np.maximum(self.output - 1, 0), has_first),
            "time_to_last_round_trip_ms": of(0.0 * latency_s),
            "avg_round_trip_time_ms": of(0.0 * latency_s),
            "prompt_tokens_per_second": rate(
                lambda rows: (first(rows), prompts[rows].astype(float))
            ),
            "output_tokens_per_second": rate(self._tokens),
            "tokens_per_second": rate(together),
            "output_tokens_per_iteration": self.each(lambda rows: summary(self._tokens(rows)[1])),
            "iter_tokens_per_iteration": self.each(lambda rows: summary(*self._later(rows))),
            **{kind: dict.fromkeys(parts) for kind, parts in _PARTS.items()},
            "turns": None,
            "slo_attainment": attained,
            "slo_determined_requests": determined or 0,
            "request_goodput": None if good is None else self._goodput(good),
        }

    def _goodput(self, good: Array) -> dict[str, Any]:
        met = rates(
            self.answers.of_done.finish_s[good],
            np.ones(int(np.sum(good))),
            self.began_s,
            self.ended_s,
        )
        none = rates(np.empty(0), np.empty(0), self.began_s, self.ended_s)
        return {"successful": met, "incomplete": none, "errored": none, "total": met}

    def _tokens(self, rows: Array) -> Values:
        """When output tokens came, and how many: one first, then even parts, evenly spaced to the
        last; all at the end where none streamed.
        """
        streamed = rows[self.chunks[rows] > 1]
        whole = rows[self.chunks[rows] <= 1]
        later = self.chunks[streamed] - 1
        inside = np.arange(int(np.sum(later))) - np.repeat(np.cumsum(later) - later, later) + 1
        gap_s = (self.end_s[streamed] - self.first_s[streamed]) / np.maximum(later, 1)
        times_s = np.concatenate(
            [
                self.last_s[whole],
                self.first_s[streamed],
                np.repeat(self.first_s[streamed], later) + inside * np.repeat(gap_s, later),
            ]
        )
        tokens = np.concatenate(
            [
                self.output[whole].astype(float),
                np.ones(len(streamed)),
                np.repeat((self.output[streamed] - 1.0) / np.maximum(later, 1), later),
            ]
        )
        return times_s, tokens

    def _later(self, rows: Array) -> Values:
        """Tokens of each chunk after the first, and how many chunks have so many."""
        streamed = rows[self.chunks[rows] > 1]
        later = self.chunks[streamed] - 1
        return (self.output[streamed] - 1.0) / np.maximum(later, 1), later.astype(float)

    def scheduler_state(self) -> dict[str, Any]:
        counts = {status: int(np.sum(self.of(status))) for status in STATUSES}
        return {
            "node_id": 0,
            "num_processes": 1,
            "start_time": self.began_s,
            "end_time": self.ended_s,
            "created_requests": counts["total"],
            "queued_requests": 0,
            "pending_requests": 0,
            "processing_requests": 0,
            "processed_requests": counts["total"],
            "successful_requests": counts["successful"],
            "errored_requests": counts["errored"],
            "cancelled_requests": counts["incomplete"],
        }

    def scheduler_metrics(self) -> dict[str, Any]:
        """A simulated client loses no time of its own: its delays are 0."""
        taken_s = float(np.mean(self.end_s - self.start_s)) if len(self.end_s) else 0.0
        times = {
            "start_time": self.began_s,
            "request_start_time": self.began_s,
            "measure_start_time": self.began_s,
        }
        times |= {
            "measure_end_time": self.ended_s,
            "request_end_time": self.ended_s,
            "end_time": self.ended_s,
        }
        delays = (
            "queued_time_avg", "resolve_start_delay_avg", "resolve_targeted_start_delay_avg", "request_start_delay_avg",
            "request_targeted_start_delay_avg", "resolve_end_delay_avg", "finalized_delay_avg", "processed_delay_avg",
        )  # fmt: skip
        made = {status: int(np.sum(self.of(status))) for status in STATUSES}
        averages = dict.fromkeys(delays, 0.0) | {
            "request_time_avg": taken_s,
            "resolve_time_avg": taken_s,
        }
        return times | {
            "requests_made": made,
            "generation_delay": summary(np.empty(0)),
            **averages,
            "dataset_incomplete": False,
        }

    def requests(self, status: str) -> list[dict[str, Any]]:
        return [self._request(row, status) for row in np.nonzero(self.of(status))[0].tolist()]

    def _request(self, row: int, status: str) -> dict[str, Any]:
        start_s, end_s, first_s = (
            float(self.start_s[row]),
            float(self.end_s[row]),
            _none(self.first_s[row]),
        )
        output, prompt, chunks = (
            int(self.output[row]),
            int(self.answers.prompt_tokens[row]),
            int(self.chunks[row]),
        )
        last_s = None if first_s is None else float(self.last_s[row])
        latency_s = end_s - start_s
        timings = {
            "targeted_start": start_s, "queued": start_s, "dequeued": start_s, "scheduled_at": start_s, "resolve_start": start_s, "request_start": start_s,
            "first_request_iteration": first_s, "first_token_iteration": first_s, "first_output_token_iteration": _none(self.first_output_s[row]),
            "last_token_iteration": last_s, "last_request_iteration": last_s, "request_iterations": chunks, "token_iterations": chunks,
            "request_end": end_s, "resolve_end": end_s, "finalized": end_s,
        }  # fmt: skip
        identity = str(self.answers.number[row])
        info = {
            "request_id": identity,
            "status": {"successful": "completed", "incomplete": "cancelled", "errored": "errored"}[
                status
            ],
            "scheduler_node_id": 0,
            "scheduler_process_id": 0,
            "scheduler_start_time": self.began_s,
            "timings": timings,
            "error": "rejected" if status == "errored" else None,
        }
        return {
            "type_": "generative_request_stats",
            "request_id": identity,
            "response_id": None,
            "request_args": None,
            "output": None,
            "info": info,
            "input_metrics": {
                "text_tokens": prompt,
                "cached_tokens": int(self.answers.prefix_hit_tokens[row]),
            },
            "output_metrics": {"text_tokens": output},
            "request_start_time": start_s,
            "request_end_time": end_s,
            "request_latency": latency_s,
            "prompt_tokens": prompt,
            "cached_tokens": int(self.answers.prefix_hit_tokens[row]),
            "output_tokens": output,
            "total_tokens": prompt + output,
            "time_to_first_token_ms": None if first_s is None else 1e3 * (first_s - start_s),
            "time_to_first_output_token_ms": None
            if first_s is None
            else 1e3 * (float(self.first_output_s[row]) - start_s),
            "time_per_output_token_ms": 1e3 * latency_s / output if output else None,
            "inter_token_latency_ms": 1e3 * (end_s - first_s) / (output - 1)
            if output > 1 and first_s is not None
            else None,
            "tokens_per_second": (prompt + output) / latency_s if latency_s else None,
            "output_tokens_per_second": output / latency_s if latency_s else None,
            "iter_tokens_per_iteration": (output - 1) / (chunks - 1)
            if output > 1 and chunks > 1
            else None,
            "output_tokens_per_iteration": output / chunks if chunks else None,
        }


_PARTS: dict[str, Sequence[str]] = {
    "text": ("tokens", "words", "characters"),
    "image": ("tokens", "images", "pixels", "bytes"),
    "video": ("tokens", "frames", "seconds", "bytes"),
    "audio": ("tokens", "samples", "seconds", "bytes"),
    "tool_call": ("tokens", "mixed_tokens", "count"),
}


_PROFILES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "concurrent": lambda strategy: {"kind": "concurrent", "streams": [strategy["streams"]]},
    "poisson": lambda strategy: {"kind": "poisson", "rate": [strategy["rate"]]},
    "constant": lambda strategy: {"kind": "constant", "rate": [strategy["rate"]]},
    "throughput": lambda strategy: {
        "kind": "throughput",
        "max_concurrency": strategy["max_concurrency"],
    },
    "trace": lambda strategy: {"kind": "replay"},
}


def _mean(values: Array) -> int:
    return max(round(float(np.mean(values))), 1) if len(values) else 1


def _none(value: Any) -> float | None:
    return float(value) if value == value else None


def _slo(answers: Answers) -> dict[str, Any] | None:
    slo = answers.results.scenario.slo
    limits = {name: getattr(slo, f"{name}_s") for name in ("ttft", "tpot", "e2el")}
    return (
        {
            f"{name}_ms": None if limit_s is None else 1e3 * limit_s
            for name, limit_s in limits.items()
        }
        if any(limits.values())
        else None
    )


def _strategy(answers: Answers) -> dict[str, Any]:
    """Return the nearest of GuideLLM's strategies.

    They are clients, all at once, and a rate with Poisson or constant gaps. All other traffic is
    the replay of a trace.
    """
    load = declared_load(answers.results.scenario) or ClientLoad()
    if load.max_concurrency is not None:
        return {"type_": "concurrent", "streams": load.max_concurrency}
    if load.queued is not None:
        return {"type_": "throughput", "max_concurrency": load.queued}
    if load.rate_per_s is not None and load.gamma_shape == 1.0:
        seed = answers.results.scenario.seed
        return {"type_": "poisson", "rate": load.rate_per_s, "random_seed": seed}
    if load.rate_per_s is not None and load.gamma_shape == inf:
        return {"type_": "constant", "rate": load.rate_per_s}
    return {"type_": "trace"}
