"""The files of benchmark clients: each with the client's own names, meanings and percentiles, and
read back as they were written.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim import export as clients
from cluster_sim.errors import ScenarioError
from cluster_sim.export import aiperf, guidellm, mlperf, vllm
from cluster_sim.export.client_view import answers
from cluster_sim.export.mlperf.verdict import more_queries
from cluster_sim.export.percentiles import linear, ranked, stepped
from cluster_sim.export.setup import Setup
from cluster_sim.results.metrics.gaps import itl
from cluster_sim.studies.benchmark_comparison import beside
from cluster_sim.studies.measured_results import MeasuredResults, measured_results
from tests.commands import BURST, call
from tests.workload.test_arrival_answers import Constant

ROOT = Path(__file__).resolve().parents[2]


def simulated(folder: Path, text: str = BURST) -> cluster_sim.Results:
    (folder / "small.yaml").write_text(text)
    return cluster_sim.simulate(cluster_sim.load_scenario(folder / "small.yaml", variant="b200"))


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> cluster_sim.Results:
    """Some hundred requests, all of which finish; answers of 1 to 30 tokens."""
    return simulated(
        tmp_path_factory.mktemp("light"),
        BURST.replace("rate: 5 /s", "rate: 30 /s")
        .replace("low: 2", "low: 1")
        .replace("ttft: 50 ms", "ttft: 16 ms"),  # some requests miss it
    )


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> cluster_sim.Results:
    """More than it can serve: some are rejected, some are cut off by the end."""
    text = (
        BURST.replace("rate: 5 /s", "rate: 90 /s")
        .replace("duration: 20 s", "duration: 5 s\ndrain: 0.1 s\nwarmup: 1 s")
        .replace("high: 30", "high: 200")
    )
    text = text.replace("tensor_parallel: 8}", "tensor_parallel: 2}, batching: {max_sequences: 2}")
    return simulated(
        tmp_path_factory.mktemp("heavy"),
        text.replace("cluster:", "cluster:\n  admission: {policy: queue_limit, max_waiting: 3}", 1),
    )


def done_and_failed(results: cluster_sim.Results) -> tuple[dict[str, Any], int]:
    """Columns of the requests that count and finished, and how many did not."""
    rows = [row for row in results.requests.to_pylist() if row["counted"]]
    done = [row for row in rows if row["status"] == "finished"]
    return {
        name: np.array([row[name] for row in done])
        for name in ("arrival_s", "first_token_s", "finish_s", "prompt_tokens", "output_tokens")
    }, len(rows) - len(done)


# Percentiles


def test_the_three_rules_differ_on_one_to_ten() -> None:
    values = np.arange(1.0, 11.0)
    assert linear(values, [90, 99]) == approx([9.1, 9.91])
    assert stepped(values, np.ones(10), [90, 99]) == [9, 10]
    assert ranked(values, [90, 99]) == [10, 10]


def test_of_one_value_every_percentile_is_that() -> None:
    one = np.array([7.0])
    assert (
        linear(one, [0, 50, 99.9])
        == stepped(one, np.ones(1), [0, 50, 99.9])
        == ranked(one, [0, 50, 99.9])
        == [7, 7, 7]
    )


def test_steps_weigh_values() -> None:
    assert stepped(np.array([1.0, 5.0]), np.array([9.0, 1.0]), [50, 90, 91]) == [1, 1, 5]


# When tokens came


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "variant", "overrides"),
    [
        ("kv_swap", "recompute", {}),  # preempted, and read again
        ("kv_swap", "swap", {}),
        ("disaggregated_70b", "disaggregated", {"duration": "25 s"}),  # handed over
        ("static_vs_continuous", "static", {}),
        ("speculation_70b", "eagle", {}),  # several tokens in a chunk
    ],
)
def test_gaps_of_each_request_pooled_are_the_gaps_that_stretches_tell(
    file: str, variant: str, overrides: dict[str, Any]
) -> None:
    results = cluster_sim.simulate(
        cluster_sim.load_scenario(
            ROOT / "scenarios" / f"{file}.yaml", variant=variant, overrides=overrides
        )
    )
    seen = answers(results)
    gaps_s = [seen.times.gaps_s(row) for row in range(len(seen.of_done.arrival_s))]
    pooled_s, told = np.concatenate(gaps_s), itl(results)
    assert seen.done.all()
    assert len(pooled_s) == told.count
    assert told.percentiles([1, 50, 90, 99.9]) == approx(
        np.percentile(pooled_s, [1, 50, 90, 99.9]).tolist(), rel=1e-9
    )
    assert [sum(gaps) for gaps in gaps_s] == approx(
        (seen.of_done.finish_s - seen.of_done.first_token_s).tolist(), abs=1e-8
    )
    assert seen.times.chunks.tolist() == [len(gaps) + 1 for gaps in gaps_s]
    if file != "speculation_70b":
        assert seen.times.chunks.tolist() == seen.of_done.output_tokens.tolist()


# vllm bench serve

VLLM_SETUP = {
    "date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts", "request_rate", "burstiness", "max_concurrency",
}  # fmt: skip
VLLM_TOTALS = {
    "duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput", "request_goodput", "output_throughput",
    "total_token_throughput", "max_output_tokens_per_s", "max_concurrent_requests", "rtfx", "latencies", "queue_times",
}  # fmt: skip
VLLM_REQUESTS = {"input_lens", "output_lens", "ttfts", "start_times", "errors"}
"""Lists with which a file can be replayed: the client itself writes them with --save-detailed alone."""
VLLM_DETAILS = {"itls", "generated_texts"}
STATISTICS = [
    "avg",
    "min",
    "max",
    "sum",
    "p1",
    "p5",
    "p10",
    "p25",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "std",
]
"""Statistics of each metric of AIPerf, in the order of its table."""


def test_vllm_has_its_published_fields_and_those_that_say_who_wrote_it(
    light: cluster_sim.Results,
) -> None:
    statistics = {
        f"{statistic}_{metric}_ms"
        for metric in ("ttft", "tpot", "itl", "e2el")
        for statistic in ("mean", "median", "std", "p90", "p95", "p99")
    }
    said = vllm.document(answers(light))
    about = {"simulated_by", "seed"}
    assert set(said) == VLLM_SETUP | VLLM_TOTALS | VLLM_REQUESTS | statistics | about
    assert set(vllm.document(answers(light), detailed=True)) == set(said) | VLLM_DETAILS
    some = vllm.document(answers(light), ["ttft"], [99, 99.9])
    assert {key for key in some if key.endswith("_ms")} == {
        "mean_ttft_ms",
        "median_ttft_ms",
        "std_ttft_ms",
        "p99_ttft_ms",
        "p99.9_ttft_ms",
    }


def test_vllm_statistics_are_those_of_its_own_lists(light: cluster_sim.Results) -> None:
    """Worked out from the lists as vllm/benchmarks/serve.py works them out."""
    said = vllm.document(answers(light), detailed=True)
    ttfts, latencies = np.array(said["ttfts"]), np.array(said["latencies"])
    tokens = np.array(said["output_lens"])
    several = tokens > 1
    assert (~several).any()
    tpots = (latencies - ttfts)[several] / (tokens[several] - 1)
    itls = np.concatenate(said["itls"])
    assert [len(gaps) for gaps in said["itls"]] == (tokens - 1).tolist()
    for name, values in (("ttft", ttfts), ("tpot", tpots), ("itl", itls), ("e2el", latencies)):
        wanted = [
            np.mean(values),
            np.median(values),
            np.std(values),
            *np.percentile(values, [90, 95, 99]),
        ]
        got = [
            said[f"{statistic}_{name}_ms"]
            for statistic in ("mean", "median", "std", "p90", "p95", "p99")
        ]
        assert got == approx([1e3 * value for value in wanted], rel=1e-6)
    good = (1e3 * ttfts <= 16) & (
        np.where(several, (latencies - ttfts) / np.maximum(tokens - 1, 1), 0.0) <= 0.005
    )
    assert said["request_goodput"] == approx(np.sum(good) / said["duration"])
    assert 0 < said["request_goodput"] < said["request_throughput"]
    ends = np.array(said["start_times"]) + latencies
    assert said["duration"] == approx(np.max(ends) - np.min(said["start_times"]))
    assert said["output_throughput"] == approx(np.sum(tokens) / said["duration"])
    seconds = np.zeros(30)
    for start, ttft, gaps in zip(said["start_times"], ttfts, said["itls"], strict=True):
        for time_s in (
            start + ttft + np.concatenate([[0.0], np.cumsum(gaps)]) - min(said["start_times"])
        ):
            seconds[int(time_s)] += 1
    assert said["max_output_tokens_per_s"] == np.max(seconds)


def test_vllm_counts_those_that_were_rejected_or_cut_off_as_failed(
    heavy: cluster_sim.Results,
) -> None:
    said = vllm.document(answers(heavy), detailed=True)
    done, failed = done_and_failed(heavy)
    assert said["failed"] == failed > 0
    assert said["completed"] == len(done["arrival_s"])
    assert (
        said["num_prompts"]
        == said["completed"] + said["failed"]
        == len(said["errors"])
        == len(said["itls"])
    )
    assert set(said["errors"]) == {"", "rejected", "had not finished when the run ended"}
    assert all(
        (length == 0) == bool(error)
        for length, error in zip(said["output_lens"], said["errors"], strict=True)
    )


@pytest.mark.parametrize(
    ("arrivals", "rate", "burstiness", "clients"),
    [
        ("{process: poisson, rate: 5 /s}", 5.0, 1.0, None),
        ("{process: gamma, rate: 5 /s, cv: 2}", 5.0, 0.25, None),
        ("{process: at_once, requests: 20}", "inf", 1.0, None),
        ("{process: closed_loop, concurrency: 3}", "inf", 1.0, 3),
    ],
)
def test_vllm_says_how_requests_were_sent(
    tmp_path: Path, arrivals: str, rate: Any, burstiness: float, clients: int | None
) -> None:
    said = vllm.document(
        answers(simulated(tmp_path, BURST.replace("{process: poisson, rate: 5 /s}", arrivals)))
    )
    assert (said["request_rate"], said["burstiness"], said["max_concurrency"]) == (
        rate,
        burstiness,
        clients,
    )
    name = f"small-b200-{rate}qps{'-concurrency3' if clients else ''}-Llama-3.1-8B-19700101-000000.json"
    assert vllm.file_name(said) == name


def replayed(folder: Path, times_s: list[float]) -> cluster_sim.Results:
    """A run of requests at these times."""
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"2023-11-16 18:00:{time_s:09.6f},50,3" for time_s in times_s]
    (folder / "trace.csv").write_text("\n".join(lines) + "\n")
    text = re.sub(
        r"  arrivals:.*?(?=^cluster:)", "  trace: {path: trace.csv}\n", BURST, flags=re.M | re.S
    )
    return simulated(folder, text)


def test_vllm_sends_equal_gaps_with_infinite_burstiness(tmp_path: Path) -> None:
    """The client sends requests 1 / rate apart where burstiness is inf, and saves that as Infinity
    (vllm/benchmarks/serve.py at 009e6d4a, get_request); 1 would be Poisson. Four a second: 0.25 s.
    """
    results = replayed(tmp_path, [0.25 * number for number in range(20)])
    said = vllm.document(answers(results))
    assert (said["request_rate"], said["burstiness"]) == (4.0, inf)
    clients.export(results, "vllm", tmp_path / "out")
    (file,) = (tmp_path / "out").iterdir()
    assert '"burstiness": Infinity' in file.read_text()
    assert clients.read(file).values["completed"] == 20


def test_gaps_that_differ_by_rounding_alone_are_equal(tmp_path: Path) -> None:
    """Tenths of a second are no binary numbers: their differences are 0.1 up to 1e-16."""
    tenths_s = [number / 10 for number in range(30)]
    assert np.std(np.diff(tenths_s)) > 0
    assert vllm.document(answers(replayed(tmp_path, tenths_s)))["burstiness"] == inf


def test_vllm_measures_gaps_that_no_burstiness_describes(tmp_path: Path) -> None:
    """Gaps of 1 and 3 s by turns: mean 2 s, deviation 1 s, so a gamma's shape is (2 / 1)^2 = 4."""
    said = vllm.document(answers(replayed(tmp_path, [0.0, 1.0, 4.0, 5.0, 8.0, 9.0, 12.0])))
    assert (said["request_rate"], said["burstiness"]) == (approx(0.5), approx(4.0))


