"""Writer of AIPerf's profile_export_aiperf.json and .csv, and reader of the JSON file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from math import inf
from typing import Any

import numpy as np

from cluster_sim.export.aiperf.metrics import PERCENTS, RECORDS, STATISTICS, TOTALS, Tag
from cluster_sim.export.aiperf.records import columns_of_done
from cluster_sim.export.benchmark import Benchmark, at, number, writer
from cluster_sim.export.client_view import REASONS, Answers
from cluster_sim.export.nested import text_under, under
from cluster_sim.export.percentiles import linear
from cluster_sim.export.setup import Setup
from cluster_sim.results.metrics.gaps import Gaps
from cluster_sim.typing import Array

SCHEMA = "1.4"
"""Version of the schema of the file."""


def document(answers: Answers) -> dict[str, Any]:
    """Return the object of profile_export_aiperf.json.

    Percentiles are interpolated linearly, and standard deviations are those of the population.
    inter_token_latency is the time of a request after its first chunk per token after that chunk
    [ms]. inter_chunk_latency pools the gaps between chunks of all requests [ms]. Metrics without
    values are absent.
    """
    scenario = answers.results.scenario
    head: dict[str, Any] = {
        "schema_version": SCHEMA,
        "aiperf_version": writer(),
        "benchmark_id": scenario.title,
    }
    distributions = {
        tag: {"unit": RECORDS[tag].unit, **statistics}
        for tag, statistics in _distributions(answers)
    }
    totals = {tag: {"unit": TOTALS[tag].unit, "avg": value} for tag, value in _totals(answers)}
    return head | distributions | totals | _about(answers)


def table(result: Mapping[str, Any]) -> str:
    """Return the text of profile_export_aiperf.csv: distributions, an empty line, and totals."""
    text = StringIO()
    lines = csv.writer(text)
    lines.writerow(["Metric", *STATISTICS])
    for tag in sorted(set(RECORDS) & set(result)):
        cells = [_cell(result[tag].get(statistic)) for statistic in STATISTICS]
        lines.writerow([_heading(RECORDS[tag]), *cells])
    lines.writerow([])
    lines.writerow(["Metric", "Value"])
    for tag in sorted(set(TOTALS) & set(result)):
        lines.writerow([_heading(TOTALS[tag]), _cell(result[tag]["avg"])])
    return text.getvalue()


def recognises(result: Mapping[str, Any]) -> bool:
    """Return whether an object is a result of AIPerf or of GenAI-Perf."""
    latency = result.get("request_latency")
    return isinstance(latency, Mapping) and "unit" in latency


def benchmark(result: Mapping[str, Any]) -> Benchmark:
    """Return the figures of a result: `tag.statistic` for distributions, `tag` for totals."""
    values: dict[str, float] = {}
    for tag, block in result.items():
        if isinstance(block, Mapping) and "unit" in block:
            figures = {
                statistic: figure
                for statistic, value in block.items()
                if (figure := number(value)) is not None
            }
            if set(figures) <= {"avg"} or tag in TOTALS:
                if "avg" in figures:
                    values[tag] = figures["avg"]
            else:
                values |= {f"{tag}.{statistic}": figure for statistic, figure in figures.items()}
    return Benchmark("aiperf", str(result.get("benchmark_id") or ""), values, _setup_in(result))


def _setup_in(result: Mapping[str, Any]) -> Setup:
    """Return the set-up that a result gives, most of it in its configuration."""
    config, numbers = result.get("input_config"), (int, float)
    concurrency = number(under(config, ("concurrency",), numbers))
    rate_per_s = number(under(config, ("request_rate",), numbers)) or None
    requests = number(under(config, ("request_count", "num_requests"), numbers))
    means = (
        number(under(result.get(f"{which}_sequence_length"), ("avg",), numbers))
        for which in ("input", "output")
    )
    return Setup(
        text_under(config, ("model_names", "models", "model")),
        inf if rate_per_s is None and concurrency is not None else rate_per_s,
        concurrency,
        requests,
        *means,
    )


def as_measured(answers: Answers, measured: Benchmark) -> Benchmark:
    """Return all figures of a simulation, whatever metrics the measured result has."""
    return benchmark(document(answers))


def _about(answers: Answers) -> dict[str, Any]:
    """Return the description of the run, its start and end, and its failures."""
    scenario = answers.results.scenario
    end_s = float(np.min(answers.arrival_s)) + answers.duration_s if len(answers.done) else 0.0
    begin_s = float(np.min(answers.arrival_s, initial=end_s))
    failures = {reason: int(np.sum(answers.status == status)) for status, reason in REASONS.items()}
    return {
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
            for message, count in failures.items()
            if count
        ],
        "start_time": at(begin_s).replace(tzinfo=None).isoformat(),
        "end_time": at(end_s).replace(tzinfo=None).isoformat(),
    }


def _distributions(answers: Answers) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tag and the statistics of each metric of requests that has values."""
    columns = columns_of_done(answers) | {"error_isl": answers.prompt_tokens[~answers.done]}
    for tag in RECORDS:
        if tag == "inter_chunk_latency":
            if answers.done.any() and (gaps := answers.gaps).count:
                yield tag, _of_gaps(gaps)
        elif tag in columns and len(values := columns[tag][columns[tag] == columns[tag]]):
            yield tag, _of_values(values)


def _of_values(values: Array) -> dict[str, Any]:
    """Return the statistics of a metric in its unit; extremes and sums of integers are integers."""
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
    """Return the statistics of pooled gaps [ms]."""
    least_s, *percentiles_s = gaps.percentiles([0.0, *PERCENTS])
    ends_s = {
        "avg": gaps.mean(),
        "min": least_s,
        "max": gaps.max(),
        "sum": gaps.mean() * gaps.count,
    }
    names = (f"p{percent:g}" for percent in PERCENTS)
    statistics_s = ends_s | dict(zip(names, percentiles_s, strict=True)) | {"std": gaps.std()}
    return {name: 1e3 * value_s for name, value_s in statistics_s.items()} | {"count": gaps.count}


def _totals(answers: Answers) -> Iterator[tuple[str, float]]:
    """Yield the tag and the value of each metric of the run."""
    done = answers.of_done
    prompts, outputs = int(np.sum(done.prompt_tokens)), int(np.sum(done.output_tokens))
    reasoning = None if done.reasoning_tokens is None else int(np.sum(done.reasoning_tokens))
    failed = int(np.sum(~answers.done))
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
    if reasoning is not None:
        yield "total_reasoning_tokens", reasoning
    yield "total_output_tokens", outputs - (reasoning or 0)
    yield "total_osl", outputs
    yield "total_isl", prompts
    yield "benchmark_duration", answers.duration_s


def _heading(tag: Tag) -> str:
    return tag.header if tag.unit == "requests" else f"{tag.header} ({tag.unit})"


def _cell(value: Any) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
