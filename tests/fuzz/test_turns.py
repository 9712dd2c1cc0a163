"""Conversations of every format that has them: who follows whom is known before they are written.

A turn follows the answer to the one before after a pause, or where the file does not say when
answers ended, at its recorded time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Tally, Trace
from tests.fuzz.meanings import encoded
from tests.fuzz.traces import BASE_S, PACKINGS, cells_as_text, seconds


class Turn(NamedTuple):
    """One turn of a conversation."""

    talk: int
    """Number of its conversation."""
    number: int
    """Number of the turn, from 0."""
    ms: int
    """Time since the beginning [ms]."""
    end_ms: int
    """End of the answer [ms]."""
    prompt: int
    output: int


TURNS = (
    Turn(0, 0, 0, 500, 40, 10),
    Turn(1, 0, 400, 900, 50, 11),
    Turn(0, 1, 1500, 2250, 60, 12),
    Turn(2, 0, 1750, 1800, 70, 13),
    Turn(1, 1, 3900, 4000, 80, 14),
    Turn(0, 2, 4000, 4500, 90, 15),
    Turn(1, 2, 4001, 4600, 100, 16),
)
"""Three conversations: turns of 0 pause 1000 and 1750 ms, of 1 pause 3000 and 1 ms; 2 has one."""

Talk = tuple[float, tuple[tuple[float, int, int], ...]]
"""Start [s], and pause or time since the start [s], prompt and output of each turn."""


def _bailian(turns: Sequence[Turn]) -> str:
    return _lines(
        {
            "chat_id": 100 * turn.talk + turn.number, "parent_chat_id": 100 * turn.talk + turn.number - 1 if turn.number else -1,
            "timestamp": turn.ms / 1000, "input_length": turn.prompt, "output_length": turn.output, "type": "text", "turn": turn.number + 1,
        }
        for turn in turns
    )  # fmt: skip


def _aiperf_rows(turns: Sequence[Turn]) -> str:
    ends: dict[int, int] = {}
    rows = []
    for turn in turns:
        time = {"delay": turn.ms - ends[turn.talk]} if turn.talk in ends else {"timestamp": turn.ms}
        ends[turn.talk] = turn.end_ms
        rows.append({"session_id": f"s{turn.talk}"} | time | {"input_length": turn.prompt, "output_length": turn.output})  # fmt: skip
    return _lines(rows)


def _aiperf_records(turns: Sequence[Turn]) -> str:
    return _lines(
        {
            "metadata": {"x_correlation_id": f"k{turn.talk}", "turn_index": turn.number, "benchmark_phase": "profiling", "was_cancelled": False,
                         "request_start_ns": (1000 * BASE_S + turn.ms) * 10**6, "request_end_ns": (1000 * BASE_S + turn.end_ms) * 10**6},
            "metrics": {"input_sequence_length": {"value": turn.prompt, "unit": "tokens"}, "output_sequence_length": {"value": turn.output, "unit": "tokens"}},
            "error": None,
        }
        for turn in turns
    )  # fmt: skip


def _guidellm(turns: Sequence[Turn]) -> str:
    successful = [
        {
            "prompt_tokens": turn.prompt, "output_tokens": turn.output,
            "info": {"conversation_id": f"c{turn.talk}", "turn_index": turn.number,
                     "timings": {"request_start": BASE_S + turn.ms / 1000, "request_end": BASE_S + turn.end_ms / 1000}},
        }
        for turn in turns
    ]  # fmt: skip
    return json.dumps({"benchmarks": [{"requests": {"successful": successful}}]})


def _burstgpt(turns: Sequence[Turn]) -> str:
    names = "Session ID,Elapsed time,Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"  # fmt: skip
    rows = [[turn.talk, seconds(turn.end_ms - turn.ms), seconds(turn.ms), "GPT-4", turn.prompt, turn.output, 1, "x"] for turn in turns]  # fmt: skip
    return cells_as_text([names.split(","), *([str(cell) for cell in row] for row in rows)])


def _blis(turns: Sequence[Turn]) -> str:
    names = "request_id,session_id,round_index,input_tokens,output_tokens,arrival_time_us,send_time_us,last_chunk_time_us,status"  # fmt: skip
    rows = [[n, f"s{turn.talk}", turn.number, turn.prompt, turn.output, 1000 * turn.ms + 1000, 1000 * turn.ms + 1000, 1000 * turn.end_ms + 1000, "ok"] for n, turn in enumerate(turns)]  # fmt: skip
    return cells_as_text([names.split(","), *([str(cell) for cell in row] for row in rows)])


def _named(turns: Sequence[Turn]) -> str:
    rows = [[f"u{turn.talk}", seconds(turn.ms), str(turn.prompt), str(turn.output)] for turn in turns]  # fmt: skip
    return cells_as_text([["who", "when", "asked", "told"], *rows])


def _lines(rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@dataclass(frozen=True)
class TalkForm:
    """A format of conversations."""

    name: str
    write: Callable[[Sequence[Turn]], str]
    knows_ends: bool
    """Whether the file says when answers ended."""
    keeps_order: bool = True
    """Whether the order of rows says nothing."""
    has_parents: bool = False
    """Whether a turn names the one before rather than its conversation."""
    keys: dict[str, Any] = field(default_factory=dict)


_COLUMNS = {"arrival": "when", "prompt": "asked", "output": "told", "session": "who"}
FORMS = (
    TalkForm("bailian.jsonl", _bailian, knows_ends=False, has_parents=True),
    TalkForm("aiperf.jsonl", _aiperf_rows, knows_ends=True, keeps_order=False),
    TalkForm("records.jsonl", _aiperf_records, knows_ends=True),
    TalkForm("guidellm.json", _guidellm, knows_ends=True),
    TalkForm("burstgpt.csv", _burstgpt, knows_ends=True),
    TalkForm("blis.csv", _blis, knows_ends=True),
    TalkForm("named.csv", _named, knows_ends=False, keys={"columns": _COLUMNS, "time_unit": "s"}),
)


def meant(form: TalkForm, turns: Sequence[Turn]) -> list[Talk]:
    """The conversations of these turns, since the first of them."""
    talks: dict[int, list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: turn.ms):
        talks.setdefault(turn.talk, []).append(turn)
    first_ms = min(turn.ms for turn in turns)
    found = []
    for own in talks.values():
        steps = [(0.0, own[0].prompt, own[0].output)]
        for before, turn in pairwise(own):
            since_ms = before.end_ms if form.knows_ends else own[0].ms
            steps.append(((turn.ms - since_ms) / 1e3, turn.prompt, turn.output))
        found.append(((own[0].ms - first_ms) / 1e3, tuple(steps)))
    return sorted(found)


def talks_of(path: Path, form: TalkForm) -> tuple[list[Talk], Tally]:
    tally = Tally()
    trace = Trace.model_validate({"path": str(path)} | form.keys)
    sessions = list(trace.replayed_sessions(tally=tally))
    return sorted(
        (
            round(session.start_s, 6),
            tuple(
                (round(step.gap_s + step.due_s, 6), step.prompt_tokens, step.output_tokens)
                for step in session.steps
            ),
        )
        for session in sessions
    ), tally


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_turns_follow_as_they_were_written(tmp_path: Path, form: TalkForm) -> None:
    """As they are, in any order, packed and encoded in any way, and without their last turns."""
    for seed, cut in product(range(8), (0, 1, 3)):
        rng = Random(f"{form.name}/{seed}")
        turns = list(TURNS[: len(TURNS) - cut])
        if form.keeps_order and seed:
            rng.shuffle(turns)
        content = form.write(turns).encode()
        if seed:
            content = rng.choice(sorted(PACKINGS.items()))[1](encoded(rng, content))
        path = tmp_path / form.name
        path.write_bytes(content)
        if form.has_parents and _parent_is_late(turns):
            with pytest.raises(
                ScenarioError, match=r":\d+: chat \d+ stands below a row that follows it"
            ):
                talks_of(path, form)
            continue
        found, _ = talks_of(path, form)
        assert found == meant(form, turns), (seed, cut, turns)


def _parent_is_late(turns: Sequence[Turn]) -> bool:
    places = {(turn.talk, turn.number): place for place, turn in enumerate(turns)}
    return any(places.get((turn.talk, turn.number - 1), -1) > place for place, turn in enumerate(turns))  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_turn_that_is_missing_lets_the_next_follow_the_one_before(
    tmp_path: Path, form: TalkForm
) -> None:
    """Where a turn names the one before, it starts a conversation, which is said."""
    turns = [turn for turn in TURNS if (turn.talk, turn.number) != (0, 1)]
    path = tmp_path / form.name
    path.write_text(form.write(turns))
    found, tally = talks_of(path, form)
    if form.has_parents:
        orphan = [turn._replace(talk=9) if turn[:2] == (0, 2) else turn for turn in turns]
        assert found == meant(form, orphan)
        assert tally.orphans == 1
    else:
        assert found == meant(form, turns)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_turns_at_their_recorded_times_are_the_rows_of_the_file(
    tmp_path: Path, form: TalkForm
) -> None:
    if form.name == "aiperf.jsonl":
        pytest.skip("later turns have no recorded time")
    path = tmp_path / form.name
    path.write_text(form.write(TURNS))
    trace = Trace.model_validate({"path": str(path), "replay": "timestamps"} | form.keys)
    rows = [(round(row[0], 6), *row[1:3]) for row in trace.rows()]
    assert rows == [(turn.ms / 1e3, turn.prompt, turn.output) for turn in TURNS]
