"""What `workload` says of a trace can be held against the file: its clock, its sums, its sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from cluster_sim.analysis.trace_traffic import of_trace
from cluster_sim.cli.commands.workload.traffics import TraceOptions
from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Trace
from tests.commands import call

FORMATS = Path(__file__).resolve().parents[3] / "shared" / "traces_formats"

STAMPS_MS = [1_700_000_000_123 + 1000 * at for at in range(6)]
"""Six arrivals, a second apart, in milliseconds since 1970."""


def mooncake(tmp_path: Path) -> str:
    """Six requests with prompts of 100, 101, … 105 tokens (sum 615) and answers of 10 each."""
    path = tmp_path / "t.jsonl"
    lines = [
        json.dumps({"timestamp": stamp, "input_length": 100 + at, "output_length": 10})
        for at, stamp in enumerate(STAMPS_MS)
    ]
    path.write_text("\n".join(lines))
    return str(path)


def aiperf(tmp_path: Path) -> str:
    """Two sessions: turns that add 100, 50 and 50 tokens, and 30; answers of 10 each."""
    path = tmp_path / "s.jsonl"
    turns: list[dict[str, Any]] = [
        {"session_id": "a", "timestamp": 2000, "input_length": 100},
        {"session_id": "a", "delay": 1000, "input_length": 50},
        {"session_id": "b", "timestamp": 2500, "input_length": 30},
        {"session_id": "a", "delay": 1000, "input_length": 50},
    ]
    path.write_text("\n".join(json.dumps(turn | {"output_length": 10}) for turn in turns))
    return str(path)


def summary(path: str, **keys: Any) -> dict[str, float | None]:
    return of_trace(Trace.model_validate({"path": path} | keys), "t").summary()


def test_arrivals_are_told_on_the_clock_of_the_file(tmp_path: Path) -> None:
    told = summary(mooncake(tmp_path))
    assert told["first_arrival_s"] == approx(1_700_000_000.123, abs=1e-6)
    assert told["last_arrival_s"] == approx(1_700_000_005.123, abs=1e-6)
    assert (told["total_prompt_tokens"], told["total_output_tokens"]) == (615, 60)
    assert told["sessions"] is None
    assert "total_context_tokens" not in told


@pytest.mark.parametrize("changes", [{"start": "2 s"}, {"start": "2 s", "speedup": 4}], ids=str)
def test_a_start_and_a_speed_change_nothing_of_that_clock(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    told = summary(mooncake(tmp_path), **changes)
    assert told["first_arrival_s"] == approx(1_700_000_002.123, abs=1e-6)
    assert told["last_arrival_s"] == approx(1_700_000_005.123, abs=1e-6)
    assert told["total_prompt_tokens"] == 102 + 103 + 104 + 105


def test_of_sessions_with_pauses_first_turns_have_recorded_times(tmp_path: Path) -> None:
    """Whole prompts are 100, 160, 220 and 30."""
    told = summary(aiperf(tmp_path))
    assert (told["first_arrival_s"], told["last_arrival_s"]) == (2.0, 2.5)
    assert (told["sessions"], told["requests"]) == (2, 4)
    assert (told["total_prompt_tokens"], told["total_context_tokens"]) == (230, 510)


def test_what_turns_add_is_summed_over_those_that_are_shown(tmp_path: Path) -> None:
    """The first two requests are the first turns of both sessions."""
    told = summary(aiperf(tmp_path), limit=2)
    assert (told["requests"], told["total_prompt_tokens"]) == (2, 130)


def test_sessions_that_are_written_whole_are_counted(tmp_path: Path) -> None:
    request = {"t": 0.0, "in": 130, "out": 10, "hash_ids": [1, 2, 3]}
    path = tmp_path / "weka.jsonl"
    documents = [{"id": name, "block_size": 64, "requests": [request] * 2} for name in "abc"]
    path.write_text("\n".join(map(json.dumps, documents)))
    told = summary(str(path))
    assert (told["sessions"], told["requests"]) == (3, 6)


def test_chats_with_times_are_counted_as_sessions(tmp_path: Path) -> None:
    """Chats 1, 2 follow one another, and 3 stands alone."""
    path = tmp_path / "b.jsonl"
    chats = [(1, -1), (2, 1), (3, -1)]
    rows = [
        {"chat_id": chat, "parent_chat_id": parent, "timestamp": 61.5 + at, "turn": 1, "type": "text"}
        | {"input_length": 10, "output_length": 5, "hash_ids": [at]}
        for at, (chat, parent) in enumerate(chats)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    told = summary(str(path))
    assert (told["sessions"], told["first_arrival_s"], told["last_arrival_s"]) == (2, 61.5, 63.5)


def test_conversations_of_text_have_no_recorded_times(tmp_path: Path) -> None:
    """Their starts are drawn: two words are asked, one is answered, at three tokens each."""
    turns = [{"from": "human", "value": "how so"}, {"from": "gpt", "value": "thus"}]
    path = tmp_path / "s.json"
    path.write_text(
        json.dumps([{"id": str(number), "conversations": turns} for number in range(2)])
    )
    arrivals = {"process": "poisson", "rate": "1 /s"}
    told = summary(str(path), arrivals=arrivals, tokens_per_word=3)
    assert (told["first_arrival_s"], told["last_arrival_s"], told["sessions"]) == (None, None, 2)
    assert (told["total_prompt_tokens"], told["total_output_tokens"]) == (12, 6)


def test_show_prints_sums_and_sessions_and_its_json_the_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "workload", "show", aiperf(tmp_path))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert code == 0
    for row in (
        ["sessions", "2"],
        ["prompt tokens, total", "230"],
        ["prompt tokens with history, total", "510"],
        ["output tokens, total", "40"],
    ):
        assert row in cells
    told = json.loads(call(capsys, "workload", "show", aiperf(tmp_path), "--json")[1])
    assert told["first_arrival_s"] == approx(2.0)


def test_columns_and_unit_of_a_trace_are_given_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.csv"
    path.write_text("when, in: words,out\n5000,10,3\n6500,12,4\n")
    columns = "arrival=when,prompt=in: words,output=out"
    code, out, err = call(
        capsys, "workload", "show", path, "--columns", columns, "--time-unit", "ms", "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    assert (told["first_arrival_s"], told["last_arrival_s"]) == (approx(5.0), approx(6.5))
    assert (told["total_prompt_tokens"], told["total_output_tokens"]) == (22, 7)


def test_columns_may_have_commas_in_their_names() -> None:
    options = TraceOptions("arrival=at, of day,prompt=in,output=out, all")
    assert options.keys() == {
        "columns": {"arrival": "at, of day", "prompt": "in", "output": "out, all"}
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--columns", "when"], "--columns: got 'when'; expected arrival=NAME,prompt=NAME"),
        (["--columns", "arrival=t,prompt=p"], "columns: 'output' is missing"),
        (["--time-unit", "years"], "time_unit: got 'years'; expected one of s, ms, us, ns, iso"),
    ],
)
def test_what_is_wrong_with_these_options_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    code, _, err = call(capsys, "workload", "show", mooncake(tmp_path), *given)
    assert code == 2
    assert said in err


def test_a_scenario_file_takes_them_as_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a\n")
    code, _, err = call(capsys, "workload", "show", path, "--time-unit", "s")
    assert code == 2
    assert err.startswith("--time-unit: got no file of a trace; expected one")


def test_notes_on_a_file_appear_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = mooncake(tmp_path)
    with open(trace, "a", encoding="utf-8") as file:
        file.write('\n{"timestamp": 1700000009000, "input_length": 0, "output_length": 3}\n')
    speeds = {f"x{speed}": {"workload": {"trace": {"speedup": speed}}} for speed in (1, 2)}
    scenario = {
        "name": "a",
        "model": "llama-3.1-8b",
        "workload": {"trace": {"path": trace}},
        "cluster": {"pools": [{"name": "p", "node": "dgx-b200"}]},
        "variants": speeds,
    }
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(scenario))
    for command in (["workload", "show"], ["check"], ["run", "--out", str(tmp_path / "out")]):
        code, _, err = call(capsys, *command, path)
        assert code == 0, err
        assert err.count("1 of 7 rows are omitted: they have no prompt or no answer") == 1


def test_a_fit_of_sessions_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.jsonl"
    turns: list[dict[str, Any]] = []
    for session in range(30):
        first = {"session_id": session, "timestamp": 700 * session + 13 * session**2}
        turns += [first, {"session_id": session, "delay": 500}]
    lengths = {"input_length": 20, "output_length": 5}
    path.write_text("\n".join(json.dumps(turn | lengths) for turn in turns))
    code, out, _ = call(capsys, "workload", "fit", path)
    assert code == 0
    assert "# The proposal has single requests. In the trace, the turns of 30 sessions wait" in out
    assert out.count("\nworkload:\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(not FORMATS.is_dir(), reason="../shared/traces_formats is absent")
@pytest.mark.parametrize("file", sorted(FORMATS.glob("*.*")), ids=lambda path: path.name)
def test_no_format_makes_show_or_fit_fall_over(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    for command in ("show", "fit"):
        code, _, err = call(capsys, "workload", command, file)
        assert code in (0, 2)
        assert "Traceback" not in err


def test_a_fit_of_too_few_requests_is_refused(tmp_path: Path) -> None:
    from cluster_sim.calibration.traffic import propose

    with pytest.raises(ScenarioError, match="has 6 requests over 5 s"):
        propose(of_trace(Trace(path=mooncake(tmp_path)), "t"))
