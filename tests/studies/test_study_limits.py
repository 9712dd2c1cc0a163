"""Points and trials that exceed a limit, fail or lose their process are told; the rest go on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster_sim import RunLimits
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.limits import NO_LIMITS
from cluster_sim.studies import runner as runners
from cluster_sim.studies.capacity import capacity
from cluster_sim.studies.sweep import sweep
from cluster_sim.studies.workers import Call, ProcessDied, called
from tests.commands import call
from tests.studies.test_capacity import write as write_capacity
from tests.studies.test_sweep import AXES, write

AT_ONCE = RunLimits(time_s=1e-9)
EXCEEDED = "the time limit of 1e-09 s was exceeded at "
RATES = [{"workload.arrivals.rate": ["1 /s", "2 /s", "3 /s"]}]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only runs at 2 requests/s, or above, have limits."""
    from cluster_sim.sim.simulate import simulate

    def limited(scenario: Scenario, _: object = None, limits: RunLimits = NO_LIMITS) -> Any:
        rate_per_s = scenario.workload.arrivals.rate_per_s  # type: ignore[union-attr]
        return simulate(scenario, limits=limits if rate_per_s == 2.0 else NO_LIMITS)

    monkeypatch.setattr("cluster_sim.sim.simulate.simulate", limited)


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_a_point_beyond_a_limit_has_failed_with_its_reason_and_the_rest_is_done(
    tmp_path: Path,
) -> None:
    path, out = (
        write(tmp_path, {"axes": RATES, "keep": "runs"}, duration="700 s"),
        tmp_path / "out",
    )
    rows = sweep(path, out, workers=0, limits=AT_ONCE).to_pylist()
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["reason"].startswith(EXCEEDED)
    assert (out / "runs" / rows[1]["key"] / "requests.parquet").is_file()
    again = sweep(path, out, workers=0).to_pylist()
    assert [row["status"] for row in again] == ["done", "failed", "done"]
    mended = sweep(path, out, workers=0, retry_failed=True).to_pylist()
    assert [row["status"] for row in mended] == ["done"] * 3


def test_the_command_ends_with_1_and_says_how_many_points_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {"axes": AXES}, duration="700 s")
    command = ("sweep", path, "--workers", 0, "--out", tmp_path / "out")
    code, out, err = call(capsys, *command, "--time-limit", "1 ns")
    assert code == 1
    assert "4 points, 0 done, 4 failed" in out
    assert EXCEEDED in out
    assert "Traceback" not in err
    code, out, _ = call(capsys, *command, "--retry-failed", "--time-limit", "1 h")
    assert code == 0
    assert "4 points, 4 done, 0 failed" in out
    for option, text in (("--time-limit", "8 GB"), ("--memory-limit", "-1 GB")):
        code, _, err = call(capsys, *command, option, text)
        assert code == 2
        assert err.startswith(f"{option}: ")


@pytest.mark.slow
def test_trials_beyond_a_limit_count_as_beyond_the_slo_and_the_command_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_capacity(tmp_path, {"tolerance": 0.2}, {"ttft": "1 s"})
    table = tmp_path / "trials.parquet"
    command = ("capacity", path, "--workers", 0, "--out", table)
    code, out, err = call(capsys, *command, "--time-limit", "1 ns")
    assert code == 1
    assert "no rate that was tried meets the SLO" in out
    assert "15 of 15 trials failed and count as missing the SLO" in out
    assert EXCEEDED in out
    assert "Traceback" not in err
    rows = pq.read_table(table).to_pylist()
    assert {row["status"] for row in rows} == {"failed"}
    assert all(row["reason"].startswith(EXCEEDED) for row in rows)
    code, out, _ = call(capsys, *command)
    assert code == 0
    assert {row["status"] for row in pq.read_table(table).to_pylist()} == {"done"}


def test_an_option_whose_process_died_says_so_and_the_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    death = ProcessDied.with_code(-9)

    def first_dies(work: Iterable[tuple[int, Call]], *_: Any) -> Iterator[tuple[int, Any]]:
        for name, (function, arguments) in work:
            yield name, death if name == 0 else function(*arguments)

    monkeypatch.setattr(runners, "called", first_dies)
    path = write_capacity(
        tmp_path, {"tolerance": 0.2}, {"ttft": "1 s"}, variants={"one": {}, "two": {}}
    )
    lost, answered = capacity(path).options
    assert lost.fault == str(death)
    assert answered.answer is not None
    monkeypatch.setattr(runners, "called", lambda work, *_: ((name, death) for name, _ in work))
    with pytest.raises(ProcessDied):
        capacity(path)


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def unsendable() -> Any:
    return lambda: None


@pytest.mark.slow
def test_a_call_that_hangs_is_killed_and_one_that_answers_nonsense_harms_nobody() -> None:
    work: list[tuple[str, Call]] = [("hangs", (nap, (3600.0,)))]
    ((_, outcome),) = called(work, workers=1, hangs_s=0.5)
    assert str(outcome) == "the process that ran it was killed after 0.5 s"
    work = [("nonsense", (unsendable, ())), ("well", (abs, (-3,)))]
    outcomes = dict(called(work, workers=1, hangs_s=3600.0))
    assert str(outcomes["nonsense"]).startswith("function cannot be sent: ")
    assert outcomes["well"] == 3
