"""What NVIDIA AIPerf writes, GenAI-Perf's structure included. Source: AIPerf 0.13.0, schema 1.4,
which docs/reference/json-export-schema.md describes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import Benchmark, at, nanoseconds, number, writer
from cluster_sim.export.client_view import Answers
from cluster_sim.export.percentiles import linear
from cluster_sim.results.metrics.gaps import Gaps, itl
from cluster_sim.typing import Array

SCHEMA = "1.4"
PERCENTS = (1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0)
STATISTICS = ("avg", "min", "max", "sum", *(f"p{percent:g}" for percent in PERCENTS), "std")
"""In the order of the CSV's columns."""


@dataclass(frozen=True)
class Tag:
    """One metric: its unit, and what tables call it."""

    unit: str
    header: str


RECORDS = {
    "time_to_first_token": Tag("ms", "Time to First Token"),
    "time_to_second_token": Tag("ms", "Time to Second Token"),
    "time_to_first_output_token": Tag("ms", "Time to First Output Token"),
    "request_latency": Tag("ms", "Request Latency"),
    "inter_token_latency": Tag("ms", "Inter Token Latency"),
    "inter_chunk_latency": Tag("ms", "Inter Chunk Latency"),
    "output_token_throughput_per_user": Tag("tokens/sec/user", "Output Token Throughput Per User"),
    "prefill_throughput_per_user": Tag("tokens/sec/user", "Prefill Throughput Per User"),
    "input_sequence_length": Tag("tokens", "Input Sequence Length"),
    "output_sequence_length": Tag("tokens", "Output Sequence Length"),
    "output_token_count": Tag("tokens", "Output Token Count"),
    "reasoning_token_count": Tag("tokens", "Reasoning Token Count"),
    "error_isl": Tag("tokens", "Error Input Sequence Length"),
}
"""Of each request: distributions."""
TOTALS = {
    "request_count": Tag("requests", "Request Count"),
    "error_request_count": Tag("requests", "Error Request Count"),
    "good_request_count": Tag("requests", "Good Request Count"),
    "goodput": Tag("requests/sec", "Goodput"),
    "request_throughput": Tag("requests/sec", "Request Throughput"),
    "output_token_throughput": Tag("tokens/sec", "Output Token Throughput"),
    "total_token_throughput": Tag("tokens/sec", "Total Token Throughput"),
    "total_output_tokens": Tag("tokens", "Total Output Tokens"),
    "total_reasoning_tokens": Tag("tokens", "Total Reasoning Tokens"),
    "total_osl": Tag("tokens", "Total Output Sequence Length"),
    "total_isl": Tag("tokens", "Total Input Sequence Length"),
    "total_error_isl": Tag("tokens", "Total Error Input Sequence Length"),
    "benchmark_duration": Tag("sec", "Benchmark Duration"),
}
"""Of the run: one number each, under `avg`."""


def document(answers: Answers) -> dict[str, Any]:
    """The object of profile_export_aiperf.json.

    Percentiles are linear, deviations those of a population. inter_token_latency is a request's
    mean after its first token, inter_chunk_latency pools the gaps of all requests; both in ms.
    Metrics without values are absent.
    """
    scenario = answers.results.scenario
    said: dict[str, Any] = {
        "schema_version": SCHEMA,
        "aiperf_version": writer(),
        "benchmark_id": scenario.title,
    }
    said |= {
        tag: {"unit": RECORDS[tag].unit, **statistics}
        for tag, statistics in _distributions(answers)
    }
    said |= {tag: {"unit": TOTALS[tag].unit, "avg": value} for tag, value in _totals(answers)}
    end_s = float(np.min(answers.arrival_s)) + answers.duration_s if len(answers.done) else 0.0
    errors = [
        (int(np.sum(answers.rejected)), "rejected"),
        (int(np.sum(~answers.done & ~answers.rejected)), "had not finished when the run ended"),
    ]
    return said | {
        "run_info": {
            "benchmark_id": scenario.title,
            "random_seed": scenario.seed,
            "run_label": scenario.name,
            "variation_label": scenario.variant or "base",
        },
        "was_cancelled": False,
        "is_complete": True,
        "error_summary": [
            {"error_details": {"type": "SimulatedError", "message": message}, "count": count}
            for count, message in errors
            if count
        ],
        "start_time": at(float(np.min(answers.arrival_s, initial=end_s)))
        .replace(tzinfo=None)
        .isoformat(),
        "end_time": at(end_s).replace(tzinfo=None).isoformat(),
    }


