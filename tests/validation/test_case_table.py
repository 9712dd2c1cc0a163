"""Predictions become cases: set-ups with the errors over their runs."""

from __future__ import annotations

from pathlib import Path

from pytest import approx

from cluster_sim.deployment.validated_cases import Case, read_cases
from cluster_sim.validation import Prediction, cases_as_csv, measured_cases, read_measurements
from tests.validation.rows import OFFLINE, table


def test_runs_of_one_setup_are_one_case_with_the_medians_of_their_errors(tmp_path: Path) -> None:
    rows = [
        {"concurrency_or_rate": f"concurrency={clients}", "framework": f"vllm 0.{release}"}
        for clients, release in ((4, 14), (8, 15), (16, 19))
    ]
    p50 = {"metric": "ttft_p50", "value": "100"}
    runs = read_measurements(table(tmp_path / "m.csv", *rows, rows[0] | p50, OFFLINE)).runs
    predictions = [
        Prediction(run, {"tpot_ms": 8.5 * factor, "ttft_p50_ms": 80.0, "output_per_s": 5500.0})
        for run, factor in zip(runs, (1.0, 1.1, 0.8, 1.0), strict=True)
    ]
    predictions.append(Prediction(runs[0], {}, "does not fit"))
    offline, served = measured_cases(predictions)
    assert (served.model, served.runs, served.fitted) == ("llama-3.3-70b", 3, 3)
    assert (served.tpot_error, served.ttft_error) == (approx(0.1), approx(0.2))
    assert served.throughput_error is None
    assert served.releases == "vllm 0.14; vllm 0.15; vllm 0.19"
    assert (served.setup.engine, served.setup.layout) == ("vllm-0.15", "TP2")
    assert (offline.setup.engine, offline.throughput_error) == ("trtllm-1.0", approx(0.1))
    assert (offline.tpot_error, offline.runs, offline.fitted) == (None, 1, 0)

    path = tmp_path / "cases.csv"
    path.write_text(cases_as_csv([offline, served]))
    assert read_cases(path) == (offline, served)


def test_runs_with_other_numbers_of_drafts_are_other_cases(tmp_path: Path) -> None:
    rows = [
        {
            "dataset": "b200_lowlatency",
            "framework": "TensorRT-LLM (May 2025)",
            "model": "DeepSeek-R1-0528",
            "parallelism": "TP8",
            "n_devices": "8.0",
            "spec_decoding": f"MTP{drafts}",
            "notes": f"acceptance length {length} tokens/step",
        }
        for drafts, length in ((2, 2.2), (3, 2.6))
    ]
    assert [case.setup.drafts for case in cases_of(tmp_path, rows)] == ["2", "3"]


def test_runs_whose_scripts_set_other_kv_cache_formats_are_other_cases(tmp_path: Path) -> None:
    # the scripts for DeepSeek-R1 in 8 bit on MI355X set a KV cache in 8 bit from March 2026 on
    rows = [
        {
            "dataset": "inferencex_api",
            "framework": "sglang",
            "hardware": "MI355X",
            "model": "DeepSeek-R1-0528",
            "precision": "fp8",
            "parallelism": "TP8",
            "n_devices": "8.0",
            "metric": "tpot_p50",
            "date": date,
        }
        for date in ("2026-02-12", "2026-03-20")
    ]
    assert [case.setup.kv_cache for case in cases_of(tmp_path, rows)] == ["bf16", "fp8"]


def cases_of(tmp_path: Path, rows: list[dict[str, str]]) -> list[Case]:
    """Cases of runs that were predicted exactly."""
    runs = read_measurements(table(tmp_path / "m.csv", *rows)).runs
    return measured_cases(Prediction(run, run.values) for run in runs)
