"""Rows of measurements, and the runs and pools that are read from them."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

from cluster_sim.scenario.pool import Pool
from cluster_sim.validation import COLUMNS, MeasuredRun, read_measurements, scenario_of

MEASUREMENTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "measurements.csv.gz"

SERVED = {
    "dataset": "inferencemax_silicon",
    "source": "a test",
    "hardware": "B200",
    "n_devices": "2.0",
    "parallelism": "TP2",
    "model": "Llama-3.3-70B-Instruct",
    "precision": "fp4",
    "isl": "1024.0",
    "osl": "512.0",
    "concurrency_or_rate": "concurrency=4",
    "metric": "tpot",
    "value": "8.5",
    "unit": "ms",
    "date": "",
    "framework": "vllm 0.15",
    "spec_decoding": "no",
    "kind": "measured",
    "confidence": "high",
    "split_key": "k",
    "notes": "lengths uniform in [0.8,1.0] x nominal",
}
OFFLINE = {
    "dataset": "trtllm_perf_overview",
    "framework": "TensorRT-LLM 1.0 (PyTorch backend)",
    "concurrency_or_rate": "offline, all 1500 requests queued",
    "metric": "output_throughput_total",
    "unit": "tok/s",
    "value": "5000",
    "notes": "",
}
MLPERF = {
    "dataset": "mlperf_v5_1",
    "framework": "TensorRT 10.11, CUDA 12.9",
    "model": "llama3.1-405b",
    "parallelism": "TP4 x2 replicas",
    "n_devices": "8.0",
    "isl": "9429.0",
    "osl": "650.0",
    "concurrency_or_rate": "1.5 qps Poisson target",
    "metric": "ttft_p99",
    "split_key": "B200|x8|llama3.1-405b|Server|closed",
    "spec_decoding": "no (closed-division LLMs)",
    "notes": "",
}
MEMORY = {
    "dataset": "ifx_llama70b_fp4_b200_multiturn",
    "concurrency_or_rate": "",
    "isl": "",
    "osl": "",
    "metric": "kv_cache_tokens",
    "unit": "tokens",
    "value": "1819410",
}


def table(path: Path, *rows: dict[str, str]) -> Path:
    """Write a file of `rows`, each with the values of SERVED for those that it omits."""
    with (
        gzip.open(path, "wt", newline="")
        if path.suffix == ".gz"
        else path.open("w", newline="") as file
    ):
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(SERVED | row for row in rows)
    return path


def one_of(tmp_path: Path, *rows: dict[str, str]) -> MeasuredRun:
    """Return the only run of some rows."""
    (run,) = read_measurements(table(tmp_path / "one.csv", *rows)).runs
    return run


def pool_of(tmp_path: Path, row: dict[str, str]) -> Pool:
    """Return the pool of the only run of a row."""
    return scenario_of(one_of(tmp_path, row)).cluster.pools[0]
