"""Runs to which constants of AMD's devices were fitted are known, and the catalog predicts them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster_sim.validation import read_measurements
from cluster_sim.validation.fitted import fitted_metrics
from cluster_sim.validation.predictions import predict
from cluster_sim.validation.simulated_fits import SIMULATED_FITS
from tests.validation.rows import MEASUREMENTS, one_of

NEW = MEASUREMENTS.with_name("measurements_2026.csv")
needs_measurements = pytest.mark.skipif(
    not NEW.exists(), reason=f"the measured runs are not here: {NEW}"
)


def test_a_run_is_fitted_by_hardware_engine_data_and_date(tmp_path: Path) -> None:
    row = {
        "dataset": "oci_mi300x_vllm",
        "hardware": "MI300X",
        "model": "Llama-3.1-405B-Instruct",
        "precision": "fp8",
        "parallelism": "TP8",
        "framework": "vllm (2024)",
        "metric": "e2e_latency",
        "unit": "s",
        "concurrency_or_rate": "batch=4",
    }
    run = one_of(tmp_path, row)
    assert fitted_metrics(run) == {"output_per_s"}
    assert fitted_metrics(replace(run, dataset="other")) == frozenset()
    assert fitted_metrics(replace(run, hardware="MI325X")) == frozenset()
    assert fitted_metrics(replace(run, framework="sglang")) == frozenset()


def test_runs_of_qwen_on_sglang_are_fitted_by_release(tmp_path: Path) -> None:
    row = {"hardware": "H100", "model": "Qwen3-32B", "framework": "sglang 0.5.1.post1"}
    run = replace(one_of(tmp_path, row), dataset="aic_gap_analysis")
    assert fitted_metrics(run) == {"tpot_ms", "ttft_ms", "output_per_s"}
    assert fitted_metrics(replace(run, framework="sglang 0.5.8.post1")) == frozenset()


def test_runs_of_tensorrt_llm_are_fitted_by_model_prompt_clients_and_scenario(
    tmp_path: Path,
) -> None:
    row = {"framework": "trtllm", "isl": "1024.0", "date": "2025-11-02"}
    ttft = row | {"metric": "ttft", "value": "60"}
    run = one_of(tmp_path, row, ttft)
    assert "ttft_ms" in fitted_metrics(run)
    assert "ttft_ms" not in fitted_metrics(replace(run, amount=32.0))
    assert "ttft_ms" not in fitted_metrics(replace(run, isl=8192.0))
    server = replace(
        run,
        dataset="mlperf_v5_1",
        model="llama3.1-405b",
        framework="TensorRT 10.11, CUDA 12.9",
        split_key="a|Server|closed",
    )
    assert "tpot_ms" in fitted_metrics(server)
    assert not fitted_metrics(replace(server, split_key="a|Interactive|closed"))


@needs_measurements
def test_llama_405b_on_mi300x_is_within_a_tenth_of_every_run() -> None:
    runs = [
        run for run in read_measurements(NEW).runs if SIMULATED_FITS["mi300x-vllm"].include(run)
    ]
    assert len(runs) == 13
    errors = np.abs([predict(run).error("output_per_s") for run in runs])
    assert np.median(errors) < 0.03
    assert max(errors) < 0.1


@needs_measurements
def test_latest_deepseek_r1_on_eight_devices_of_amd_is_within_an_eighth() -> None:
    runs = [
        run
        for run in read_measurements(NEW).runs
        if SIMULATED_FITS["mi300x-sglang"].include(run) and run.amount <= 16
    ]
    assert {run.hardware for run in runs} == {"MI300X", "MI325X"}
    errors = np.abs([predict(run).error("tpot_p50_ms") for run in runs])
    assert np.median(errors) < 0.06
    assert max(errors) < 0.12
