"""Traffic that `duration` or `warmup` excludes is reported by every command that replays it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster_sim.sim.simulate import simulate
from tests.cli.test_trace_notes import study
from tests.commands import call
from tests.scenarios import make_scenario

GOES_ON = "table.csv: the trace goes on after `duration` (10 s)"


def replay(tmp_path: Path, *, session: bool = False, **changes: Any) -> Path:
    """Return a scenario that replays a request per second for 30 s, two per session."""
    rows = "".join(f"{at},{20 + 13 * (at % 2)},3,{at // 2}\n" for at in range(30))
    (tmp_path / "table.csv").write_text("t,p,o,chat\n" + rows)
    columns = {"arrival": "t", "prompt": "p", "output": "o"} | (
        {"session": "chat"} if session else {}
    )
    trace = {"path": str(tmp_path / "table.csv"), "columns": columns, "time_unit": "s"}
    return study(tmp_path, workload={"trace": trace}, variants={"one": {}, "two": {}}, **changes)


@pytest.mark.parametrize("session", [False, True])
def test_check_counts_the_requests_after_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], session: bool
) -> None:
    path = replay(tmp_path, session=session, duration="10 s")
    code, _, err = call(capsys, "check", path)
    assert code == 0
    assert err.count("table.csv: 20 of 30 requests arrive after `duration` (10 s)") == 1
    limited = call(capsys, "check", path, "--set", "workload.trace.limit=12")[2]
    assert "table.csv: 2 of 12 requests arrive after" in limited
    for settings in ("workload.trace.limit=10", "duration=30 s", "workload.trace.start=21 s"):
        assert "arrive after" not in call(capsys, "check", path, "--set", settings)[2], settings


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["explain", "run --out r", "workload show", "compare --replications 2 --workers 0"],
)
@pytest.mark.parametrize("session", [False, True])
def test_a_command_says_once_that_the_trace_goes_on(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    session: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = replay(tmp_path, session=session, duration="10 s")
    err = call(capsys, *command.split(), path)[2]
    assert err.count("the trace goes on after `duration` (10 s)") == 1
    err = call(capsys, *command.split(), path, "--set", "duration=40 s")[2]
    assert "`duration`" not in err


def test_a_sweep_says_that_the_trace_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = {"axes": [{"workload.trace.speedup": [1, 2]}]}
    path = replay(tmp_path, duration="10 s", sweep=sweep)
    err = call(capsys, "sweep", path, "--out", tmp_path / "out", "--workers", 0)[2]
    assert err.count(GOES_ON) == 1


def test_a_warm_up_longer_than_the_trace_is_reported_by_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = replay(tmp_path)
    err = call(capsys, "check", path, "--set", "warmup=60 s")[2]
    assert err.count("table.csv: all 30 requests arrive in the warm-up of 60 s") == 1
    assert "warm-up" not in call(capsys, "check", path, "--set", "warmup=20 s")[2]


@pytest.mark.parametrize("process", ["poisson", "closed_loop"])
def test_arrivals_that_duration_ends_before_requests_are_reported(process: str) -> None:
    load = {"rate": "1 /s"} if process == "poisson" else {"concurrency": 1}
    arrivals = {"process": process, **load, "requests": 100_000}
    workload = {"arrivals": arrivals, "prompt_tokens": 10, "output_tokens": 2}
    results = simulate(make_scenario(duration="20 s", workload=workload))
    (note,) = results.info.notes
    sent = results.requests.num_rows
    assert note.startswith(f"`duration` (20 s) ended the arrivals after {sent:,} of 100,000")
    arrivals["requests"] = 2
    assert simulate(make_scenario(duration="1 h", workload=workload)).info.notes == ()


def test_drawn_sessions_are_reported_if_most_of_them_are_cut() -> None:
    turns = {"median": 10, "sigma": 0, "max": 10}
    drawn = {
        "turns": turns,
        "tool_steps": turns | {"none": 0.9},
        "first_tokens": 20,
        "user_tokens": 5,
        "tool_tokens": 5,
        "tool_gap": "1 s",
        "output_tokens": 2,
    }
    sessions = {**drawn, "user_gap": "2 s", "concurrency": 3}
    (note,) = simulate(make_scenario(duration="5 s", workload={"sessions": sessions})).info.notes
    assert note.startswith("3 of 3 sessions have requests left at the end of `duration` (5 s)")
    sessions["user_gap"] = sessions["tool_gap"] = "10 ms"
    assert simulate(make_scenario(duration="5 s", workload={"sessions": sessions})).info.notes == ()
