"""Traces: rows as recorded, times from the first, faults with their line."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Tally, Trace
from cluster_sim.workload.traces.formats import FORMATS

HEADING = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return str(path)


def rows(path: str, **keys: Any) -> list[tuple[float, int, int]]:
    return [row[:3] for row in Trace.model_validate({"path": path} | keys).rows()]


def tallied(path: str, **keys: Any) -> Tally:
    return Trace.model_validate({"path": path} | keys).check()


def seconds(*stamps: float) -> str:
    """An Azure trace with these seconds of a minute, prompts counting up from 1, answers of 2."""
    return HEADING + "".join(
        f"2024-01-01 00:00:{stamp:06.3f},{number},2\n"
        for number, stamp in enumerate(stamps, start=1)
    )


# --- Azure
#
# ----------------------------------------------------------------------------------------------------------------


def test_rows_are_read_with_times_from_the_first(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEADING
        + "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n2023-11-16 18:17:05,110,27",
    )
    assert rows(path) == [
        (0.0, 4808, 10),
        (pytest.approx(0.052, abs=1e-7), 3180, 8),
        (pytest.approx(1.02004, abs=1e-7), 110, 27),
    ]


def test_stamps_with_a_zone_and_without_decimals_are_read_and_midnight_is_passed(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path,
        HEADING
        + "2024-05-10 23:59:59.500000+00:00,5,6\n2024-05-11 00:00:00+00:00,7,8\n2024-05-11T00:00:01.25Z,1,1\n",
    )
    assert [time_s for time_s, _, _ in rows(path)] == pytest.approx([0.0, 0.5, 1.75])


def test_columns_may_stand_in_another_order_beside_others(tmp_path: Path) -> None:
    path = write(
        tmp_path, "GeneratedTokens,NumImages,TIMESTAMP,ContextTokens\n10,0,2024-01-01 00:00:00,99\n"
    )
    assert rows(path) == [(0.0, 99, 10)]


def test_speedup_divides_times_and_limit_stops(tmp_path: Path) -> None:
    path = write(
        tmp_path, HEADING + "".join(f"2024-01-01 00:00:{second:02d},5,6\n" for second in range(10))
    )
    assert rows(path, speedup=2.0, limit=3) == [(0.0, 5, 6), (0.5, 5, 6), (1.0, 5, 6)]


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    path = write(
        tmp_path, "\ufeff" + HEADING + "\n2024-01-01 00:00:01,5,6\n\n2024-01-01 00:00:03,7,8\n\n"
    )
    assert rows(path) == [(0.0, 5, 6), (2.0, 7, 8)]


# --- the other formats
#
# ------------------------------------------------------------------------------------------------------

BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,0,0,0,API log\n118,GPT-4,417,276,693,Conversation log\n"
BURSTGPT_3 = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n100.5,ab-1,43,GPT-4,906,446,1352,Conversation log\n103.0,ab-2,2,ChatGPT,36,29,65,Conversation log\n"
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n1.5,374,44\n1.75,396,109\n"
SPLITWISE = "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n0,2,0,0.0,1,37,125\n1,2,0,0.5,1,99,7\n"
MOONCAKE = '{"timestamp": 1000, "input_length": 1100, "output_length": 5, "hash_ids": [0, 7, 8]}\n{"timestamp": 1250, "input_length": 512, "output_length": 6, "hash_ids": [0]}\n'
LLMSERVINGSIM = '{"input_toks": 100, "output_toks": 20, "arrival_time_ns": 1000000000}\n{"input_toks": 30, "output_toks": 4, "arrival_time_ns": 1500000000, "input_tok_ids": [1, 2]}\n'
SESSION = '{"session_id": "a", "arrival_time_ns": 2000000000, "sub_requests": [{"input_toks": 50, "output_toks": 5, "tool_duration_ns": 3000000000}, {"input_toks": 90, "output_toks": 9, "tool_duration_ns": 0}]}\n'
WEKA = {
    "id": "t", "block_size": 64, "requests": [
        {"t": 0.0, "type": "n", "in": 130, "out": 10, "hash_ids": [1, 2, 3], "api_time": 2.0, "think_time": 0.0},
        {"t": 3.0, "type": "subagent", "requests": [{"t": 0.0, "in": 5, "out": 5}, {"t": 1.0, "in": 5, "out": 5}]},
        {"t": 9.0, "type": "s", "in": 200, "out": 20, "hash_ids": [1, 2, 4], "api_time": 1.0, "think_time": 7.0},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "format_", "expected"),
    [
        (BURSTGPT, "burstgpt", [(0.0, 472, 18), (113.0, 417, 276)]),
        (BURSTGPT_3, "burstgpt", [(0.0, 906, 446), (2.5, 36, 29)]),
        (VIDUR, "vidur", [(0.0, 374, 44), (0.25, 396, 109)]),
        (SPLITWISE, "splitwise", [(0.0, 37, 125), (0.5, 99, 7)]),
        (MOONCAKE, "mooncake", [(0.0, 1100, 5), (0.25, 512, 6)]),
        (LLMSERVINGSIM, "llmservingsim", [(0.0, 100, 20), (0.5, 30, 4)]),
        (json.dumps(WEKA), "weka", [(0.0, 130, 10), (9.0, 200, 20)]),
        (json.dumps(WEKA, indent=1), "weka", [(0.0, 130, 10), (9.0, 200, 20)]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_are_known_by_their_content_packed_or_not(
    tmp_path: Path, text: str, format_: str, expected: list[Any], packed: bool
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert Trace.model_validate({"path": str(path)}).found_format == format_
    assert rows(str(path)) == expected
    assert rows(str(path), format=format_) == expected


def test_mooncakes_blocks_are_pieces_of_512_tokens_the_last_of_what_is_left(tmp_path: Path) -> None:
    first, second = Trace.model_validate({"path": write(tmp_path, MOONCAKE)}).rows()
    assert first[3] == ((0, 512), (7, 512), (8, 76))
    assert second[3] == ((0, 512),)


def test_wekas_blocks_are_of_64_tokens_and_sessions_share_none(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    for name in ("a.json", "b.json"):
        (folder / name).write_text(json.dumps(WEKA))
    one, other = Trace.model_validate({"path": str(folder)}).sessions()
    assert [length for _, length in one.steps[0].pieces] == [64, 64, 2]
    assert one.steps[0].pieces[:2] == one.steps[1].pieces[:2]
    assert not {identity for identity, _ in one.steps[0].pieces} & {
        identity for identity, _ in other.steps[0].pieces
    }
    assert [step.gap_s for step in one.steps] == [0.0, 7.0]
    archive = tmp_path / "sessions.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "x")
    assert [
        len(session.steps) for session in Trace.model_validate({"path": str(archive)}).sessions()
    ] == [2, 2]


def test_sessions_of_llmservingsim_wait_for_answers_and_tools(tmp_path: Path) -> None:
    trace = Trace.model_validate({"path": write(tmp_path, SESSION)})
    (session,) = trace.sessions()
    assert session.start_s == 2.0
    assert [step[:3] for step in session.steps] == [(0.0, 50, 5), (3.0, 90, 9)]
    with pytest.raises(
        ScenarioError,
        match=":1: is a session with requests that wait for answers; expected replay: sessions",
    ):
        list(trace.rows())
    with pytest.raises(
        ScenarioError, match="has format vidur and does not link the requests of conversations"
    ):
        list(Trace.model_validate({"path": write(tmp_path, VIDUR)}).sessions())


# --- ServeGen: clients from which rows are drawn
# --------------------------------------------------------------------------


def clients(tmp_path: Path, windows: str, tables: dict[str, Any] | None = None) -> str:
    folder = tmp_path / "clients"
    folder.mkdir()
    (folder / "chunk-0-trace.csv").write_text(windows)
    if tables != {}:
        (folder / "chunk-0-dataset.json").write_text(
            json.dumps(
                tables
                or {"0": {"input_tokens": "{100: 0.5, 300: 0.5}", "output_tokens": "{7: 1.0}"}}
            )
        )
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "shape"), [("Gamma", 0.25), ("Weibull", 0.5430)])
def test_servegens_clients_have_the_rate_and_the_variation_of_their_windows(
    tmp_path: Path, family: str, shape: float
) -> None:
    """Gamma of shape 1/4 and Weibull of shape 0.543 have a CV of 2; 600 windows at 2 a second give
    720,000 arrivals.
    """
    path = clients(
        tmp_path,
        "".join(f"{600 * window},2.0,2.0,{family},{shape},99.0\n" for window in range(600)),
    )
    times_s, prompts, outputs = (np.array(column) for column in zip(*rows(path), strict=True))
    assert len(times_s) == pytest.approx(720_000, abs=4 * 2 * 720_000**0.5)
    assert np.std(np.diff(times_s)) / np.mean(np.diff(times_s)) == pytest.approx(2.0, rel=0.02)
    assert np.mean(prompts) == pytest.approx(200, rel=0.01)
    assert set(outputs.tolist()) == {7}


def test_servegens_windows_follow_each_other_and_start_is_on_their_clock(tmp_path: Path) -> None:
    path = clients(tmp_path, "0,0,0,,0,0\n600,5.0,1.0,Gamma,1.0,0.2\n1200,10.0,,,,\n")
    assert {int(time_s // 600) for time_s, _, _ in rows(path)} == {1, 2}
    later = [time_s for time_s, _, _ in rows(path, start="20 min")]
    assert len(later) == pytest.approx(6000, abs=4 * 6000**0.5)
    assert 0.0 <= later[0] < 2.0
    assert rows(path, limit=50) == rows(path)[:50]


def test_parts_of_a_multimodal_prompt_are_added(tmp_path: Path) -> None:
    tables = {
        "0": {
            "text_tokens": "{10: 1.0}",
            "image_tokens": "{1000: 1.0}",
            "output_tokens": "{3: 1.0}",
        }
    }
    assert {row[1:] for row in rows(clients(tmp_path, "0,1.0,1.0,Gamma,1.0,1.0\n", tables))} == {
        (1010, 3)
    }


@pytest.mark.parametrize(
    ("windows", "tables", "said"),
    [
        (
            "0,1.0,1.0,Gamma,1.0,1.0\n",
            {},
            "has no chunk-0-dataset.json with the lengths of that client",
        ),
        (
            "0,1.0,1.0,Gamma,1.0,1.0\n600,x,1.0,Gamma,1.0,1.0\n",
            None,
            "chunk-0-trace.csv:2: got '600,x,1.0,Gamma,1.0,1.0'; expected start, rate, cv, Gamma or Weibull, shape, scale",
        ),
        (
            "0,1.0,1.0,Gamma,1.0,1.0\n",
            {"0": {"input_tokens": "{x: 1}", "output_tokens": "{1: 1}"}},
            "chunk-0-dataset.json: got '",
        ),
    ],
)
def test_clients_that_are_wrong_are_told(
    tmp_path: Path, windows: str, tables: Any, said: str
) -> None:
    with pytest.raises(ScenarioError) as error:
        tallied(clients(tmp_path, windows, tables))
    assert said in str(error.value)


@pytest.mark.parametrize("packing", ["gz", "xz", "bz2"])
def test_an_archive_with_flipped_bits_is_refused_by_name(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"t.tar.{packing}"
    (tmp_path / "t.json").write_text(json.dumps(WEKA | {"id": "x" * 5000}))
    with tarfile.open(path, f"w:{packing}") as archive:  # type: ignore[call-overload]
        archive.add(tmp_path / "t.json", "t.json")
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content) // 2):
        content[place] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=r"t\.tar"):
        rows(str(path))


def test_a_packed_trace_with_flipped_bits_is_refused_by_name(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(seconds(*range(40)).encode(), mtime=0))
    for place in range(20, 60):
        content[place] ^= 0x55
    (tmp_path / "t.csv.gz").write_bytes(content)
    with pytest.raises(ScenarioError, match=r"t\.csv\.gz: cannot be read: "):
        rows(str(tmp_path / "t.csv.gz"))


# --- what is done with rows of any format
# ----------------------------------------------------------------------------------


def test_failures_and_empty_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    tally = tallied(write(tmp_path, BURSTGPT))
    assert (tally.rows, tally.failed, tally.empty) == (3, 1, 0)
    assert list(tally.said()) == [
        "not used: Model, Total tokens, Log Type",
        "1 of 3 rows are omitted: they are failures without an answer",
    ]
    tally = tallied(
        write(
            tmp_path,
            HEADING + "2024-01-01 00:00:01,5,0\n2024-01-01 00:00:01,0,6\n2024-01-01 00:00:02,5,6\n",
        )
    )
    assert (tally.rows, tally.failed, tally.empty) == (3, 0, 2)
    assert list(tally.said()) == ["2 of 3 rows are omitted: they have no prompt or no answer"]


def test_rows_that_are_late_are_put_in_their_place_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, seconds(3.0, 1.0, 2.0, 4.0))
    assert rows(path) == [(0.0, 2, 2), (1.0, 3, 2), (2.0, 1, 2), (3.0, 4, 2)]
    assert list(tallied(path).said()) == [
        "2 of 4 rows are earlier than a row above and were sorted"
    ]


def test_a_row_that_is_very_late_is_a_fault_with_its_line(tmp_path: Path) -> None:
    stamps = "".join(f"{number},1,1\n" for number in range(30_000))
    path = write(tmp_path, "arrived_at,num_prefill_tokens,num_decode_tokens\n" + stamps + "5,1,1\n")
    with pytest.raises(
        ScenarioError,
        match=r"trace\.csv:30002: is \d+\.000 s earlier than a row 8,192 rows above; expected rows nearly in order of time",
    ):
        tallied(path)


@pytest.mark.parametrize(
    ("order", "fault"),
    [
        (range(30_000)[::-1], r"got rows newest first; .*\| tac\) > sorted\.csv"),
        (
            np.random.default_rng(1).permutation(30_000),
            r"got rows that are not sorted; .*\| sort -t, -k1,1g\) > sorted\.csv",
        ),
    ],
    ids=["newest first", "shuffled"],
)
@pytest.mark.parametrize(
    "keys", [{}, {"limit": 100}, {"start": "9 s", "limit": 9, "dejitter": "1 ms"}]
)
def test_more_rows_than_are_kept_back_are_refused_where_they_run_backwards_or_are_shuffled(
    tmp_path: Path, order: Any, fault: str, keys: dict[str, Any]
) -> None:
    heading = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
    path = write(tmp_path, heading + "".join(f"{number},1,1\n" for number in order))
    with pytest.raises(ScenarioError, match=r"csv:\d+: " + fault) as refused:
        rows(path, **keys)
    command = str(refused.value).partition("sort the file by arrived_at: ")[2]
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert rows(str(tmp_path / "sorted.csv"), limit=2) == [(0.0, 1, 1), (1.0, 1, 1)]


def test_up_to_8192_rows_are_read_in_any_order(tmp_path: Path) -> None:
    heading = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
    numbers = range(8192)
    for order in ([*numbers[::-1]], [*numbers[::2], *numbers[1::2]]):
        path = write(tmp_path, heading + "".join(f"{number},{number + 1},1\n" for number in order))
        assert [prompt for _, prompt, _ in rows(path)] == list(range(1, 8193))
    path = write(tmp_path, heading + "".join(f"{number},1,1\n" for number in numbers[::-1]))
    assert len(rows(path, dejitter="1 ms")) == 8192


def test_json_lines_out_of_order_are_sorted_by_jq(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    order = np.random.default_rng(1).permutation(13_000).tolist()
    path.write_text(
        "".join(f'{{"timestamp": {n}, "input_length": 9, "output_length": 9}}\n' for n in order)
    )
    with pytest.raises(
        ScenarioError, match=r"timestamp: jq -s -c 'sort_by\(\.\"timestamp\"\)\[\]'"
    ):
        rows(str(path), limit=3)


def test_start_leaves_out_what_is_before_it(tmp_path: Path) -> None:
    assert rows(write(tmp_path, seconds(0.0, 5.0, 10.0, 12.0)), start="6 s") == [
        (4.0, 3, 2),
        (6.0, 4, 2),
    ]


def test_a_start_behind_the_last_request_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, seconds(0.0, 5.0, 10.0))
    with pytest.raises(
        ScenarioError,
        match="got a start of 11 s; expected a time before the last request, which is 10 s",
    ):
        rows(path, start="11 s")


def test_a_sample_keeps_its_share_and_the_times(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "arrived_at,num_prefill_tokens,num_decode_tokens\n"
        + "".join(f"{number},{number + 1},1\n" for number in range(20_000)),
    )
    kept = rows(path, sample=0.25)
    assert len(kept) == pytest.approx(5000, abs=4 * (20_000 * 0.25 * 0.75) ** 0.5)
    assert all(time_s == prompt - 1 for time_s, prompt, _ in kept)
    assert rows(path, sample=0.25, limit=7, speedup=2.0) == [
        (time_s / 2, *rest) for time_s, *rest in kept[:7]
    ]


def test_ticks_are_spread_within_the_tick_and_come_in_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "arrived_at,num_prefill_tokens,num_decode_tokens\n"
        + "".join(f"{3 * (number // 10)},{number + 1},1\n" for number in range(50_000)),
    )
    spread = rows(path, dejitter="3 s")
    times_s, prompts = (
        np.array(column) for column in zip(*[row[:2] for row in spread], strict=True)
    )
    assert np.all(np.diff(times_s) >= 0.0)
    assert sorted(prompts.tolist()) == list(range(1, 50_001))
    since_tick_s = times_s - times_s[0] + 0.3 - 3 * ((prompts - 1) // 10)
    assert np.ptp(since_tick_s) == pytest.approx(3.0, abs=0.01)


def test_a_trace_is_read_as_it_is_asked_for(tmp_path: Path) -> None:
    """Of a trace whose end is malformed the beginning can be had: what is read does not wait for
    the rest.
    """
    path = write(
        tmp_path,
        "arrived_at,num_prefill_tokens,num_decode_tokens\n"
        + "".join(f"{number},1,1\n" for number in range(100_000))
        + "x\n",
    )
    assert len(list(islice(Trace.model_validate({"path": path}).rows(), 50_000))) == 50_000
    with pytest.raises(ScenarioError, match=":100002: got 'x'"):
        tallied(path)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_trace(tmp_path: Path) -> None:
    """Arrow reads 2 MB ahead, which both files have."""
    peaks = []
    for count in (240_000, 720_000):
        path = write(
            tmp_path,
            "arrived_at,num_prefill_tokens,num_decode_tokens\n"
            + "".join(f"{number},1,1\n" for number in range(count)),
        )
        tracemalloc.start()
        for _ in Trace.model_validate({"path": path}).rows():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


NO_FORMAT = (
    ":1: has no known format: got {}; expected columns: {{arrival: …, prompt: …, output: …}}, or a known format ("
    + ", ".join(name for name in FORMATS if name != "table")
    + ")"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; expected a trace with a heading and rows"),
        (HEADING, "has no requests"),
        (HEADING + "2024-01-01 00:00:01,5,6\nyesterday,5,6\n", ":3: got 'yesterday,5,6'; expected TIMESTAMP,ContextTokens,GeneratedTokens"),
        (HEADING + "2024-01-01 00:00:01,5\n", ":2: got '2024-01-01 00:00:01,5'; expected TIMESTAMP,ContextTokens,GeneratedTokens (2 fields, but the heading has 3)"),
        (HEADING + "2024-01-01 00:00:01,5,six\n", ":2: got '2024-01-01 00:00:01,5,six'; expected TIMESTAMP,ContextTokens,GeneratedTokens (GeneratedTokens is 'six': not a number)"),
        (HEADING + "\n2024-01-01 00:00:01,-5,3\n", ":3: got '2024-01-01 00:00:01,-5,3'; expected TIMESTAMP,ContextTokens,GeneratedTokens (ContextTokens is '-5': negative)"),
        ("a,b\n1,2\n", NO_FORMAT.format("columns a, b")),
        ('{"x": 1}\n', NO_FORMAT.format("keys x")),
        (BURSTGPT + "x,GPT-4,1,1,2,API log\n", ":5: got 'x,GPT-4,1,1,2,API log'; expected Timestamp,Request tokens,Response tokens"),
        (VIDUR + "inf,1,1\n", ":4: got 'inf,1,1'; expected arrived_at,num_prefill_tokens,num_decode_tokens"),
        (MOONCAKE + "{}\n", """:3: got '{}'; expected {"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [numbers]}"""),
        (MOONCAKE + MOONCAKE.splitlines()[0].replace("1100", "400"), ":3: got 3 blocks for 400 tokens; expected blocks of 512 tokens, or another block_tokens"),
        (LLMSERVINGSIM + "[]\n", """:3: got '[]'; expected {"arrival_time_ns": ns, "input_toks": tokens, "output_toks": tokens}"""),
        ('{"requests": [{"t": 0, "in": "x", "out": 1}]}', ':1: got \'{"requests": [{"t": 0, "in": "x", "out": 1}]}\'; expected {"requests": [{"t": s, "in": tokens, "out": tokens, "hash_ids": [numbers]}], "block_size": tokens}'),
    ],
)  # fmt: skip
def test_a_trace_that_is_wrong_names_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ScenarioError) as error:
        tallied(path)
    assert str(error.value) == (path + said if said.startswith(":") else f"{path}: {said}")