CURVED = "{process: poisson, rate: 5 /s, rate_curve: {points: [[0 s, 3], [10 s, 1]]}}"
BURSTS = "{process: burst, rate: 5 /s, every: 10 s, bursts: [{at: 3 s, lasts: 2 s, rate: 12.5 /s}]}"


@pytest.mark.parametrize("arrivals", [CURVED, BURSTS])
def test_a_rate_that_changes_is_sent_at_its_mean_over_the_run(
    tmp_path: Path, arrivals: str
) -> None:
    """The rate falls from 15 to 5 a second in 10 s, then 5 for 10 s: 150 arrivals in 20 s, 7.5 a second. Bursts of
    25 requests twice on 5 a second are 150 as well.
    """
    seen = answers(simulated(tmp_path, BURST.replace("{process: poisson, rate: 5 /s}", arrivals)))
    assert vllm.document(seen)["request_rate"] == approx(7.5, rel=0.25)
    assert mlperf.Queries(seen).target_per_s == approx(7.5, rel=0.25)
    (benchmark,) = guidellm.document(seen)["benchmarks"]
    assert benchmark["config"]["strategy"] == {"type_": "trace"}


@pytest.mark.parametrize(
    ("arrivals", "strategy"),
    [
        ("{process: poisson, rate: 5 /s}", {"type_": "poisson", "rate": 5.0, "random_seed": 7}),
        ("{process: gamma, rate: 5 /s, cv: 2}", {"type_": "trace"}),
        ("{process: at_once, requests: 20}", {"type_": "throughput", "max_concurrency": 20}),
        ("{process: closed_loop, concurrency: 3}", {"type_": "concurrent", "streams": 3}),
    ],
)
def test_guidellm_has_the_strategy_that_comes_nearest(
    tmp_path: Path, arrivals: str, strategy: dict[str, Any]
) -> None:
    results = simulated(tmp_path, BURST.replace("{process: poisson, rate: 5 /s}", arrivals))
    (benchmark,) = guidellm.document(answers(results))["benchmarks"]
    assert benchmark["config"]["strategy"] == strategy


