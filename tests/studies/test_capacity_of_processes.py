"""Capacity of traffic whose rate changes: the whole process is scaled, and its mean is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.analysis.offered_rate import offered_per_s
from cluster_sim.loading.files import open_scenarios
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.studies.capacity import capacity
from cluster_sim.studies.capacity_search import Search
from tests.commands import call
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


def ttft_p95_s(scenario: cluster_sim.Scenario, each_s: float) -> float:
    """Return the TTFT of one server with a constant service time, by Lindley's recursion (1952)."""
    arrival_s = np.sort(cluster_sim.simulate(scenario).requests["arrival_s"].to_numpy())
    waits_s = [0.0]
    for gap_s in np.diff(arrival_s):
        waits_s.append(max(0.0, waits_s[-1] + each_s - gap_s))
    return float(np.percentile(waits_s, 95)) + each_s


@pytest.mark.slow
def test_a_burst_and_its_rate_curve_have_the_same_capacity(tmp_path: Path) -> None:
    """95 % of requests wait at most 20 services while the burst's queue stays short enough.

    The recursion on the arrivals of a run gives its TTFT; a rate above the answer by twice the
    tolerance of the search is too high. On 200 bursts of drawn Poisson arrivals, the recursion
    gives 0.950 ± 0.024 services per service during the burst as the highest load.
    """
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
        rate_per_s, found = option.answer.rate_per_s, option.answer.latencies_s["ttft"]
        assert found == approx(ttft_p95_s(search(path).scenario(1, rate_per_s), each_s), rel=1e-9)
        assert ttft_p95_s(search(path).scenario(1, 1.01 * rate_per_s), each_s) > 20 * each_s
        # the rate during the burst is 25 where the mean is 5 + 20 x 5 / 30
        assert rate_per_s * 25 / (5 + 20 * 5 / 30) * each_s == approx(0.950, abs=3 * 0.024)
        answers.append(rate_per_s)
    assert answers[0] == approx(answers[1], rel=0.02)


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


def test_an_answer_for_bursts_names_mean_base_and_bursts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean of BURST over 30 s is 5 + 20 x 5 / 30 = 8.33 per second."""
    path = write(tmp_path, BURST, capacity={"rate": "5 /s"})
    code, out, err = call(capsys, "capacity", path, "--workers", 0)
    assert code == 0
    assert "as written: 1 nodes; mean rate incl. bursts 5/s (base 3/s, bursts 12/s)" in out
    assert err.count("capacity.rate is a mean rate that includes bursts; got 5 /s") == 1
    assert "set capacity.rate to '8.333 /s' for the traffic as written" in err
    assert "searched: the smallest cluster for a mean rate of 5 requests/s" in out
    rate = ("--set", "capacity.rate='8.3333333 /s'")
    _, out, err = call(capsys, "capacity", path, "--workers", 0, *rate)
    assert "mean rate incl. bursts 8.33/s (base 5/s, bursts 20/s)" in out
    assert "capacity.rate is a mean" not in err


@pytest.mark.slow
def test_a_steady_rate_needs_no_words_about_bursts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steady = {"process": "poisson", "rate": "5 /s"}
    path = write(tmp_path, steady, capacity={"tolerance": 0.9})
    _, out, err = call(capsys, "capacity", path, "--workers", 0)
    assert "mean rate incl." not in out and "capacity.rate is a mean" not in err
    assert "searched: the highest mean rate on the nodes of the file" in out
    _, out, err = call(capsys, "capacity", path, "--workers", 0, "--set", "capacity.rate=5 /s")
    assert out.splitlines()[-1].startswith("as written: 1 nodes") or "as written: 1 nodes\n" in out
    assert "capacity.rate is a mean" not in err


def test_traffic_between_silences_and_of_states_names_its_rates(tmp_path: Path) -> None:
    on_off = {"process": "on_off", "on": "1 s", "off": "3 s", "burst_rate": "8 /s"}
    states = [{"rate": "1 /s", "mean_dwell": "4 s"}, {"rate": "9 /s", "mean_dwell": "4 s"}]
    texts = []
    for arrivals in (on_off, {"process": "mmpp", "states": states}):
        scenario = cluster_sim.load_scenario(write(tmp_path, arrivals))
        assert scenario.workload.arrivals is not None
        texts.append(scenario.workload.arrivals.rates_text(scenario.duration_s))
    assert texts == [
        "mean rate incl. silences 2/s (bursts 8/s)",
        "mean rate 5/s (states 1/s, 9/s)",
    ]


def test_sections_of_studies_take_values_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, BURST)
    file = open_scenarios(path, ["capacity.rate=7 /s", "sweep.axes=[{seed: [1, 2]}]", "seed=3"])
    assert file.capacity is not None and file.capacity.rate_per_s == 7.0
    assert file.sweep is not None and file.sweep.axes == ({"seed": (1, 2)},)
    assert file.sets == ("seed=3",)
    assert call(capsys, "check", path, "--set", "capacity.rate=7 /s")[0] == 0
    code, _, err = call(capsys, "check", path, "--set", "capacity.rate=7 s")
    assert code == 2
    assert "--set capacity.rate=7 s" in err
