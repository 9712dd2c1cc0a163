"""Predictions become cases: set-ups with the errors over their runs."""

from __future__ import annotations

from pathlib import Path

from pytest import approx

from cluster_sim.deployment.validated_cases import read_cases
from cluster_sim.validation import Prediction, cases_as_csv, measured_cases, read_measurements
from tests.validation.test_validation import OFFLINE, table


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