def test_a_process_of_equal_gaps_needs_no_line_in_the_exporters(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(BURST)
    scenario = cluster_sim.load_scenario(tmp_path / "small.yaml", variant="b200")
    workload = scenario.workload.model_copy(
        update={"arrivals": Constant.model_validate({"rate": 4.0})}
    )
    seen = answers(cluster_sim.simulate(scenario.model_copy(update={"workload": workload})))
    said = vllm.document(seen)
    assert (said["request_rate"], said["burstiness"]) == (4.0, inf)
    (benchmark,) = guidellm.document(seen)["benchmarks"]
    assert benchmark["config"]["strategy"] == {"type_": "constant", "rate": 4.0}
    assert mlperf.Queries(seen).target_per_s == 4.0


# AIPerf


def test_aiperf_has_its_published_blocks(light: cluster_sim.Results) -> None:
    said = json.loads(json.dumps(aiperf.document(answers(light))))
    about = {
        "schema_version", "aiperf_version", "benchmark_id", "run_info", "was_cancelled", "is_complete", "error_summary", "start_time", "end_time",
    }  # fmt: skip
    units = {
        "time_to_first_token": "ms", "time_to_second_token": "ms", "time_to_first_output_token": "ms", "request_latency": "ms", "inter_token_latency": "ms",
        "inter_chunk_latency": "ms", "output_token_throughput_per_user": "tokens/sec/user", "prefill_throughput_per_user": "tokens/sec/user",
        "input_sequence_length": "tokens", "output_sequence_length": "tokens", "output_token_count": "tokens",
    }  # fmt: skip
    totals = {
        "request_count": "requests", "good_request_count": "requests", "goodput": "requests/sec", "request_throughput": "requests/sec",
        "output_token_throughput": "tokens/sec", "total_token_throughput": "tokens/sec", "total_output_tokens": "tokens", "total_osl": "tokens",
        "total_isl": "tokens", "benchmark_duration": "sec",
    }  # fmt: skip
    assert set(said) == about | set(units) | set(totals)
    statistics = {"unit", *STATISTICS, "count"}
    for tag, unit in units.items():
        assert said[tag]["unit"] == unit and set(said[tag]) == statistics
    for tag, unit in totals.items():
        assert said[tag]["unit"] == unit and set(said[tag]) == {"unit", "avg"}


def test_aiperf_statistics_are_those_of_its_records(light: cluster_sim.Results) -> None:
    seen = answers(light)
    said = aiperf.document(seen)
    records = [json.loads(line) for line in aiperf.records(seen, detailed=True)]
    assert len(records) == said["request_count"]["avg"]
    for tag in aiperf.RECORDS:
        values = [record["metrics"][tag]["value"] for record in records if tag in record["metrics"]]
        if values:
            flat = np.hstack(values)
            block = said[tag]
            wanted = [
                np.mean(flat),
                np.min(flat),
                np.max(flat),
                np.sum(flat),
                np.std(flat),
                len(flat),
                *np.percentile(flat, [1, 50, 99]),
            ]
            assert [
                block[name]
                for name in ("avg", "min", "max", "sum", "std", "count", "p1", "p50", "p99")
            ] == approx(wanted, rel=1e-6)
    for record in records:
        metadata, metrics = record["metadata"], record["metrics"]
        assert (metadata["request_end_ns"] - metadata["request_start_ns"]) / 1e6 == approx(
            metrics["request_latency"]["value"], abs=1e-5
        )
        tokens = metrics["output_sequence_length"]["value"]
        if tokens > 1:
            after = metrics["request_latency"]["value"] - metrics["time_to_first_token"]["value"]
            assert metrics["inter_token_latency"]["value"] == approx(after / (tokens - 1))
            assert metrics["output_token_throughput_per_user"]["value"] == approx(
                1e3 / metrics["inter_token_latency"]["value"]
            )
            assert (
                metrics["time_to_second_token"]["value"]
                == metrics["inter_chunk_latency"]["value"][0]
            )
        else:
            assert "inter_token_latency" not in metrics


def test_aiperf_tells_errors_from_answers(heavy: cluster_sim.Results) -> None:
    seen = answers(heavy)
    said = aiperf.document(seen)
    _, failed = done_and_failed(heavy)
    assert (
        said["error_request_count"]["avg"]
        == sum(one["count"] for one in said["error_summary"])
        == failed
    )
    assert said["error_isl"]["count"] == failed and said["total_error_isl"]["avg"] == 100 * failed
    records = [json.loads(line) for line in aiperf.records(seen)]
    assert sum(record["error"] is not None for record in records) == failed
    assert {record["error"]["message"] for record in records if record["error"]} == {
        "rejected",
        "had not finished when the run ended",
    }
    assert all("inter_chunk_latency" not in record["metrics"] for record in records)


def test_aiperf_counts_reasoning_apart(tmp_path: Path) -> None:
    results = simulated(
        tmp_path, BURST.replace("  output_tokens", "  reasoning_share: 0.5\n  output_tokens")
    )
    said = aiperf.document(answers(results))
    assert (
        said["total_reasoning_tokens"]["avg"] + said["total_output_tokens"]["avg"]
        == said["total_osl"]["avg"]
    )
    assert said["time_to_first_output_token"]["avg"] > said["time_to_first_token"]["avg"]


def test_aiperfs_table_has_distributions_by_tag_and_then_the_totals(
    light: cluster_sim.Results,
) -> None:
    said = aiperf.document(answers(light))
    first, second = aiperf.table(said).split("\r\n\r\n")
    rows = list(csv.reader(first.splitlines()))
    assert rows[0] == ["Metric", *STATISTICS]
    assert [row[0] for row in rows[1:3]] == [
        "Input Sequence Length (tokens)",
        "Inter Chunk Latency (ms)",
    ]
    assert rows[1][1:4] == ["100.00", "100", "100"]
    totals = dict(csv.reader(second.splitlines()))
    assert totals["Metric"] == "Value"
    assert totals["Request Count"] == str(said["request_count"]["avg"])
    assert totals["Request Throughput (requests/sec)"] == f"{said['request_throughput']['avg']:.2f}"


# GuideLLM


def test_guidellm_has_its_published_structure(heavy: cluster_sim.Results) -> None:
    report = json.loads(json.dumps(guidellm.document(answers(heavy)), allow_nan=False))
    assert set(report) == {"metadata", "config", "benchmarks", "conclusions"}
    assert report["metadata"]["version"] == 2
    (benchmark,) = report["benchmarks"]
    assert benchmark["type_"] == "generative_benchmark"
    assert {"config", "scheduler_state", "scheduler_metrics", "metrics", "requests"} <= set(
        benchmark
    )
    metrics = benchmark["metrics"]
    distributions = {
        "requests_per_second", "request_concurrency", "request_latency", "request_streaming_iterations_count", "prompt_token_count", "output_token_count",
        "total_token_count", "time_to_first_token_ms", "time_to_first_output_token_ms", "time_per_output_token_ms", "inter_token_latency_ms",
        "prompt_tokens_per_second", "output_tokens_per_second", "tokens_per_second", "output_tokens_per_iteration", "iter_tokens_per_iteration",
    }  # fmt: skip
    assert {
        "request_totals",
        "text",
        "image",
        "video",
        "audio",
        "tool_call",
    } | distributions <= set(metrics)
    statistics = {
        "mean",
        "median",
        "mode",
        "variance",
        "std_dev",
        "min",
        "max",
        "count",
        "total_sum",
        "percentiles",
        "pdf",
        "mean_ci",
        "percentile_cis",
    }
    for name in distributions:
        assert set(metrics[name]) == {"successful", "incomplete", "errored", "total"}
        for one in metrics[name].values():
            assert set(one) == statistics
            assert list(one["percentiles"]) == [
                "p001",
                "p01",
                "p05",
                "p10",
                "p25",
                "p50",
                "p75",
                "p90",
                "p95",
                "p99",
                "p999",
            ]
    assert {
        key: len(benchmark["requests"][key]) for key in ("successful", "incomplete", "errored")
    } == {key: metrics["request_totals"][key] for key in ("successful", "incomplete", "errored")}
    assert all(metrics["request_totals"].values())
    made = benchmark["scheduler_metrics"]["requests_made"]
    assert made["total"] == made["successful"] + made["incomplete"] + made["errored"]


def test_guidellm_weighs_by_tokens_and_its_time_per_output_token_holds_the_first(
    light: cluster_sim.Results,
) -> None:
    metrics = guidellm.document(answers(light))["benchmarks"][0]["metrics"]
    done, _ = done_and_failed(light)
    latency_s, tokens = done["finish_s"] - done["arrival_s"], done["output_tokens"]
    assert metrics["request_latency"]["successful"]["mean"] == approx(np.mean(latency_s))
    assert metrics["time_per_output_token_ms"]["successful"]["mean"] == approx(
        1e3 * np.sum(latency_s) / np.sum(tokens)
    )
    after_s = np.sum(done["finish_s"] - done["first_token_s"])
    assert metrics["inter_token_latency_ms"]["successful"]["mean"] == approx(
        1e3 * after_s / np.sum(tokens - 1)
    )
    ordered = np.sort(latency_s)
    assert metrics["request_latency"]["successful"]["percentiles"]["p90"] == approx(
        ordered[int(np.ceil(0.9 * len(ordered))) - 1]
    )


def test_guidellms_rates_are_totals_over_time_and_its_concurrency_keeps_littles_law(
    light: cluster_sim.Results,
) -> None:
    benchmark = guidellm.document(answers(light))["benchmarks"][0]
    done, _ = done_and_failed(light)
    metrics, span_s = benchmark["metrics"], benchmark["duration"]
    assert span_s == approx(np.max(done["finish_s"]) - np.min(done["arrival_s"]))
    for name, amount in (
        ("requests_per_second", len(done["arrival_s"])),
        ("prompt_tokens_per_second", np.sum(done["prompt_tokens"])),
        ("output_tokens_per_second", np.sum(done["output_tokens"])),
    ):
        assert metrics[name]["total"]["mean"] == approx(amount / span_s, rel=1e-4)
        assert metrics[name]["total"]["count"] == amount
    assert metrics["request_concurrency"]["total"]["mean"] == approx(
        np.sum(done["finish_s"] - done["arrival_s"]) / span_s, rel=1e-2
    )


def test_a_rate_is_what_came_over_half_the_way_to_its_neighbours() -> None:
    """Events at 1, 2 and 4 s of a span from 0 to 4 s have 1, 1.5 and 1 s; the beginning, with
    nothing, has half a second.
    """
    found = guidellm.rates(np.array([1.0, 2.0, 4.0]), np.array([3.0, 3.0, 4.0]), 0.0, 4.0)
    assert found["mean"] == approx((3 + 3 + 4) / 4)
    assert found["min"] == 0.0 and found["max"] == approx(4.0)
    assert found["percentiles"]["p10"] == 0.0 and found["percentiles"]["p25"] == approx(2.0)


def test_two_that_overlap_for_one_of_four_seconds_are_two_for_a_quarter_of_the_time() -> None:
    found = guidellm.concurrency(np.array([0.0, 2.0]), np.array([3.0, 4.0]), 0.0, 4.0)
    assert found["mean"] == approx(1.25)
    assert found["percentiles"]["p75"] == 1.0 and found["percentiles"]["p90"] == 2.0


def test_what_comes_within_a_tenth_of_a_millisecond_counts_as_one() -> None:
    found = guidellm.rates(np.array([1.0, 1.00005, 2.0]), np.ones(3), 0.0, 2.0)
    assert found["max"] == approx(2.0)


# MLPerf


def test_loadgens_summary_reads_as_its_own(light: cluster_sim.Results) -> None:
    lines = mlperf.summary(mlperf.Queries(answers(light))).splitlines()
    assert lines[:3] == ["=" * 48, "MLPerf Results Summary", "=" * 48]
    said = dict(re.split(r" *: ?", line, maxsplit=1) for line in lines if ":" in line)
    done, _ = done_and_failed(light)
    latency_ns = np.sort(np.rint(1e9 * (done["finish_s"] - done["arrival_s"])))
    first_ns = np.sort(np.rint(1e9 * (done["first_token_s"] - done["arrival_s"])))
    n = len(latency_ns)
    assert said["Scenario"] == "Server" and said["Mode"] == "PerformanceOnly"
    assert int(said["Max latency (ns)"]) == latency_ns[-1]
    for percent in ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90"):
        place = min(int(n * (float(percent) / 100)), n - 1)
        assert int(said[f"{percent} percentile latency (ns)"]) == latency_ns[place]
        assert int(said[f"{percent} percentile first token latency (ns)"]) == first_ns[place]
        assert f"{percent} percentile time to output token (ns)" in said
    assert said["Result is"] == "INVALID"  # twenty seconds are too short, whatever the latencies
    assert said["  Min duration satisfied"] == said["  Early stopping satisfied"] == "NO"
    for name in (
        "Scheduled samples per second",
        "Completed tokens per second",
        "target_qps",
        "ttft_latency (ns)",
        "min_query_count",
        "qsl_rng_seed",
    ):
        assert name in said
    assert said["target_qps"] == "30" and said["ttft_latency (ns)"] == "16000000"


def test_loadgens_detail_is_a_json_object_a_line(light: cluster_sim.Results) -> None:
    log = mlperf.Queries(answers(light))
    lines = mlperf.detail(log).splitlines()
    assert all(line.startswith(":::MLLOG {") for line in lines)
    entries = {
        entry["key"]: entry["value"]
        for entry in (json.loads(line.removeprefix(":::MLLOG ")) for line in lines)
    }
    wanted = {
        "result_validity", "result_perf_constraints_met", "result_min_duration_met", "result_min_queries_met", "early_stopping_met", "result_query_count",
        "result_overlatency_query_count", "result_scheduled_samples_per_sec", "result_completed_samples_per_sec", "result_first_token_mean_latency_ns",
        "result_time_to_output_token_min", "result_time_to_output_token_max", "result_time_to_output_token_mean", "result_completed_tokens_per_second",
        "result_token_throughput_with_loadgen_overhead", "result_token_throughput",
    }  # fmt: skip
    wanted |= {f"result_{name}_latency_ns" for name in ("min", "max", "mean")}
    for percent in ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90"):
        wanted |= {
            f"result_{percent}_percentile_latency_ns",
            f"result_first_token_{percent}_percentile_latency_ns",
        }
        wanted.add(f"result_time_per_output_token_{percent}_percentile_ns")
    assert wanted <= set(entries)
    done, _ = done_and_failed(light)
    several = done["output_tokens"] > 1
    per_token_s = (done["finish_s"] - done["first_token_s"])[several] / (
        done["output_tokens"][several] - 1
    )
    assert entries["result_time_to_output_token_mean"] == approx(1e9 * np.mean(per_token_s), abs=2)
    assert entries["result_query_count"] == len(several)


def test_early_stopping_wants_459_queries_without_a_late_one_and_662_with_one() -> None:
    """0.99^459 is the first below 1 %; the second is the count that MLPerf's rules name for the
    99th percentile.
    """
    assert 0.99**458 > 0.01 > 0.99**459
    assert more_queries(0, 0) == 459
    assert more_queries(54, 0) == 405  # as LoadGen 6.0.17 said of a run of 54
    assert more_queries(459, 0) == 0
    assert more_queries(0, 1) == 662


def test_work_that_is_all_there_at_once_is_offline(tmp_path: Path) -> None:
    log = mlperf.Queries(
        answers(
            simulated(
                tmp_path,
                BURST.replace("{process: poisson, rate: 5 /s}", "{process: at_once, requests: 40}"),
            )
        )
    )
    summary = mlperf.summary(log)
    assert (
        "Scenario : Offline" in summary
        and "Samples per second: " in summary
        and "samples_per_query : 40" in summary
    )
    assert "first token" not in summary and "Performance constraints" not in summary
    assert '"key": "result_samples_per_second"' in mlperf.detail(log)


# Files, and reading them


def test_own_readers_read_own_exports_back(light: cluster_sim.Results, tmp_path: Path) -> None:
    for client, name in (("vllm", None), ("aiperf", "profile_export_aiperf.json")):
        files = clients.export(light, client, tmp_path / client)
        found = clients.read(tmp_path / client / name if name else files[0])
        assert found.client == client
        assert found.values == clients.as_measured(light, found).values
        assert all(
            row.errors == (0.0,) for row in beside(MeasuredResults(found, {}, 1, ()), [light]).rows
        )
    assert found.values["time_to_first_token.p99"] == approx(light.summary()["p99_ttft_ms"])
    assert found.values["request_count"] == light.summary()["completed"]


def test_files_are_called_as_the_clients_call_them(
    light: cluster_sim.Results, tmp_path: Path
) -> None:
    names = {
        client: [path.name for path in clients.export(light, client, tmp_path / client)]
        for client in clients.FORMATS
    }
    assert names == {
        "vllm": ["small-b200-30.0qps-Llama-3.1-8B-19700101-000000.json"],
        "aiperf": [
            "profile_export_aiperf.json",
            "profile_export_aiperf.csv",
            "profile_export.jsonl",
        ],
        "guidellm": ["benchmarks.json"],
        "mlperf": ["mlperf_log_summary.txt", "mlperf_log_detail.txt"],
    }
    again = {
        client: [path.read_bytes() for path in clients.export(light, client, tmp_path / "again")]
        for client in clients.FORMATS
    }
    assert again == {
        client: [(tmp_path / client / name).read_bytes() for name in names[client]]
        for client in clients.FORMATS
    }


@pytest.mark.parametrize("client", clients.FORMATS)
def test_a_run_in_which_nothing_finishes_can_be_exported(tmp_path: Path, client: str) -> None:
    results = simulated(
        tmp_path,
        BURST.replace("duration: 20 s", "duration: 1 s\ndrain: 0 s").replace(
            "low: 2, high: 30", "low: 9000, high: 9001"
        ),
    )
    assert results.summary()["completed"] == 0
    assert all(path.stat().st_size for path in clients.export(results, client, tmp_path / client))
    empty = simulated(tmp_path, BURST.replace("duration: 20 s", "duration: 1 ms"))
    assert empty.requests.num_rows == 0
    assert clients.export(empty, client, tmp_path / client)


def test_a_measured_file_brings_its_own_metrics_and_percentiles(
    light: cluster_sim.Results, tmp_path: Path
) -> None:
    summary = light.summary()
    measured = {
        "duration": 20.0, "completed": 600, "request_throughput": summary["request_throughput"] / 2, "request_goodput:": 1.0, "backend": "vllm",
        "p99.9_ttft_ms": 1.0, "p75_itl_ms": 1.0, "mean_e2el_ms": 0.0, "spec_decode_acceptance_rate": 70.0, "ttfts": [0.1],
    }  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(measured) + "\n")
    found = beside(measured_results([tmp_path / "m.json"]), [light])
    rows = {row.metric: row for row in found.rows}
    ttft_s = done_and_failed(light)[0]
    assert rows["p99.9_ttft_ms"].simulated[0] == approx(
        1e3 * np.percentile(ttft_s["first_token_s"] - ttft_s["arrival_s"], 99.9)
    )
    assert rows["request_throughput"].errors[0] == approx(1.0)
    assert rows["request_goodput"].simulated[0] == summary["request_goodput"]
    assert np.isnan(rows["mean_e2el_ms"].errors[0])  # nothing can be a share of nothing
    assert found.without == ("spec_decode_acceptance_rate",)
    assert found.table.num_rows == len(rows)
    with pytest.raises(
        ScenarioError,
        match=re.escape(
            "--metric: no metric 'p99_ttft_ms' in the benchmark; did you mean 'p99.9_ttft_ms'"
        ),
    ):
        beside(measured_results([tmp_path / "m.json"]), [light], ["p99_ttft_ms"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "m.json:1: is not valid JSON: expecting value"),
        ('{"a": 1,\n"b"}', "m.json:2: is not valid JSON: "),
        ("[1]", "m.json: is not a JSON object"),
        ("[" * 100_000, "m.json: is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "m.json: holds a number that is too long"),
        (
            '{"a": 1}',
            "m.json: is not a known result; expected a result of vllm bench serve, or profile_export_aiperf.json",
        ),
        ('{"a": 1}\n{"a": 2}\n', "m.json: has 2 results; expected one result: split the file"),
    ],
)
def test_a_file_that_is_none_of_a_clients_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.json").write_text(text)
    with pytest.raises(ScenarioError, match=re.escape(fault)):
        clients.read("m.json")


