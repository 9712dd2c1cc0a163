"""Replayed agents: their load follows from the rows that state it, and decode time is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from cluster_sim.validation import predict, read_measurements, scenario_of
from tests.validation.rows import table

MEASURED = Path(__file__).resolve().parents[3] / "shared" / "data" / "measurements_2026.csv"
CALLS = {
    "dataset": "gloria_tau_bench_h200",
    "framework": "vllm 0.22.0",
    "hardware": "H200",
    "model": "gpt-oss-120b",
    "precision": "fp4",
    "parallelism": "TP1",
    "n_devices": "1.0",
    "isl": "4000.0",
    "osl": "500.0",
    "concurrency_or_rate": "clients=64 (closed loop)",
    "date": "2026-06-08",
    "spec_decoding": "no (none)",
    "notes": "replay of tau-bench agent conversations (x), 300 calls; GPU prefix hit 90.00%",
}
VALUES = {
    "decode_time_mean": ("9500", "ms"),
    "ttft_p50": ("90", "ms"),
    "prefill_time_mean": ("500", "ms"),
    "request_throughput": ("4", "req/s"),
    "prefix_hit_share": ("0.9", "share of prompt tokens"),
    "e2e_latency_p50": ("5250", "ms"),
    "output_throughput_total": ("2000", "tok/s"),
}


def rows(**changes: str) -> list[dict[str, str]]:
    return [
        CALLS | {"metric": metric, "value": value, "unit": unit} | changes
        for metric, (value, unit) in VALUES.items()
    ]


def test_the_load_is_the_mean_number_of_requests_in_the_server(tmp_path: Path) -> None:
    read = read_measurements(table(tmp_path / "m.csv", *rows()))
    (run,) = read.runs
    assert run.load == "agents" and set(run.scored()) == {"decode_ms", "ttft_p50_ms"}
    assert sum(read.left_out.values()) == 5
    scenario = scenario_of(run)
    arrivals = scenario.workload.arrivals
    # 4 requests per second for 10 s each
    assert arrivals.fleet_counts() == {"concurrency": 40, "requests": 300}
    pool = scenario.cluster.pools[0]
    assert pool.kv.prefix_caching and pool.replica.kv_cache == "bf16"
    assert scenario.workload.shared_prefix is not None
    assert scenario.workload.shared_prefix.tokens == 3600
    assert scenario.workload.prompt_tokens.mean() == approx(400)
    assert scenario.workload.output_tokens.mean() == approx(500)  # with a median of 250


def test_agents_without_a_stated_answer_are_omitted_by_rule(tmp_path: Path) -> None:
    read = read_measurements(table(tmp_path / "m.csv", *rows(osl="")))
    assert not read.runs
    assert read.left_out["agents whose answers, rate or times are not stated"] == len(VALUES)


@pytest.mark.parametrize("missing", ["decode_time_mean", "prefill_time_mean", "e2e_latency_p50"])
def test_agents_without_a_value_that_the_load_needs_are_omitted(
    tmp_path: Path, missing: str
) -> None:
    kept = [row for row in rows() if row["metric"] != missing]
    read = read_measurements(table(tmp_path / "m.csv", *kept))
    assert not read.runs and sum(read.left_out.values()) == len(kept)


@pytest.mark.slow
@pytest.mark.skipif(not MEASURED.exists(), reason="measurements are not in ../shared/data")
def test_decode_time_and_first_tokens_of_replayed_agents_are_as_measured() -> None:
    runs = [run for run in read_measurements(MEASURED).runs if run.load == "agents"]
    scores = [predict(run).scores() for run in runs]
    assert len(runs) == 8
    for metric, most in (("decode_ms", 0.08), ("ttft_p50_ms", 0.25)):
        assert np.median([abs(score[metric]) for score in scores]) < most
