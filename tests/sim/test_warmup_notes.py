"""A warm-up that leaves nothing to count is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.sim.simulate import simulate
from tests.commands import call
from tests.scenarios import make_scenario


def notes(warmup: str, requests: int = 5) -> tuple[str, ...]:
    arrivals = {"process": "at_once", "requests": requests}
    workload = {"arrivals": arrivals, "prompt_tokens": 10, "output_tokens": 2}
    return simulate(make_scenario(warmup=warmup, workload=workload)).info.notes


def test_a_warm_up_in_which_all_requests_arrive_is_told() -> None:
    (note,) = notes("1 s")
    assert note.startswith(
        "all 5 requests arrive in the warm-up of 1 s, so the statistics are empty"
    )


def test_without_a_warm_up_and_with_requests_behind_it_nothing_is_told() -> None:
    assert notes("0 s") == ()
    assert simulate(make_scenario(warmup="1 s")).info.notes == ()


def test_run_warns_of_it_in_one_line(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ("--set", "warmup=19.9999 s")
    code, _, err = call(capsys, "run", scenario, "--variant", "b200", "--out", "out", *sets)
    assert code == 0
    (line,) = [line for line in err.splitlines() if "warm-up" in line]
    assert line.startswith("warning: small/b200: all ")
