"""Which rows of a trace are one conversation, and what is said of those that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Tally, Trace

COLUMNS = {"arrival": "at", "prompt": "p", "output": "o", "session": "chat"}
NO_PREFIXES = "prompts share no prefixes: the file does not say which text they share"


def turns(path: Path, **keys: Any) -> tuple[list[int], str]:
    """Number of turns of each session, and the notes."""
    tally = Tally()
    trace = Trace.model_validate({"path": str(path)} | keys)
    sessions = list(trace.replayed_sessions(0, tally))
    return [len(session.steps) for session in sessions], "; ".join(tally.said())


def table(tmp_path: Path, *names: str) -> Path:
    """A table of a row per second, with these names of sessions."""
    path = tmp_path / "t.csv"
    path.write_text(
        "at,p,o,chat\n" + "".join(f"{at}.0,9,9,{name}\n" for at, name in enumerate(names))
    )
    return path


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "word", ["None", "NULL", "nan", "NaN", "NA", "N/A", "n/a", "-", "\\N", "", '"  "', " null "]
)
def test_words_for_nothing_name_no_conversation(tmp_path: Path, word: str) -> None:
    counts, notes = turns(table(tmp_path, "x", word, word, "x"), columns=COLUMNS)
    assert counts == [2, 1, 1]
    assert "2 of 4 rows have no chat and belong to no conversation" in notes


def test_nulls_and_nan_of_parquet_name_no_conversation(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for chats, count in (([1.0, None, float("nan"), 1.0], 2), ([None, None, "a", "a"], 2)):
        rows = {"at": [0.0, 1.5, 2.0, 3.0], "p": [9] * 4, "o": [9] * 4, "chat": chats}
        pq.write_table(pa.table(rows), tmp_path / "t.parquet")
        counts, notes = turns(tmp_path / "t.parquet", columns=COLUMNS)
        assert sorted(counts) == [1, 1, 2]
        assert f"{count} of 4 rows have no chat" in notes


@pytest.mark.parametrize("column", ["chat", "meta.chat"])
def test_json_rows_without_the_key_are_alone_even_the_first(tmp_path: Path, column: str) -> None:
    rows: list[dict[str, Any]] = [{"at": at + 0.5, "p": 9, "o": 9} for at in range(5)]
    for at, chat in ((1, "a"), (2, None), (4, "a")):
        rows[at] |= {"chat": chat} if column == "chat" else {"meta": {"chat": chat}}
    path = lines(tmp_path / "t.jsonl", rows)
    counts, notes = turns(path, columns=COLUMNS | {"session": column})
    assert counts == [1, 2, 1, 1]
    assert f"3 of 5 rows have no {column} and belong to no conversation" in notes
    with pytest.raises(ScenarioError, match="room"):
        turns(path, columns=COLUMNS | {"session": "room"})


def test_a_name_of_most_rows_is_said_from_twenty_rows_on(tmp_path: Path) -> None:
    counts, notes = turns(table(tmp_path, *["-1"] * 11, *"abcdefghi"), columns=COLUMNS)
    assert counts[0] == 11
    assert "11 of 20 rows have chat '-1' and are one conversation" in notes
    assert "are one" not in turns(table(tmp_path, *["0"] * 10, *"abcdefghij"), columns=COLUMNS)[1]
    assert "are one" not in turns(table(tmp_path, *["0"] * 19), columns=COLUMNS)[1]


def test_sessions_of_burstgpt_and_aiperf_are_named_alike(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text(
        "Session ID,Elapsed time,Timestamp,Request tokens,Response tokens\n"
        "NULL,1,0,9,9\nNULL,1,5,9,9\ns,1,6,9,9\n"
    )
    counts, notes = turns(path)
    assert (counts, "2 of 3 rows have no Session ID" in notes) == ([1, 1, 1], True)
    row = {"timestamp": 0, "input_length": 9, "output_length": 9}
    rows = [row | {"session_id": name} for name in ("N/A", None, "a", "a")]
    counts, notes = turns(lines(tmp_path / "a.jsonl", rows))
    assert sorted(counts) == [1, 1, 2]
    assert "2 of 4 rows have no session_id" in notes


def test_rows_of_aiperf_whose_first_has_no_session_are_lone_and_the_way_out_is_said(
    tmp_path: Path,
) -> None:
    row = {"timestamp": 0, "input_length": 9, "output_length": 9}
    path = lines(tmp_path / "a.jsonl", [row, row | {"session_id": "a"}, row | {"session_id": "a"}])
    assert [note for note in Trace(path=str(path)).check().notes if "AIPerf" in note] == [
        "rows have session_id, like AIPerf's, and are read as single requests; for conversations, write format: aiperf"
    ]
    assert sorted(turns(path, format="aiperf")[0]) == [1, 2]


def chat(number: Any, parent: Any, at_s: float) -> dict[str, Any]:
    names = {"chat_id": number, "parent_chat_id": parent}
    return names | {"timestamp": at_s, "input_length": 9, "output_length": 9}


def test_a_chat_that_comes_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = lines(tmp_path / "b.jsonl", [chat(1, -1, 0), chat(2, 1, 1), chat(1, -1, 2)])
    with pytest.raises(
        ScenarioError, match=r"b\.jsonl:3: chat 1 stands in a row above too; expected"
    ):
        turns(path)
    assert len(list(Trace.model_validate({"path": str(path), "replay": "timestamps"}).rows())) == 3


def test_chats_without_a_name_are_followed_by_none(tmp_path: Path) -> None:
    path = lines(tmp_path / "b.jsonl", [chat("null", None, 0), chat("null", "null", 1)])
    counts, notes = turns(path)
    assert counts == [1, 1]
    assert "2 rows have no chat_id, so no turn can follow them" in notes


def test_conversations_without_identities_share_no_prefixes_and_that_is_said(
    tmp_path: Path,
) -> None:
    assert NO_PREFIXES in turns(table(tmp_path, "a", "a"), columns=COLUMNS)[1]
    assert NO_PREFIXES not in turns(table(tmp_path, "a", "b"), columns=COLUMNS)[1]
    aiperf = {"session_id": "a", "timestamp": 0, "input_length": 9, "output_length": 9}
    assert NO_PREFIXES not in turns(lines(tmp_path / "a.jsonl", [aiperf, aiperf]))[1]
    tools = {
        "session_id": "x",
        "arrival_time_ns": 0,
        "sub_requests": [{"input_toks": 9, "output_toks": 9, "tool_duration_ns": 0}] * 2,
    }
    assert NO_PREFIXES in turns(lines(tmp_path / "l.jsonl", [tools]))[1]


def test_turns_that_add_share_their_history_at_timestamps_too(tmp_path: Path) -> None:
    """Prompts of 100, 100 + 20 + 40 = 160 and of 50 tokens hold 6, 10 and 3 whole blocks of 16."""
    rows = [
        {"session_id": "a", "timestamp": 0, "input_length": 100, "output_length": 20},
        {"session_id": "b", "timestamp": 1, "input_length": 50, "output_length": 20},
        {"session_id": "a", "timestamp": 2, "input_length": 40, "output_length": 20},
    ]
    path = lines(tmp_path / "a.jsonl", rows)
    trace = Trace.model_validate({"path": str(path), "replay": "timestamps"})
    first, other, later = (pieces for _, _, _, pieces in trace.rows())
    assert (len(first), len(other), len(later)) == (6, 3, 10)
    assert later[:6] == first
    assert not set(other) & set(later)


def test_blocks_of_a_first_turn_stay_at_timestamps(tmp_path: Path) -> None:
    """1,100 tokens are 512, 512 and 76; the next prompt, of 2,220, holds the first two of these."""
    row = {"session_id": "a", "input_length": 1100, "output_length": 20}
    rows = [row | {"timestamp": 0, "hash_ids": [7, 8, 9]}, row | {"timestamp": 1}]
    path = lines(tmp_path / "a.jsonl", rows)
    trace = Trace.model_validate({"path": str(path), "replay": "timestamps"})
    first, later = (pieces for _, _, _, pieces in trace.rows())
    assert first == ((7, 512), (8, 512), (9, 76))
    assert later[:2] == first[:2]
    assert len(later) == 4


def test_a_column_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="got columns with p as prompt and as output; expected"):
        turns(table(tmp_path, "a"), columns=COLUMNS | {"output": "P"})