def table(said: Mapping[str, Any]) -> str:
    """profile_export_aiperf.csv: the distributions by tag, an empty line, the totals."""
    text = StringIO()
    lines = csv.writer(text)
    lines.writerow(["Metric", *STATISTICS])
    for tag in sorted(set(RECORDS) & set(said)):
        lines.writerow(
            [_heading(RECORDS[tag]), *(_cell(said[tag].get(statistic)) for statistic in STATISTICS)]
        )
    lines.writerow([])
    lines.writerow(["Metric", "Value"])
    for tag in sorted(set(TOTALS) & set(said)):
        lines.writerow([_heading(TOTALS[tag]), _cell(said[tag]["avg"])])
    return text.getvalue()


def records(answers: Answers, detailed: bool = False) -> Iterator[str]:
    """The lines of profile_export.jsonl, one a request that was sent. detailed: with the gaps
    between its chunks.
    """
    values = _records(answers)
    rows = iter(range(len(answers.of_done.arrival_s)))
    for place, finished in enumerate(answers.done.tolist()):
        metrics: dict[str, Any] = {}
        if finished:
            row = next(rows)
            metrics = {
                tag: {"value": column[row].item(), "unit": RECORDS[tag].unit}
                for tag, column in values.items()
                if column[row] == column[row]
            }
            if detailed and len(gaps_s := answers.times.gaps_s(row)):
                metrics["inter_chunk_latency"] = {"value": (1e3 * gaps_s).tolist(), "unit": "ms"}
        else:
            metrics["error_isl"] = {"value": int(answers.prompt_tokens[place]), "unit": "tokens"}
        why = "rejected" if answers.rejected[place] else "had not finished when the run ended"
        ended_s = (
            answers.finish_s[place]
            if finished
            else answers.arrival_s[place]
            if answers.rejected[place]
            else answers.end_s
        )
        number_ = int(answers.number[place])
        metadata = {
            "session_num": number_,
            "x_request_id": str(number_),
            "request_start_ns": nanoseconds(answers.arrival_s[place]),
            "request_end_ns": nanoseconds(ended_s),
            "worker_id": "cluster-sim",
            "record_processor_id": "cluster-sim",
            "benchmark_phase": "profiling",
            "was_cancelled": not finished and not answers.rejected[place].item(),
        }
        yield json.dumps(
            {
                "metadata": metadata,
                "metrics": metrics,
                "error": None if finished else {"type": "SimulatedError", "message": why},
            }
        )


def is_one(said: Mapping[str, Any]) -> bool:
    """Whether an object is one of these, or GenAI-Perf's."""
    return isinstance(said.get("request_latency"), Mapping) and "unit" in said["request_latency"]


def benchmark(said: Mapping[str, Any]) -> Benchmark:
    """Its figures: of distributions `tag.statistic`, of totals `tag`."""
    values: dict[str, float] = {}
    for tag, block in said.items():
        if isinstance(block, Mapping) and "unit" in block:
            found = {
                statistic: value
                for statistic, one in block.items()
                if (value := number(one)) is not None
            }
            if set(found) <= {"avg"} or tag in TOTALS:
                if "avg" in found:
                    values[tag] = found["avg"]
            else:
                values |= {f"{tag}.{statistic}": value for statistic, value in found.items()}
    return Benchmark("aiperf", str(said.get("benchmark_id") or ""), values)


