"""Recorded conversations are replayed: a turn waits for the answer before, and then as recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests.laws.whole_run import column, every_law_holds
from tests.machines import SMALL_GPU, engine, node
from tests.scenarios import make_scenario

FAST: dict[str, Any] = SMALL_GPU | {
    "memory": {"capacity": "10 GB", "bandwidth": "1e9 TB/s"},
    "peak": {"bf16": "1e9 TFLOP/s"},
    "overheads": {
        "default": {"step": "100 ms", "sequence": "0 s", "layer": "0 s", "eager_layer": "0 s"}
    },
}
"""A device whose every step takes 100 ms: an answer of n tokens takes n/10 s."""


def replayed(path: Path, text: str, **keys: Any) -> Results:
    """The run of a trace on that device."""
    path.write_text(text)
    pool = {"name": "gpus", "node": node(FAST), "replica": {"engine": engine()}}
    changes = {key: keys.pop(key) for key in ("stepping", "duration") if key in keys}
    scenario = make_scenario(
        workload={"trace": {"path": str(path)} | keys}, cluster={"pools": [pool]}, **changes
    )
    return simulate(scenario)


def times(results: Results) -> list[tuple[float, float]]:
    """Arrival and end of each request [s]."""
    requests = results.requests
    return list(
        zip(
            np.round(column(requests, "arrival_s"), 6).tolist(),
            np.round(column(requests, "finish_s"), 6).tolist(),
            strict=True,
        )
    )


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


AIPERF = [
    {"session_id": "a", "timestamp": 1000, "input_length": 100, "output_length": 5},
    {"session_id": "a", "delay": 2000, "input_length": 20, "output_length": 3},
    {"session_id": "a", "delay": 500, "input_length": 30, "output_length": 1},
    {"session_id": "b", "timestamp": 1700, "input_length": 50, "output_length": 2},
]
"""Session a: 0 to 0.5 s; 2 s later 2.5 to 2.8 s; 0.5 s later 3.3 to 3.4 s. Session b: 0.7 to 0.9 s."""


def test_three_turns_of_aiperf_come_a_delay_after_the_answers(tmp_path: Path) -> None:
    results = replayed(tmp_path / "a.jsonl", lines(AIPERF))
    assert times(results) == [(0.0, 0.5), (0.7, 0.9), (2.5, 2.8), (3.3, 3.4)]
    # The history comes on top: 100; 100 + 5 + 20; 125 + 3 + 30.
    assert column(results.requests, "prompt_tokens").tolist() == [100, 50, 125, 158]
    assert results.info.sessions == 2


def test_twice_the_speed_halves_starts_and_delays_and_not_the_answers(tmp_path: Path) -> None:
    results = replayed(tmp_path / "a.jsonl", lines(AIPERF), speedup=2)
    # a: 0 to 0.5; 1.5 to 1.8; 2.05 to 2.15. b: 0.35, in the batch of a from 0.4 on, to 0.6.
    assert [arrival_s for arrival_s, _ in times(results)] == [0.0, 0.35, 1.5, 2.05]


def test_a_limit_counts_requests_in_the_order_in_which_they_come(tmp_path: Path) -> None:
    assert times(replayed(tmp_path / "a.jsonl", lines(AIPERF), limit=3))[-1] == (2.5, 2.8)


def chat(number: int, parent: int, at_s: float, prompt: int, output: int) -> dict[str, Any]:
    blocks = list(range(-(-prompt // 16)))
    return {
        "chat_id": number,
        "parent_chat_id": parent,
        "timestamp": at_s,
        "input_length": prompt,
        "output_length": output,
        "type": "text",
        "turn": 1,
        "hash_ids": blocks,
    }


BAILIAN = [
    chat(7, -1, 61.0, 100, 5),
    chat(8, 7, 61.2, 120, 3),
    chat(9, 8, 66.0, 130, 1),
    chat(10, -1, 70.0, 40, 1),
]


def test_a_turn_of_bailian_comes_at_its_time_or_with_the_answer_where_that_is_later(
    tmp_path: Path,
) -> None:
    """The second turn is due at 0.2 s; the answer before it ends at 0.5 s."""
    results = replayed(tmp_path / "b.jsonl", lines(BAILIAN))
    assert times(results) == [(0.0, 0.5), (0.5, 0.8), (5.0, 5.1), (9.0, 9.1)]
    assert column(results.requests, "prompt_tokens").tolist() == [100, 120, 130, 40]
    assert "not used: type" in results.info.notes


def test_replayed_at_its_timestamps_no_turn_waits(tmp_path: Path) -> None:
    results = replayed(tmp_path / "b.jsonl", lines(BAILIAN), replay="timestamps")
    assert [arrival_s for arrival_s, _ in times(results)] == [0.0, 0.2, 5.0, 9.0]
    assert results.info.sessions is None


def test_a_second_turn_after_one_answer_and_one_without_a_parent_start_sessions(
    tmp_path: Path,
) -> None:
    rows = [*BAILIAN[:2], chat(11, 7, 64.0, 120, 1), chat(12, 3, 65.0, 60, 1)]
    results = replayed(tmp_path / "b.jsonl", lines(rows))
    assert [arrival_s for arrival_s, _ in times(results)] == [0.0, 0.5, 3.0, 4.0]
    assert results.info.sessions == 3
    said = " ".join(results.info.notes)
    assert "1 turns follow a turn that the file does not have" in said
    assert "1 turns follow an answer that another turn follows too" in said


BURSTGPT = """\
Session ID,Elapsed time,Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
a,2.0,10.0,GPT-4,100,5,105,Conversation log
a,1.0,14.0,GPT-4,120,3,123,Conversation log
b,0.1,14.1,GPT-4,50,0,50,Conversation log
a,9.0,15.0,GPT-4,130,1,131,Conversation log
b,0.1,30.0,GPT-4,60,1,61,Conversation log
"""
"""Session a: its answers end at 12, 15 and 24 s; its pauses are 2 s and none. Of session b the first
request failed."""


def test_a_turn_of_burstgpt_comes_as_long_after_the_answer_as_was_recorded(tmp_path: Path) -> None:
    """0 to 0.5 s; 2 s later 2.5 to 2.8 s; at once 2.8 to 2.9 s. Session b starts 20 s after a."""
    results = replayed(tmp_path / "b.csv", BURSTGPT, duration="1 min")
    assert times(results) == [(0.0, 0.5), (2.5, 2.8), (2.8, 2.9), (20.0, 20.1)]
    notes = " ".join(results.info.notes)
    assert "not used: Model, Total tokens, Log Type" in notes
    assert "1 of 5 rows are omitted: they are failures" in notes


@pytest.mark.parametrize(
    "text",
    [lines(AIPERF), lines(BAILIAN), BURSTGPT],
    ids=["aiperf", "bailian", "burstgpt"],
)
@pytest.mark.parametrize("prefix_caching", [False, True])
def test_every_law_holds_and_a_stretch_equals_its_steps(
    tmp_path: Path, text: str, prefix_caching: bool
) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    pool = {
        "name": "gpus",
        "node": node(SMALL_GPU),
        "replica": {"engine": engine()},
        "kv": {"prefix_caching": prefix_caching},
    }
    runs = []
    for stepping in ("stretch", "step"):
        results = simulate(
            make_scenario(
                workload={"trace": {"path": str(tmp_path / "t.jsonl")}},
                cluster={"pools": [pool]},
                stepping=stepping,
            )
        )
        every_law_holds(results)
        runs.append(results.requests)
    stretched, stepped = runs
    for name in stretched.column_names:
        if name.endswith("_s"):
            # The clock is a sum of delays, which differ by a rounding.
            np.testing.assert_allclose(column(stretched, name), column(stepped, name), rtol=1e-12)
        else:
            assert stretched[name].equals(stepped[name]), name
    hits = column(runs[0], "prefix_hit_tokens")
    # BurstGPT does not say what its prompts share.
    assert (hits.sum() > 0) == (prefix_caching and text != BURSTGPT)


def test_a_session_whose_first_turn_has_no_time_is_refused_with_its_line(tmp_path: Path) -> None:
    rows = [AIPERF[0], {"session_id": "b", "delay": 5, "input_length": 1, "output_length": 1}]
    with pytest.raises(ValueError, match=r"a\.jsonl:2: has a delay but no timestamp"):
        replayed(tmp_path / "a.jsonl", lines(rows))


def test_a_start_leaves_out_sessions_that_begin_before_it(tmp_path: Path) -> None:
    """Session b starts 0.7 s after a; nothing starts 0.8 s after it."""
    results = replayed(tmp_path / "a.jsonl", lines(AIPERF), start="0.7 s")
    assert times(results) == [(0.0, 0.2)]
    with pytest.raises(
        ValueError,
        match=r"got a start of 0\.8 s; expected a time before the last request, which is 0\.7 s",
    ):
        replayed(tmp_path / "a.jsonl", lines(AIPERF), start="0.8 s")


def test_turns_after_the_start_of_sessions_before_it_are_counted(tmp_path: Path) -> None:
    """Turns of the first chat at 0.2 and 5 s come after a start of 0.1 s; that at 0 s does not."""
    path = tmp_path / "b.jsonl"
    results = replayed(path, lines(BAILIAN), start="0.1 s")
    assert [arrival_s for arrival_s, _ in times(results)] == [8.9]
    note = "2 requests after the start are omitted: their sessions began before it; replay: timestamps keeps"
    assert note in " ".join(results.info.notes)
    kept = replayed(path, lines(BAILIAN), start="0.1 s", replay="timestamps")
    assert [arrival_s for arrival_s, _ in times(kept)] == [0.1, 4.9, 8.9]


@pytest.mark.parametrize("replay", ["sessions", "timestamps"])
def test_the_first_request_comes_at_time_zero_when_starts_are_spread(
    tmp_path: Path, replay: str
) -> None:
    rows = [chat(number, -1, 5.0, 40, 1) for number in range(1, 4)]
    results = replayed(tmp_path / "b.jsonl", lines(rows), replay=replay, dejitter="3 s")
    arrivals_s = [arrival_s for arrival_s, _ in times(results)]
    assert arrivals_s[0] == 0.0
    assert 0.0 < arrivals_s[1] < arrivals_s[2] < 3.0


def test_a_timestamp_beside_a_delay_decides(tmp_path: Path) -> None:
    """Due at 3 s, and not 0.1 s after the answer, which ends at 0.5 s."""
    rows = [AIPERF[0], AIPERF[1] | {"timestamp": 4000, "delay": 100}]
    results = replayed(tmp_path / "a.jsonl", lines(rows))
    assert times(results) == [(0.0, 0.5), (3.0, 3.3)]
    assert "the timestamp is used, as in AIPerf" in " ".join(results.info.notes)


TOOLS = {
    "session_id": "x",
    "arrival_time_ns": 2_000_000_000,
    "sub_requests": [
        {"input_toks": 50, "output_toks": 5, "tool_duration_ns": 3_000_000_000},
        {"input_toks": 90, "output_toks": 2, "tool_duration_ns": 0},
        {"input_toks": 95, "output_toks": 1, "tool_duration_ns": 7},
    ],
}


def test_requests_of_llmservingsim_come_when_the_tools_before_them_are_done(tmp_path: Path) -> None:
    results = replayed(tmp_path / "l.jsonl", lines([TOOLS]))
    assert times(results) == [(0.0, 0.5), (3.5, 3.7), (3.7, 3.8)]


def test_delays_cannot_be_replayed_at_timestamps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.jsonl:2: has a delay .* expected replay: sessions"):
        replayed(tmp_path / "a.jsonl", lines(AIPERF), replay="timestamps")
