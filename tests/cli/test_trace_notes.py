"""What is to be said of a trace is said by every command that replays it, once per file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cluster_sim
from tests.commands import call
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

NOTES = (
    "burst.csv: not used: Model, Total tokens, Log Type",
    "burst.csv: 4 of 40 rows are omitted: they are failures without an answer",
)


def study(tmp_path: Path, **changes: Any) -> Path:
    """Return a scenario of two variants that replays 40 rows, of which four have no answer."""
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
    rows = [f"{i},ChatGPT,{50 + i},{5 if i % 10 else 0},{60 + i},log" for i in range(40)]
    (tmp_path / "burst.csv").write_text("\n".join([head, *rows, ""]))
    text = {
        "name": "noted", "seed": 4, "model": TINY_MODEL,
        "workload": {"trace": {"path": str(tmp_path / "burst.csv")}},
        "slo": {"ttft": "1 s"},
        "cluster": {"pools": [{"name": "p", "node": node(SMALL_GPU, 2), "replica": {"engine": engine()}}]},
        "variants": {"one": {}, "two": {}},
    } | changes  # fmt: skip
    path = tmp_path / "noted.yaml"
    path.write_text(json.dumps(text))
    return path


@pytest.mark.parametrize(
    "command",
    [
        "check",
        "explain",
        "compare --replications 2 --workers 0",
        "compare --iso throughput --replications 1 --workers 0",
        pytest.param(
            "sensitivity --variant one --workers 0 --set cluster.pools[0].node=dgx-b200 --set cluster.pools[0].replica.engine=vllm",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_command_says_once_how_it_reads_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    name, *options = command.split()
    code, out, err = call(capsys, name, study(tmp_path), *options)
    assert code == 0, err
    for note in NOTES:
        assert err.count(note) == 1
        assert note not in out


def test_a_sweep_says_once_how_it_reads_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = {"axes": [{"workload.trace.speedup": [1, 2]}]}
    path = study(tmp_path, sweep=sweep)
    code, _, err = call(capsys, "sweep", path, "--out", tmp_path / "out", "--workers", 0)
    assert code == 0, err
    assert [err.count(note) for note in NOTES] == [1, 1]
    assert "all replications are identical" not in err


def test_claims_say_how_a_trace_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study(tmp_path)
    quantity = {"of": "run", "scenario": "noted.yaml", "variant": "one", "metric": "completed"}
    claim = {"name": "c", "text": "t", "value": 36, "readings": [{"name": "r", "found": "q"}]}
    path = tmp_path / "claims.yaml"
    path.write_text(json.dumps({"name": "n", "quantities": {"q": quantity}, "claims": [claim]}))
    code, _, err = call(capsys, "claims", path, "--workers", 0)
    assert code == 0, err
    assert [err.count(note) for note in NOTES] == [1, 1]


def test_explain_says_nothing_of_rows_that_it_does_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path)
    (tmp_path / "burst.csv").write_text(
        "arrival_s,prompt_tokens,output_tokens\n" + "1,10,2\n" * 30_000 + "1,10,0\n"
    )
    columns = {"arrival": "arrival_s", "prompt": "prompt_tokens", "output": "output_tokens"}
    setting = f"workload.trace.columns={json.dumps(columns)}"
    _, _, err = call(capsys, "explain", path, "--set", setting)
    assert "omitted" not in err
    scenario = cluster_sim.load_scenario(path, "one", {"workload.trace.columns": columns})
    trace = scenario.workload.trace
    assert trace is not None
    assert trace.check().empty == 1


@pytest.mark.slow
def test_replications_of_a_trace_are_said_to_be_one_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the rows, drawn anew on every seed, make runs that differ."""
    same = "all replications are identical, so intervals have no width: the trace is the same on every seed"
    path = study(tmp_path, sweep={"axes": [{"workload.trace.speedup": [1]}], "replications": 2})
    for number, settings in enumerate(([], ["--set", "workload.trace.sample=0.5"])):
        compared = ("compare", path, "--replications", 2, "--workers", 0, *settings)
        swept = ("sweep", path, "--out", tmp_path / f"{number}", "--workers", 0, *settings)
        assert (same in call(capsys, *compared)[1]) is (not settings)
        assert (same in call(capsys, *swept)[2]) is (not settings)


def test_capacity_says_how_to_ask_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "capacity", study(tmp_path), "--workers", 0)
    assert code == 2
    assert err.count("noted.yaml") == 1
    assert "replays a trace, which has a fixed rate; sweep over its speed instead" in err


def test_check_takes_other_values_and_variants_as_run_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path)
    assert call(capsys, "check", path, "--variant", "two")[1] == f"{path}: OK (two)\n"
    _, _, err = call(capsys, "check", path, "--set", "workload.trace.limit=5")
    assert "exceed" not in err
    code, _, err = call(capsys, "check", path, "--set", "workload.trace.path=none.csv")
    assert code == 2
    assert "none.csv" in err
    _, _, err = call(capsys, "check", path, "--variant", "three")
    assert "three" in err
    _, _, err = call(capsys, "check", path, "--set", "workload.trace.format=azure")
    assert "burst.csv" in err


def test_check_refuses_other_values_for_claims(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text('{"name": "n", "claims": []}')
    code, _, err = call(capsys, "check", path, "--set", "seed=2")
    assert code == 2
    assert "claims.yaml: got --set for a file of claims; " in err


@pytest.mark.parametrize("command", ["check", "explain", "workload show", "run --out r"])
@pytest.mark.parametrize("session", ["", "session"])
def test_a_sample_that_leaves_nothing_is_refused_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    session: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = {"arrival": "t", "prompt": "p", "output": "o"}
    columns |= {"session": session} if session else {}
    trace = {"path": "few.csv", "columns": columns, "time_unit": "s", "sample": 1e-6}
    path = study(tmp_path, workload={"trace": trace}, variants={"one": {}})
    (tmp_path / "few.csv").write_text("t,p,o,session\n1,20,3,a\n2,20,3,b\n")
    code, _, err = call(capsys, *command.split(), path)
    assert code == 2, err
    noun = "sessions" if session and command != "workload show" else "requests"
    *notes, last = err.splitlines()
    assert "few.csv: got sample: 1e-06, which keeps no" in last
    assert last.endswith(f"{noun}; expected a larger share")
    assert all(note.startswith("warning: ") for note in notes)


def test_a_fit_that_fails_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study(tmp_path)
    out = tmp_path / "fit.jsonl"
    code, _, err = call(capsys, "workload", "fit", tmp_path / "burst.csv", "--out", out)
    assert code == 2
    assert "has 36 requests" in err
    assert not out.exists()


def test_sessions_from_a_trace_say_how_it_was_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talks.csv").write_text("t,p,o,session,mood\n1,20,3,a,good\n2,26,3,a,bad\n")
    columns = {"arrival": "t", "prompt": "p", "output": "o", "session": "session"}
    trace = {"path": "talks.csv", "columns": columns, "time_unit": "s"}
    sessions = {"trace": trace, "concurrency": 1, "requests": 6}
    path = study(tmp_path, workload={"sessions": sessions}, variants={"one": {}})
    for command in ("check", "explain", "workload show", "run --out r"):
        assert call(capsys, *command.split(), path)[2].count("not used: mood") == 1, command
