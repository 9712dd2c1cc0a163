"""Secondary copies of MLPerf's later rounds, completed by the published configurations."""

from __future__ import annotations

from pathlib import Path

from pytest import approx

from cluster_sim.validation import read_measurements
from cluster_sim.validation.setup import scenario_of
from tests.validation.rows import MLPERF, one_of, table

COPY = MLPERF | {
    "dataset": "mlperf_v6_0",
    "framework": "not in table",
    "model": "deepseek-r1",
    "parallelism": "",
    "precision": "not in table",
    "isl": "804.0",
    "osl": "",
    "concurrency_or_rate": "offline (all queued)",
    "metric": "output_throughput_total",
    "unit": "tok/s",
    "value": "58000",
    "confidence": "medium",
    "split_key": "B200|x8|deepseek-r1|Offline|closed",
    "spec_decoding": "not stated (may be used in v6.0)",
}


def test_deepseek_of_v6_runs_as_nvidia_configured_it(tmp_path: Path) -> None:
    run = one_of(tmp_path, COPY)
    assert (run.layout, run.precision, run.drafts) == ("TP1DP8EP8", "fp4", None)
    assert run.release.profile == "trtllm-1.2"
    (pool,) = scenario_of(run).cluster.pools
    assert (pool.max_sequences, pool.max_batched_tokens) == (8 * 512, 8 * 4608)
    assert pool.replica.kv_cache == "fp8"
    assert pool.admission == "max_utilization"


def test_a_rack_counts_as_nine_replicas_each_with_a_ninth_of_its_tokens(tmp_path: Path) -> None:
    rack = COPY | {"hardware": "GB200", "n_devices": "72.0", "value": "486141"}
    run = one_of(tmp_path, rack)
    assert run.devices == 8
    assert run.values["output_per_s"] == approx(486141 / 9)


def test_the_largest_devices_have_twice_the_batch(tmp_path: Path) -> None:
    (pool,) = scenario_of(one_of(tmp_path, COPY | {"hardware": "B300"})).cluster.pools
    assert pool.max_sequences == 8 * 1024


def test_other_secondary_copies_stay_omitted(tmp_path: Path) -> None:
    server = COPY | {"split_key": "B200|x8|deepseek-r1|Server|closed"}
    other = COPY | {"model": "llama2-70b", "precision": "fp4"}
    read = read_measurements(table(tmp_path / "m.csv", server, other))
    assert not read.runs
    assert sum(read.left_out.values()) == 2
