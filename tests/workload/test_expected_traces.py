"""Each file of `../shared/traces_formats` holds what `expected.csv` says of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from cluster_sim.workload.sessions import replayed_scripts
from cluster_sim.workload.traces import Trace

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "traces_formats"
if not FOLDER.is_dir():
    pytest.skip("the files of ../shared/traces_formats are not here", allow_module_level=True)

ROWS = {row["file"]: row for row in csv.DictReader((FOLDER / "expected.csv").open())}
KEYS: dict[str, dict[str, Any]] = {
    "generic_other_names.csv": {
        "columns": {"arrival": "arrived_s", "prompt": "prompt_len", "output": "completion_len"}
    },
    "sharegpt.json": {
        "arrivals": {"process": "poisson", "rate": "1 /s"},
        "tokens_per_word": 1,
    },
}
"""What a scenario says of a file beside its path."""


def opened(file: str) -> Trace:
    return Trace.model_validate({"path": str(FOLDER / file)} | KEYS.get(file, {}))


@pytest.mark.parametrize("file", ROWS)
def test_requests_arrive_as_the_file_says(file: str) -> None:
    expected, trace = ROWS[file], opened(file)
    if trace.has_times:
        # Rows that are replayed at their recorded times: for the clock of the file.
        rows = list(trace.model_copy(update={"replay": "timestamps"}).rows())
        assert len(rows) == int(expected["rows"])
        if expected["span_s"]:
            assert rows[0][0] == 0.0
            assert rows[-1][0] == pytest.approx(float(expected["span_s"]), abs=1e-6)
            assert sum(row[1] for row in rows) == int(expected["total_prompt_tokens"])
            assert sum(row[2] for row in rows) == int(expected["total_output_tokens"])
    if expected["sessions"] or not trace.has_times:
        _compare_sessions(trace, expected)


def _compare_sessions(trace: Trace, expected: dict[str, str]) -> None:
    sessions = list(trace.replayed_sessions())
    steps = [step for session in sessions for step in session.steps]
    assert trace.replays_sessions
    assert len(sessions) == int(expected["sessions"])
    assert len(steps) == int(expected["rows"])
    if expected["total_prompt_tokens"]:
        assert sum(step.prompt_tokens for step in steps) == int(expected["total_prompt_tokens"])
        assert sum(step.output_tokens for step in steps) == int(expected["total_output_tokens"])
    if expected["gaps_after_answer_s"]:
        assert sum(step.gap_s for step in steps) == pytest.approx(
            float(expected["gaps_after_answer_s"]), abs=1e-6
        )
        assert sessions[-1].start_s == pytest.approx(float(expected["span_s"]), abs=1e-6)
    if expected["total_context_tokens"]:
        turns = [turn for script in replayed_scripts(sessions) for turn in script]
        assert sum(turn.prompt_tokens for turn in turns) == int(expected["total_context_tokens"])


def test_words_of_sharegpt_are_counted() -> None:
    """102 words of prompts and 91 of answers, at 2 tokens each."""
    keys = {"path": str(FOLDER / "sharegpt.json"), "tokens_per_word": 2}
    trace = Trace.model_validate(keys | {"arrivals": {"process": "poisson", "rate": "1 /s"}})
    steps = [step for session in trace.replayed_sessions() for step in session.steps]
    assert sum(step.prompt_tokens for step in steps) == 2 * 102
    assert sum(step.output_tokens for step in steps) == 2 * 91


def test_prompts_of_token_ids_share_their_first_32() -> None:
    pieces = [row[3] for row in opened("llmservingsim_token_ids.jsonl").rows()]
    assert len({own[:2] for own in pieces}) == 1
    assert len({own[:3] for own in pieces}) == len(pieces)
    assert all(length == 16 for own in pieces for _, length in own)


def test_a_later_turn_of_bailian_begins_with_the_blocks_of_the_one_before() -> None:
    for session in opened("bailian.jsonl").replayed_sessions():
        for before, after in zip(session.steps, session.steps[1:], strict=False):
            assert before.pieces[0] == after.pieces[0]


@pytest.mark.parametrize("file", ROWS)
def test_the_clock_of_the_file_is_told(file: str) -> None:
    """First and last arrival as `workload show --json` gives them."""
    expected = ROWS[file]
    if not expected["first_arrival_s"]:
        pytest.skip("the file has no times")
    from cluster_sim.analysis.trace_traffic import of_trace

    summary = of_trace(opened(file), file).summary()
    for key in ("first_arrival_s", "last_arrival_s"):
        assert summary[key] == pytest.approx(float(expected[key]), abs=1e-6)
