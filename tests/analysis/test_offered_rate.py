"""The mean rate that `explain` names is that of the traffic, and of the run, of every process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.analysis.offered_rate import at_offered_rate, offered_per_s
from cluster_sim.analysis.traffic import of_scenario
from cluster_sim.scenario.scenario import Scenario
from tests.commands import call
from tests.scenarios import make_scenario
from tests.workload.test_arrivals import PROCESSES
from tests.workload.test_mean_rates import RATED, RUN_S


def scenario(arrivals: dict[str, Any], **changes: Any) -> Scenario:
    lengths = {"prompt_tokens": 1, "output_tokens": 1}
    return make_scenario(
        workload={"arrivals": arrivals} | lengths, duration=f"{RUN_S} s", **changes
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", RATED)
def test_arithmetic_traffic_and_run_agree_on_the_mean_rate(name: str) -> None:
    """The run counts the same requests as the traffic alone; over 200 seeds, of which the traffic
    alone is drawn, 99.9 % of the counts lie within 3.3 deviations of the mean.
    """
    runs = [scenario(RATED[name], seed=seed) for seed in range(3)]
    counts = [
        len(of_scenario(scenario(RATED[name], seed=100 + n), 1.0).arrival_s) for n in range(200)
    ]
    offered = offered_per_s(runs[0])
    assert offered is not None
    for each in runs:
        traffic = of_scenario(each, 1.0)
        arrived = cluster_sim.simulate(each).requests.num_rows
        assert traffic.summary()["rate_per_s"] == approx(arrived / RUN_S, rel=1e-12)
        assert traffic.summary()["mean_rate_per_s"] == offered
        assert arrived == approx(offered * RUN_S, abs=3.3 * float(np.std(counts)) + 4)


def test_a_run_that_its_requests_end_has_the_rate_of_their_span() -> None:
    traffic = of_scenario(scenario(PROCESSES["poisson"] | {"requests": 500}), 1.0)
    span_s = traffic.arrival_s[-1] - traffic.arrival_s[0]
    assert traffic.summary()["rate_per_s"] == approx(500 / span_s)
    assert traffic.summary()["mean_rate_per_s"] == 5.0


def test_silence_at_the_end_of_a_run_is_part_of_it() -> None:
    """3,000 requests in 300 s, all of them in the first 100 s."""
    points = [["0 s", "30 /s"], ["100 s", "30 /s"], ["100001 ms", "0 /s"], ["1000 s", "1 /s"]]
    late = scenario({"process": "diurnal", "points": points})
    summary = of_scenario(late, 1.0).summary()
    assert summary["rate_per_s"] == approx(10.0, rel=0.1)
    assert offered_per_s(late) == approx(10.0, rel=0.02)


@pytest.mark.parametrize("name", ["at_once"])
def test_requests_that_are_there_at_once_have_no_mean_rate(name: str) -> None:
    assert offered_per_s(scenario(PROCESSES[name])) is None
    assert of_scenario(scenario(PROCESSES[name]), 1.0).summary()["mean_rate_per_s"] is None


def test_a_scenario_at_another_rate_keeps_all_but_its_rates() -> None:
    plain = scenario(PROCESSES["recurring"])
    faster = at_offered_rate(plain, 60.0)
    assert offered_per_s(faster) == approx(60.0)
    assert faster.model_dump(exclude={"workload"}) == plain.model_dump(exclude={"workload"})
    assert faster.workload.prompt_tokens == plain.workload.prompt_tokens


def test_the_commands_name_the_mean_of_base_and_bursts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """6 per second, and 40 more for 30 s and for the 25 s of another minute that lie within 300 s;
    they come again after 200 s: 30 s of the first, and none of the second.
    """
    bursts = [
        {"at": "20 s", "lasts": "30 s", "rate": "40 /s"},
        {"at": "275 s", "lasts": "60 s", "rate": "40 /s"},
    ]
    arrivals = {"process": "burst", "rate": "6 /s", "bursts": bursts}
    for changes, mean_per_s in (({}, 6 + 40 * 55 / 300), ({"every": "200 s"}, 6 + 40 * 85 / 300)):
        path = tmp_path / "burst.yaml"
        path.write_text(scenario(arrivals | changes).as_yaml())
        code, out, _ = call(capsys, "explain", path)
        assert (code, f"offered: {mean_per_s:.2f} requests/s on average" in out) == (0, True)
        code, out, _ = call(capsys, "workload", "show", path)
        (row,) = [line for line in out.splitlines() if "mean rate of the process" in line]
        assert (code, f"{mean_per_s:.4g}" in row) == (0, True)
