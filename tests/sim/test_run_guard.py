"""A run that takes too much, or in which time stands still, ends early with its tables."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from simpy import Event, Timeout

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.sim import run_guard
from cluster_sim.sim.build import Simulation, build
from cluster_sim.sim.limits import NO_LIMITS, RunLimits, memory_in_use_bytes
from cluster_sim.sim.run import run
from cluster_sim.sim.simulate import gather, simulate
from tests.commands import call
from tests.scenarios import make_scenario


def built(**changes: Any) -> Simulation:
    scenario = make_scenario(**changes)
    return build(scenario, resolve(scenario))


class Spinner:
    """A process that never lets time pass once it has begun."""

    def __init__(self, simulation: Simulation, begins_s: float) -> None:
        self._env, self._begins_s = simulation.env, begins_s
        self._env.process(self._spin())

    def _spin(self) -> Generator[Event, Any, None]:
        yield Timeout(self._env, self._begins_s)
        while True:
            yield Timeout(self._env, 0.0)


def test_a_process_that_does_not_let_time_pass_is_named_and_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_guard, "_EVENTS_AT_ONE_TIME", 10_000)
    simulation = built()
    Spinner(simulation, 1.25)
    end = run(simulation)
    assert end.stopped is not None
    assert "stood still at 1.25 s" in end.stopped
    assert "Spinner._spin" in end.stopped
    results = gather(simulation, end, 0.0)
    assert len(results.requests) > 0
    assert results.info.stopped == end.stopped


def test_many_requests_at_one_time_are_no_standing_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_guard, "_EVENTS_AT_ONE_TIME", 10)
    offline = {
        "arrivals": {"process": "at_once", "requests": 5_000},
        "prompt_tokens": 100,
        "output_tokens": 20,
    }
    end = run(built(workload=offline, duration=None))
    assert end.stopped is None


def test_a_run_without_limits_comes_to_its_end() -> None:
    assert run(built(), limits=NO_LIMITS).stopped is None


def test_a_run_over_its_time_limit_keeps_what_happened_so_far(tmp_path: Path) -> None:
    whole = simulate(make_scenario(duration="600 s"))
    cut = simulate(make_scenario(duration="600 s"), limits=RunLimits(time_s=1e-9))
    assert cut.info.stopped is not None
    assert cut.info.stopped.startswith("the time limit of 1e-09 s was exceeded at ")
    assert 0 < len(cut.requests) < len(whole.requests)
    again = cluster_sim.load_results(cut.save(tmp_path / "cut"))
    assert again.info.stopped == cut.info.stopped
    assert again.requests.equals(cut.requests)


def test_a_run_over_its_memory_limit_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_guard, "_MEASURE_EVERY_S", 0.0)
    cut = simulate(make_scenario(duration="600 s"), limits=RunLimits(memory_bytes=1e6))
    assert cut.info.stopped is not None
    assert "the memory limit of 0.001 GB was exceeded" in cut.info.stopped


def test_memory_in_use_is_that_of_the_process() -> None:
    before = memory_in_use_bytes()
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert memory_in_use_bytes() - before == pytest.approx(200e6, rel=0.1)


def test_the_command_says_what_ended_a_run_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(make_scenario(duration="600 s", slo={"ttft": "1 s"}).as_yaml())
    code, out, err = call(capsys, "run", file, "--out", tmp_path / "out", "--time-limit", "1 ns")
    assert code == 1
    assert "ended early: the time limit of 1e-09 s was exceeded" in err
    assert "so far: the run was ended early" in out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["stopped"].startswith("the time limit")


@pytest.mark.parametrize("text", ["-3 s", "0 s", "abc", "3 kg", "nan s"])
def test_a_limit_that_is_no_positive_amount_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(make_scenario().as_yaml())
    code, _, err = call(capsys, "run", file, "--time-limit", text)
    assert code == 2
    assert err.startswith("--time-limit: ")