def _records(answers: Answers) -> dict[str, Array]:
    """Of each request that finished; NaN where it has none."""
    done = answers.of_done
    several = done.output_tokens > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot_s = np.where(several, done.tpot_s, np.nan)
        columns: dict[str, Array] = {
            "time_to_first_token": 1e3 * done.ttft_s,
            "time_to_second_token": 1e3
            * np.array(
                [
                    answers.times.gaps_s(row)[0] if many else np.nan
                    for row, many in enumerate(several.tolist())
                ]
            ),
            "time_to_first_output_token": 1e3
            * (done.ttft_s if done.ttfo_s is None else done.ttfo_s),
            "request_latency": 1e3 * done.e2el_s,
            "inter_token_latency": 1e3 * tpot_s,
            "output_token_throughput_per_user": np.where(tpot_s > 0, 1 / tpot_s, np.nan),
            "prefill_throughput_per_user": np.where(
                done.ttft_s > 0, done.prompt_tokens / done.ttft_s, np.nan
            ),
            "input_sequence_length": done.prompt_tokens,
            "output_sequence_length": done.output_tokens,
            "output_token_count": done.output_tokens
            if done.reasoning_tokens is None
            else done.output_tokens - done.reasoning_tokens,
        }
    return (
        columns
        if done.reasoning_tokens is None
        else columns | {"reasoning_token_count": done.reasoning_tokens}
    )


def _distributions(answers: Answers) -> Iterator[tuple[str, dict[str, float]]]:
    columns = _records(answers) | {"error_isl": answers.prompt_tokens[~answers.done]}
    for tag in RECORDS:
        if tag == "inter_chunk_latency":
            if answers.done.any() and (gaps := itl(answers.results)).count:
                yield tag, _of_gaps(gaps)
        elif tag in columns and len(values := columns[tag][columns[tag] == columns[tag]]):
            yield tag, _of(values)


def _of(values: Array) -> dict[str, Any]:
    ends = {
        "avg": float(np.mean(values)),
        "min": np.min(values).item(),
        "max": np.max(values).item(),
        "sum": np.sum(values).item(),
    }
    percentiles = {
        f"p{percent:g}": value
        for percent, value in zip(PERCENTS, linear(values, PERCENTS), strict=True)
    }
    return ends | percentiles | {"std": float(np.std(values)), "count": len(values)}


def _of_gaps(gaps: Gaps) -> dict[str, Any]:
    least_s, *percentiles_s = gaps.percentiles([0.0, *PERCENTS])
    ends_s = {
        "avg": gaps.mean(),
        "min": least_s,
        "max": gaps.max(),
        "sum": gaps.mean() * gaps.count,
    }
    statistics_s = (
        ends_s
        | dict(zip((f"p{percent:g}" for percent in PERCENTS), percentiles_s, strict=True))
        | {"std": gaps.std()}
    )
    return {name: 1e3 * value_s for name, value_s in statistics_s.items()} | {"count": gaps.count}


def _totals(answers: Answers) -> Iterator[tuple[str, float]]:
    done = answers.of_done
    prompts, outputs, failed = (
        int(np.sum(done.prompt_tokens)),
        int(np.sum(done.output_tokens)),
        int(np.sum(~answers.done)),
    )
    yield "request_count", len(done.arrival_s)
    if failed:
        yield "error_request_count", failed
        yield "total_error_isl", int(np.sum(answers.prompt_tokens[~answers.done]))
    if answers.good is not None:
        yield "good_request_count", int(np.sum(answers.good))
        yield "goodput", answers.per_second(int(np.sum(answers.good)))
    yield "request_throughput", answers.per_second(len(done.arrival_s))
    yield "output_token_throughput", answers.per_second(outputs)
    yield "total_token_throughput", answers.per_second(prompts + outputs)
    if done.reasoning_tokens is not None:
        yield "total_reasoning_tokens", int(np.sum(done.reasoning_tokens))
    yield (
        "total_output_tokens",
        outputs - (int(np.sum(done.reasoning_tokens)) if done.reasoning_tokens is not None else 0),
    )
    yield "total_osl", outputs
    yield "total_isl", prompts
    yield "benchmark_duration", answers.duration_s


def _heading(tag: Tag) -> str:
    return tag.header if tag.unit == "requests" else f"{tag.header} ({tag.unit})"


def _cell(value: Any) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
