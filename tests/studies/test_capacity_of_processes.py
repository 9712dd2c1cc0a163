"""Capacity of traffic whose rate changes: the whole process is scaled, and its mean is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.analysis.offered_rate import offered_per_s
from cluster_sim.loading.files import open_scenarios
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.studies.capacity import capacity
from cluster_sim.studies.capacity_search import Search
from tests.studies.test_capacity import BASE, service_s

BURST = {
    "process": "burst",
    "rate": "5 /s",
    "bursts": [{"at": "10 s", "lasts": "5 s", "rate": "20 /s"}],
}
CURVE = {
    "process": "poisson",
    "rate": "5 /s",
    "rate_curve": {
        "points": [["0 s", 1], ["10 s", 1], ["10001 ms", 5], ["15 s", 5], ["15001 ms", 1]]
    },
}
"""Rate of BURST, but for a millisecond at either end of the burst."""


def write(folder: Path, arrivals: dict[str, Any], ttft: str = "1 s", **changes: Any) -> Path:
    path = folder / "queue.yaml"
    workload = BASE["workload"] | {"arrivals": arrivals}
    asked = {"slo": {"ttft": ttft}, "duration": "30 s", "workload": workload}
    path.write_text(json.dumps(BASE | asked | changes))
    return path


def search(path: Path) -> Search:
    return Search(open_scenarios(path), Capacity(), {})


@pytest.mark.slow
def test_a_burst_and_its_rate_curve_have_the_same_capacity(tmp_path: Path) -> None:
    """20 services of waiting are met while the burst's queue stays short enough."""
    each_s = service_s(tmp_path)
    answers = []
    for arrivals in (BURST, CURVE):
        path = write(
            tmp_path,
            arrivals,
            f"{20 * each_s!r} s",
            capacity={"tolerance": 0.005},
        )
        (option,) = capacity(path, workers=0).options
        assert option.answer is not None
        answers.append(option.answer.rate_per_s)
    assert answers[0] == approx(answers[1], rel=0.02)
    # during the burst, 25 / (5 + 200/60) of the mean, the queue is near one service per service
    assert 0.8 < answers[0] * 25 / (5 + 20 * 5 / 30) * each_s < 1.1


@pytest.mark.parametrize("arrivals", [BURST, CURVE], ids=["burst", "curve"])
def test_a_trial_has_the_mean_rate_that_it_reports(
    tmp_path: Path, arrivals: dict[str, Any]
) -> None:
    scenario = search(write(tmp_path, arrivals)).scenario(1, 300.0)
    assert offered_per_s(scenario) == approx(300.0)
    arrived = len(cluster_sim.simulate(scenario).requests)
    assert arrived == approx(300.0 * 30.0, abs=4 * (300.0 * 30.0) ** 0.5)


@pytest.mark.parametrize(
    ("arrivals", "key"),
    [
        ({"process": "poisson", "rate": "5 /s"}, "rate"),
        ({"process": "gamma", "rate": "3 /s", "cv": 3, "requests": 700}, "rate"),
        ({"process": "weibull", "rate": "7 /s", "cv": 2}, "rate"),
    ],
)
def test_a_rate_that_is_steady_is_set_to_the_last_digit(
    tmp_path: Path, arrivals: dict[str, Any], key: str
) -> None:
    path = write(tmp_path, arrivals)
    for rate_per_s in (54.0, 1 / 3, 0.7 * 1.3**5):
        wanted = cluster_sim.load_scenario(
            path, overrides={f"workload.arrivals.{key}": f"{rate_per_s!r} /s"}
        )
        assert search(path).scenario(1, rate_per_s) == wanted


def test_bursts_between_silences_are_scaled_by_their_rate(tmp_path: Path) -> None:
    arrivals = {"process": "on_off", "preset": "azure-code"}
    path = write(tmp_path, arrivals)
    mean_per_s = offered_per_s(cluster_sim.load_scenario(path))
    assert mean_per_s is not None
    wanted = cluster_sim.load_scenario(
        path, overrides={"workload.arrivals.burst_rate": f"{9.1 * 12.0 / mean_per_s!r} /s"}
    )
    assert search(path).scenario(1, 12.0) == wanted


def test_processes_of_several_rates_are_searched(tmp_path: Path) -> None:
    states = [{"rate": "1 /s", "mean_dwell": "4 s"}, {"rate": "9 /s", "mean_dwell": "4 s"}]
    for arrivals in (
        {"process": "mmpp", "states": states},
        {"process": "diurnal", "points": [["0 s", "2 /s"], ["60 s", "8 /s"]]},
    ):
        scenario = search(write(tmp_path, arrivals)).scenario(1, 20.0)
        assert offered_per_s(scenario) == approx(20.0)


def test_a_run_that_ends_before_its_first_arrival_has_no_rate_to_search(tmp_path: Path) -> None:
    late = {"process": "diurnal", "points": [["100 s", "0 /s"], ["200 s", "8 /s"]]}
    with pytest.raises(cluster_sim.ScenarioError, match="got arrivals without a rate"):
        capacity(write(tmp_path, late), workers=0)