def test_a_format_that_is_given_is_insisted_on(tmp_path: Path) -> None:
    path = write(tmp_path, "TIMESTAMP,Context\n")
    with pytest.raises(ScenarioError) as error:
        tallied(path, format="azure")
    assert (
        str(error.value)
        == f"{path}:1: has no column ContextTokens, GeneratedTokens; got columns TIMESTAMP, Context; expected TIMESTAMP,ContextTokens,GeneratedTokens, or no format and columns: {{arrival: TIMESTAMP, prompt: Context, output: …}}"
    )


@pytest.mark.parametrize("replay", ["timestamps", "sessions"])
def test_years_without_a_request_are_said(tmp_path: Path, replay: str) -> None:
    """A record that lacks its time, and so begins in 1970: a year of 365 days, twice."""
    row = '{{"chat_id": {0}, "parent_chat_id": -1, "timestamp": {1}, "input_length": 5, "output_length": 5}}\n'
    year_s = 365 * 86_400
    for gap_s, is_said in ((2 * year_s, True), (86_400, False)):
        path = write(tmp_path, row.format(1, 0) + row.format(2, 1) + row.format(3, 1 + gap_s))
        said = " ".join(Trace.model_validate({"path": path, "replay": replay}).check().said())
        assert ("the trace has a gap of 730 days without a request" in said) == is_said