def test_a_file_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.json: no such file"):
        clients.read(tmp_path / "none.json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="bytes: is not UTF-8 text"):
        clients.read(tmp_path / "bytes")


# Commands


def test_run_exports_beside_the_run_and_compare_lays_it_beside_a_simulation(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(
        capsys,
        "run",
        scenario,
        "--variant",
        "b200",
        "--out",
        "out",
        "--export",
        "vllm",
        "--export",
        "mlperf",
    )
    assert code == 0
    (file,) = Path("out/b200/vllm").iterdir()
    assert f"wrote {file}" in err and "wrote out/b200/mlperf/mlperf_log_summary.txt" in err
    code, out, _ = call(capsys, "compare", "out/b200", "--measured", file)
    assert code == 0
    rows = {
        line.split("│")[1].strip(): line.split("│")[-2].strip()
        for line in out.splitlines()
        if "│" in line
    }
    assert rows["p99_ttft_ms"] == rows["output_throughput"] == "+0.0%"
    code, out, _ = call(capsys, "compare", scenario, "--measured", file, "--metric", "p99_ttft_ms")
    assert code == 0 and "small/cs3" in out and "median_ttft_ms" not in out
    assert call(capsys, "compare", "out/b200", "--measured", file, "--seed", "3")[0] == 2


def test_a_result_of_another_set_up_is_reported_before_the_table(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "run", scenario, "--variant", "b200", "--out", "out", "--export", "vllm")
    (file,) = Path("out/b200/vllm").iterdir()
    _, _, err = call(capsys, "compare", "out/b200", "--measured", file)
    assert "differ" not in err
    result = json.loads(file.read_text())
    done = result["completed"]
    result |= {
        "model_id": "my-server",
        "request_rate": "inf",
        "max_concurrency": 64,
        "num_prompts": 2 * result["num_prompts"],
        "total_input_tokens": 500 * done,
    }
    file.write_text(json.dumps(result))
    code, _, err = call(capsys, "compare", "out/b200", "--measured", file)
    (line,) = [line for line in err.splitlines() if "the result and the scenario differ: " in line]
    assert code == 0
    assert line.startswith("warning: small/b200: ")
    assert "model my-server and " in line
    assert "request rate inf (concurrency 64) and " in line
    assert "number of prompts " in line and "mean prompt tokens 500 and " in line
    assert "mean output tokens" not in line


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({}, []),
        ({"requests": 104, "prompt_tokens": 1030.0}, []),
        ({"model": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"}, []),
        ({"model": "llama-3.3-70b"}, []),
        ({"model": "Llama-3.1-70B"}, ["model Llama-3.1-70B and Llama 3.3 70B"]),
        ({"rate_per_s": None, "requests": None, "model": None}, []),
        ({"rate_per_s": 5.0}, ["request rate 5 /s and 10 /s"]),
        ({"rate_per_s": np.inf}, ["request rate inf and 10 /s"]),
        ({"requests": 120}, ["number of prompts 120 and 100"]),
        ({"output_tokens": 64.0}, ["mean output tokens 64 and 128"]),
    ],
)
def test_set_ups_differ_in_what_both_give(changes: dict[str, Any], differing: list[str]) -> None:
    simulated = Setup("Llama 3.3 70B", 10.0, None, 100, 1024.0, 128.0)
    assert list(replace(simulated, **changes).differences(simulated)) == differing


def test_concurrencies_are_compared_if_neither_side_has_a_rate() -> None:
    many, few = Setup(rate_per_s=np.inf, concurrency=64), Setup(rate_per_s=np.inf, concurrency=8)
    assert list(many.differences(few)) == ["concurrency 64 and 8"]
    assert list(many.differences(many)) == []


def test_the_set_up_of_aiperf_is_in_its_configuration() -> None:
    lengths = {"unit": "tokens", "avg": 500.0, "p50": 490.0}
    config = {
        "endpoint": {"model_names": ["m"]},
        "loadgen": {"concurrency": 8, "request_count": 50},
    }
    latency = {"unit": "ms", "avg": 1.0}
    result = {
        "request_latency": latency,
        "input_sequence_length": lengths,
        "input_config": config,
    }
    assert aiperf.benchmark(result).setup == Setup("m", np.inf, 8, 50, 500.0, None)


@pytest.mark.slow
def test_export_writes_into_the_run_folder_or_elsewhere(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "out")[0] == 0
    code, _, err = call(capsys, "export", "out/b200", "--format", "aiperf")
    assert code == 0 and "wrote out/b200/aiperf/profile_export_aiperf.json" in err
    assert (
        call(capsys, "export", "out/b200", "--format", "vllm", "-o", "there", "--detailed")[0] == 0
    )
    (file,) = Path("there").iterdir()
    assert "itls" in json.loads(file.read_text())
    assert (
        cluster_sim.load_results("out/b200").requests.num_rows > 0
    )  # what was written beside its tables does no harm


def test_faults_of_exports_are_told_in_a_sentence(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "run", scenario, "--export", "vlm")
    assert (code, err) == (2, "vlm: is not a format of a benchmark client; did you mean 'vllm'?\n")
    assert not Path("runs").exists()
    assert call(capsys, "export", "none", "--format", "vllm") == (
        2,
        "",
        "none: no such folder; expected a folder that `cluster-sim run` has written, such as runs/NAME/VARIANT\n",
    )
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "out")[0] == 0
    Path("taken").write_text("")
    assert (
        call(capsys, "export", "out/b200", "--format", "vllm", "-o", "taken")[2]
        == "taken: cannot be written: File exists\n"
    )
