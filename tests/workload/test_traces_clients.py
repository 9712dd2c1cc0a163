"""Outputs of benchmark clients, ShareGPT's texts and BLIS' tables, read as traces."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cluster_sim import simulate
from cluster_sim.errors import ScenarioError
from cluster_sim.workload.sessions import replayed_scripts
from cluster_sim.workload.traces import RecordedSession, Tally, Trace, find_trace
from tests.scenarios import make_scenario


def written(folder: Path, *values: Any, name: str = "t.json") -> str:
    """Path of a file that holds these JSON values, one on each line."""
    path = folder / name
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return str(path)


def rows(path: str, tally: Tally | None = None, **keys: Any) -> list[tuple[Any, ...]]:
    trace = Trace.model_validate({"path": path, "replay": "timestamps"} | keys)
    return [row[:3] for row in trace.rows(tally=tally)]


def sessions(path: str, tally: Tally | None = None, **keys: Any) -> list[RecordedSession]:
    return list(Trace.model_validate({"path": path} | keys).replayed_sessions(tally=tally))


def fault(path: str, **keys: Any) -> str:
    with pytest.raises(ScenarioError) as told:
        rows(path, **keys)
    return str(told.value)


# AIPerf


def record(start_ns: int, end_ns: int, prompt: int, output: int, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "request_start_ns": start_ns,
            "request_end_ns": end_ns,
            "benchmark_phase": "profiling",
            "was_cancelled": False,
        }
        | metadata,
        "metrics": {
            "input_sequence_length": {"value": prompt, "unit": "tokens"},
            "output_sequence_length": {"value": output, "unit": "tokens"},
            "request_latency": {"value": 1.0, "unit": "ms"},
        },
        "error": None,
    }


SINCE_1970_NS = 1_760_700_477_122_432_659


def test_records_of_aiperf_keep_their_nanoseconds_and_come_in_order_of_time(tmp_path: Path) -> None:
    """Records are written when requests end: the second was sent 1 us before the first."""
    path = written(
        tmp_path,
        record(SINCE_1970_NS + 1_000, SINCE_1970_NS + 5_000, 10, 3),
        record(SINCE_1970_NS, SINCE_1970_NS + 9_000, 20, 4),
    )
    tally = Tally()
    found = rows(path, tally)
    assert [row[1:] for row in found] == [(20, 4), (10, 3)]
    assert found[1][0] == pytest.approx(1e-6, abs=1e-9)
    assert tally.unused == ["request_latency"]
    assert not Trace(path=path).links_turns


def test_records_of_aiperf_take_another_unit(tmp_path: Path) -> None:
    path = written(tmp_path, record(1, 2, 7, 5), record(3, 4, 7, 5))
    assert rows(path, time_unit="ms")[1][0] == 0.002


def test_warm_up_failures_and_cancelled_requests_of_aiperf_are_counted(tmp_path: Path) -> None:
    failed = record(4, 5, 1, 1) | {"error": {"code": 500}, "metrics": {}}
    path = written(
        tmp_path,
        record(1, 2, 1, 1, benchmark_phase="warmup"),
        record(2, 3, 7, 5),
        failed,
        record(5, 6, 1, 1, was_cancelled=True),
    )
    tally = Tally()
    assert rows(path, tally) == [(0.0, 7, 5)]
    assert (tally.warmup, tally.failed, tally.rows) == (1, 2, 4)
    assert "1 of 4 rows are omitted: they are the client's warm-up" in list(tally.said())


def test_older_records_of_aiperf_call_the_answer_output_token_count(tmp_path: Path) -> None:
    older = record(1, 2, 7, 5)
    older["metrics"]["output_token_count"] = older["metrics"].pop("output_sequence_length")
    assert rows(written(tmp_path, older)) == [(0.0, 7, 5)]


def test_turns_of_aiperf_wait_for_the_answer_as_they_did(tmp_path: Path) -> None:
    """A turn 3 s after an answer of 2 s; another conversation alone in between."""
    path = written(
        tmp_path,
        record(1_000_000_000, 3_000_000_000, 10, 4, x_correlation_id="a", turn_index=0),
        record(2_000_000_000, 9_000_000_000, 50, 6, x_correlation_id="b", turn_index=0),
        record(6_000_000_000, 8_000_000_000, 30, 5, x_correlation_id="a", turn_index=1),
    )
    first, second = sessions(path)
    assert [step.gap_s for step in first.steps] == [0.0, 3.0]
    assert [step.prompt_tokens for step in first.steps] == [10, 30]
    assert (second.start_s, len(second.steps)) == (1.0, 1)
    assert not first.adds


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"request_start_ns": 1.5, "request_end_ns": 2}},
        {"metadata": {}},
        {"metrics": {"input_sequence_length": {"value": 1}}},
        {
            "metrics": {
                "input_sequence_length": {"value": -1},
                "output_sequence_length": {"value": 1},
            }
        },
        {"metrics": 5},
    ],
)
def test_a_record_of_aiperf_that_is_malformed_names_its_line(
    change: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path, record(1, 2, 7, 5), record(3, 4, 7, 5) | change)
    assert fault(path).startswith(f"{path}:2: got ")


# vllm bench serve


def result(**changes: Any) -> dict[str, Any]:
    return {
        "request_throughput": 1.0,
        "duration": 3.0,
        "completed": 2,
        "input_lens": [10, 20, 30],
        "output_lens": [1, 2, 0],
        "start_times": [5110.5, 5110.0, 5111.0],
        "ttfts": [0.1, 0.1, 0.0],
        "errors": ["", "", "closed"],
    } | changes


def test_a_detailed_result_of_vllm_is_replayed_without_its_failures(tmp_path: Path) -> None:
    tally = Tally()
    path = written(tmp_path, result(max_concurrency=8))
    assert rows(path, tally) == [(0.0, 20, 2), (0.5, 10, 1)]
    assert (tally.failed, tally.rows) == (1, 3)
    assert tally.unused == ["ttfts"]
    assert "at most 8 requests ran concurrently" in tally.notes[0]


def test_a_result_of_vllm_without_lists_says_how_to_get_them(tmp_path: Path) -> None:
    lists = ("input_lens", "output_lens", "start_times", "ttfts", "errors")
    brief = {key: value for key, value in result().items() if key not in lists}
    assert "run it with --save-detailed" in fault(written(tmp_path, brief))


def test_an_old_result_of_vllm_says_which_writes_start_times(tmp_path: Path) -> None:
    old = {key: value for key, value in result().items() if key != "start_times"}
    assert "pull request 32667 (January 2026)" in fault(written(tmp_path, old))


def test_lists_of_vllm_that_differ_in_length_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, result(input_lens=[1, 2]))
    assert fault(path) == (
        f"{path}: has lists of different lengths (input_lens 2, output_lens 3, start_times 3, errors 3); expected one entry per request"
    )


def test_several_results_of_vllm_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, result(), result())
    assert "has 2 results (--append-result); expected one: split the file" in fault(path)


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"input_lens": [1, 2, "x"]}, 3),
        ({"start_times": [1.0, None, 2.0]}, 2),
        ({"output_lens": [1, -2, 0]}, 2),
    ],
)
def test_lists_of_vllm_that_are_no_requests_are_refused_at_the_first_that_is_none(
    change: dict[str, Any], number: int, tmp_path: Path
) -> None:
    path = written(tmp_path, result(**change))
    assert fault(path).startswith(f"{path}, request {number}: got ")


def test_errors_of_vllm_that_are_no_list_are_refused(tmp_path: Path) -> None:
    """A text in their place would let failures be replayed."""
    path = written(tmp_path, result(errors="timeout"))
    assert fault(path) == (
        f"{path}: has errors that are not a list; expected one entry per request"
    )


def test_records_of_a_phase_of_aiperf_that_is_not_known_are_replayed_with_a_note(
    tmp_path: Path,
) -> None:
    records = [record(n, n + 1, 10, 1, benchmark_phase=phase) for n, phase in enumerate(("profiling", "cooldown"), 1)]  # fmt: skip
    tally = Trace(path=written(tmp_path, *records)).check()
    assert tally.rows == 2
    assert (
        "records of the unknown benchmark_phase 'cooldown' are replayed like those of profiling"
        in tally.notes
    )


# GuideLLM


def generated(
    start_s: float, end_s: float, prompt: int, output: int, **info: Any
) -> dict[str, Any]:
    return {
        "info": {"timings": {"request_start": start_s, "request_end": end_s}} | info,
        "input_metrics": {"text_tokens": prompt},
        "output_metrics": {"text_tokens": output},
    }


def report(*successful: Any, **others: Any) -> dict[str, Any]:
    requests = {"successful": list(successful), "errored": [], "incomplete": []} | others
    return {"metadata": {"version": 2}, "benchmarks": [{"requests": requests}]}


def test_requests_of_guidellm_come_when_they_began(tmp_path: Path) -> None:
    """Lengths may stand in metrics alone; what failed or was cut off is counted."""
    path = written(
        tmp_path,
        report(
            generated(1760001012.5, 1760001014.0, 10, 3),
            generated(1760001011.0, 1760001019.0, 20, 4) | {"prompt_tokens": 21},
            errored=[{}],
            incomplete=[{}, {}],
        ),
    )
    tally = Tally()
    assert rows(path, tally) == [(0.0, 21, 4), (1.5, 10, 3)]
    assert (tally.failed, tally.rows) == (3, 5)


def test_old_reports_of_guidellm_have_start_times(tmp_path: Path) -> None:
    old = {"start_time": 5.0, "end_time": 6.0, "prompt_tokens": 10, "output_tokens": 3}
    newer = old | {"start_time": 5.25}
    assert rows(written(tmp_path, report(old, newer))) == [(0.0, 10, 3), (0.25, 10, 3)]


def test_turns_of_guidellm_wait_for_answers(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        report(
            generated(10.0, 12.0, 10, 3, conversation_id="c", turn_index=0),
            generated(12.5, 14.0, 40, 4, conversation_id="c", turn_index=1),
        ),
    )
    (only,) = sessions(path)
    assert [step.gap_s for step in only.steps] == [0.0, 0.5]


def test_a_sweep_of_guidellm_is_refused_with_its_rates(tmp_path: Path) -> None:
    rate = {"metrics": {"requests_per_second": {"successful": {"mean": 2.5}}}}
    document = report(generated(1.0, 2.0, 1, 1))
    document["benchmarks"] = [document["benchmarks"][0], document["benchmarks"][0] | rate]
    assert "has 2 benchmarks (rate unknown, 2.5 requests/s); expected one" in fault(
        written(tmp_path, document)
    )


def test_a_request_of_guidellm_that_is_malformed_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, report(generated(1.0, 2.0, 1, 1), {"info": {}}))
    assert fault(path).startswith(f"{path}, request 2 of successful: got ")


# inference-perf


def test_requests_of_inference_perf_are_read_in_both_spellings(tmp_path: Path) -> None:
    nested = {
        "request_metrics": {"text": {"input_tokens": 20}},
        "response_metrics": {"output_tokens": 4},
    }
    lifecycle = [
        {"start_time": 12.5, "end_time": 13.0, "info": nested, "error": None},
        {"start_time": 12.0, "end_time": 13.0, "info": None, "error": {"error_type": "x"}},
        {
            "start_time": 11.0,
            "end_time": 12.0,
            "info": {"input_tokens": 10, "output_tokens": 3},
            "error": None,
        },
    ]
    tally = Tally()
    path = written(tmp_path, lifecycle)
    assert rows(path, tally) == [(0.0, 10, 3), (1.5, 20, 4)]
    assert (tally.failed, tally.rows) == (1, 3)
    assert Trace(path=path).found_format == "inference-perf"


def test_a_summary_of_inference_perf_points_to_its_requests(tmp_path: Path) -> None:
    path = written(tmp_path, {"load_summary": {}, "successes": {}, "failures": {}})
    assert "per_request_lifecycle_metrics.json in the same folder" in fault(path)


def test_a_profile_of_perf_analyzer_points_to_aiperf(tmp_path: Path) -> None:
    path = written(tmp_path, {"service_kind": "openai", "experiments": []})
    assert "which does not count tokens; expected profile_export.jsonl of AIPerf" in fault(path)


# ShareGPT

TALK = [
    {"from": "system", "value": "be brief"},
    {"from": "gpt", "value": "hello there"},
    {"from": "human", "value": "one two three four"},
    {"from": "gpt", "value": "five six"},
    {"from": "human", "value": "seven"},
    {"from": "gpt", "value": "eight nine ten"},
    {"from": "human", "value": "nobody answers"},
]
POISSON = {"process": "poisson", "rate": "2 /s"}


def test_words_become_tokens_and_turns_add_to_their_conversation(tmp_path: Path) -> None:
    """The first prompt has 2 words of the system before its 4, at 1.5 tokens: 9; one word is 2."""
    path = written(tmp_path, [{"conversations": TALK}])
    tally = Tally()
    (only,) = sessions(path, tally, arrivals=POISSON, tokens_per_word=1.5)
    assert [(step.prompt_tokens, step.output_tokens) for step in only.steps] == [(9, 3), (2, 4)]
    assert [step.gap_s for step in only.steps] == [0.0, 0.0]
    contexts = [turn.prompt_tokens for script in replayed_scripts(iter([only])) for turn in script]
    assert contexts == [9, 9 + 3 + 2]
    assert tally.notes == [
        "1 messages of users without an answer are omitted",
        "1 answers without a question are omitted",
        "the file has no pauses: a later turn of a conversation starts when the previous answer ends",
    ]


def test_a_word_is_at_least_a_token_and_an_empty_text_is_none(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b c"}]},
        {"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "b"}]},
    )
    tally = Tally()
    found = rows(path, tally, arrivals=POISSON, tokens_per_word=0.1)
    assert [row[1:] for row in found] == [(1, 1)]
    assert (tally.empty, tally.rows) == (1, 2)


def test_texts_at_timestamps_are_requests_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path, [{"conversations": TALK}])
    tally = Tally()
    found = rows(path, tally, arrivals=POISSON, tokens_per_word=1)
    assert [row[1:] for row in found] == [(6, 2), (1, 3)]
    assert any("without the history of its conversation" in note for note in tally.notes)
    assert 0.0 < found[0][0] < found[1][0]


def test_conversations_start_by_the_seed_until_arrivals_end(tmp_path: Path) -> None:
    path = written(tmp_path, [{"conversations": TALK}] * 3)
    keys = {"path": path, "arrivals": POISSON | {"requests": 2}, "tokens_per_word": 1}
    trace, tally = Trace.model_validate(keys), Tally()
    starts_s = [session.start_s for session in trace.replayed_sessions(1, tally)]
    assert len(starts_s) == 2
    assert starts_s == [session.start_s for session in trace.replayed_sessions(1)]
    assert starts_s != [session.start_s for session in trace.replayed_sessions(2)]
    assert "1 conversations are not sent: the arrivals end before them" in tally.notes


def test_texts_without_arrivals_and_tokens_say_what_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path, [{"conversations": TALK}], name="talk.json")
    assert fault(path) == (
        f"{path}: has texts without times and numbers of tokens; expected in a scenario workload: {{trace: {{path: talk.json, arrivals: {{process: poisson, rate: 2 /s}}, tokens_per_word: 1.3}}}}"
    )
    assert "without times;" in fault(path, tokens_per_word=1.3)
    assert "without numbers of tokens;" in fault(path, arrivals=POISSON)
    closed = {"process": "closed_loop", "concurrency": 3}
    assert "closed_loop arrivals wait" in fault(path, arrivals=closed, tokens_per_word=1.3)


def test_a_trace_with_times_takes_no_arrivals(tmp_path: Path) -> None:
    path = written(tmp_path, record(1, 2, 7, 5))
    assert "which has times and numbers of tokens; got arrivals and tokens_per_word" in fault(
        path, arrivals=POISSON, tokens_per_word=1.3
    )


def test_arrivals_beside_a_trace_of_texts_start_its_conversations(tmp_path: Path) -> None:
    path = written(tmp_path, [{"conversations": TALK}] * 4)
    texts = {"path": path, "tokens_per_word": 1.5}
    within = make_scenario(workload={"trace": texts | {"arrivals": POISSON}}, duration=None)
    beside = make_scenario(workload={"trace": texts, "arrivals": POISSON}, duration=None)
    assert within.workload == beside.workload
    results = simulate(beside)
    assert results.requests["prompt_tokens"].to_pylist().count(9) == 4
    assert results.requests["prompt_tokens"].to_pylist().count(14) == 4


def test_texts_feed_sessions_of_clients(tmp_path: Path) -> None:
    """With `workload.sessions`, conversations start as clients are free: no arrivals are needed."""
    path = written(tmp_path, [{"conversations": TALK}])
    trace = {"path": path, "tokens_per_word": 1.5}
    scenario = make_scenario(workload={"sessions": {"trace": trace, "concurrency": 2}})
    assert set(simulate(scenario).requests["prompt_tokens"].to_pylist()) == {9, 14}


def test_a_tokenizer_counts_in_place_of_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the package, whose tokens are characters."""
    module = ModuleType("tokenizers")

    class Tokenizer:
        @staticmethod
        def from_file(path: str) -> Tokenizer:
            return Tokenizer()

        def encode(self, text: str, add_special_tokens: bool) -> SimpleNamespace:
            assert not add_special_tokens
            return SimpleNamespace(ids=list(text))

    module.Tokenizer = Tokenizer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tokenizers", module)
    (tmp_path / "tokenizer.json").write_text("{}")
    path = written(tmp_path, [{"conversations": TALK[4:6]}])
    (only,) = sessions(path, arrivals=POISSON, tokenizer=str(tmp_path / "tokenizer.json"))
    assert [step[1:3] for step in only.steps] == [(len("seven"), len("eight nine ten"))]
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    said = fault(path, arrivals=POISSON, tokenizer=str(tmp_path / "tokenizer.json"))
    assert "pip install 'cluster-sim[tokenizers]'" in said
    with pytest.raises(ValueError, match="expected one of them"):
        Trace.model_validate({"path": path, "tokenizer": path, "tokens_per_word": 1.0})
    with pytest.raises(ValueError, match=r"no file 'nowhere\.json'; expected a tokenizer\.json"):
        Trace.model_validate({"path": path, "tokenizer": "nowhere.json"})


@pytest.mark.parametrize(
    "row",
    [
        {"id": "x"},
        {"conversations": [{"from": "human"}]},
        {"conversations": [{"from": "human", "value": 5}]},
    ],
)
def test_a_conversation_that_is_malformed_names_its_line(
    row: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path, {"conversations": TALK}, row)
    assert fault(path, arrivals=POISSON, tokens_per_word=1.3).startswith(f"{path}:2: got ")


# BLIS

BLIS = "request_id,session_id,round_index,prefix_group,prefix_length,input_tokens,output_tokens,arrival_time_us,send_time_us,last_chunk_time_us,status"


def blis(folder: Path, *lines: str, header: str | None = "", heading: str = BLIS) -> str:
    path = folder / "trace.csv"
    path.write_text("\n".join([heading, *lines]) + "\n")
    if header is not None:
        (folder / "trace.yaml").write_text("trace_version: 3\ntime_unit: microseconds\n" + header)
    return str(path)


PREFIXED = (
    "0,,0,sys,64,100,5,1000,1000,5000,ok",
    "1,,0,sys,64,200,6,1500,1500,6000,ok",
    "2,,0,,0,300,7,2500,2500,6000,",
    "3,,0,other,64,100,5,2600,2600,6000,ok",
    "4,,0,,0,400,0,2700,2700,2700,timeout",
)
"""Two rows of one group share a prefix of 64 tokens, and one of another has another."""


@pytest.mark.parametrize(
    ("header", "keys", "more", "said"),
    [
        ("mode: real\n", {}, 0, "input_tokens is read as including the prefix"),
        ("mode: generated\n", {}, 64, "BLIS writes simulated requests in this way"),
        ("mode: real\n", {"prefix": "in_front"}, 64, "the scenario says so"),
        ("mode: generated\n", {"prefix": "included"}, 0, "the scenario says so"),
    ],
)
def test_a_prefix_is_shared_and_included_or_in_front(
    header: str, keys: dict[str, str], more: int, said: str, tmp_path: Path
) -> None:
    tally = Tally()
    trace = find_trace(blis(tmp_path, *PREFIXED, header=header), **keys)
    found = list(trace.rows(tally=tally))
    prompts = [(100 + more, 5), (200 + more, 6), (300, 7), (100 + more, 5)]
    assert [row[1:3] for row in found] == prompts
    assert [row[0] for row in found] == pytest.approx([0.0, 0.0005, 0.0015, 0.0016], abs=1e-9)
    assert found[0][3] == found[1][3] != found[3][3]
    assert [length for _, length in found[0][3]] == [64]
    assert found[2][3] == ()
    assert tally.failed == 1
    assert any(said in note for note in tally.notes)


@pytest.mark.parametrize(("server", "prompt"), [(164, 164), (162, 164), (100, 100), (97, 100)])
def test_what_the_server_counted_says_where_a_prefix_stands(
    server: int, prompt: int, tmp_path: Path
) -> None:
    """A row of 100 tokens with a prefix of 64, as a server counts it, a few tokens more or less."""
    path = blis(
        tmp_path,
        f"0,,0,sys,64,100,5,{server},1000,1000,5000,ok",
        heading=BLIS.replace("output_tokens,", "output_tokens,server_input_tokens,"),
    )
    assert [row[1] for row in find_trace(path).rows()] == [prompt]


def test_rounds_of_blis_wait_for_answers(tmp_path: Path) -> None:
    """The second round comes 1 s after the answer of the first, which ends at 3 s."""
    path = blis(
        tmp_path,
        "0,a,0,,0,100,5,1000000,1000000,3000000,ok",
        "1,a,1,,0,200,6,4000000,4000000,5000000,ok",
    )
    (only,) = sessions(path)
    assert [(step.gap_s, step.prompt_tokens) for step in only.steps] == [(0.0, 100), (1.0, 200)]
    assert not only.adds


def test_rows_of_blis_that_accumulate_add_to_their_session(tmp_path: Path) -> None:
    """The prefix stands before the first round alone: later rounds have it in their history."""
    path = blis(
        tmp_path,
        "0,a,0,sys,64,100,5,1000000,1000000,3000000,ok",
        "1,a,1,sys,64,20,6,4000000,4000000,5000000,ok",
        header="mode: generated\nsession_context_growth: accumulate\n",
    )
    found = sessions(path)
    turns = [turn for script in replayed_scripts(iter(found)) for turn in script]
    assert [turn.prompt_tokens for turn in turns] == [164, 164 + 5 + 20]
    assert [row[1] for row in rows(path)] == [164, 189]


def test_the_warm_up_of_blis_is_left_out(tmp_path: Path) -> None:
    path = blis(
        tmp_path,
        "0,,0,,0,100,5,1000,1000,5000,ok",
        "1,,0,,0,200,6,2000,2000,6000,ok",
        header="warm_up_requests: 1\n",
    )
    tally = Tally()
    assert rows(path, tally) == [(0.0, 200, 6)]
    assert (tally.warmup, tally.rows) == (1, 2)


def test_a_request_of_blis_comes_when_it_was_sent(tmp_path: Path) -> None:
    tally = Tally()
    path = blis(
        tmp_path,
        "0,,0,,0,100,5,1000,1000,5000,ok",
        "1,,0,,0,200,6,2000,3000,6000,ok",
        "2,,0,,0,200,6,4000,0,6000,ok",
    )
    assert [row[0] for row in rows(path, tally)] == pytest.approx([0.0, 0.002, 0.003], abs=1e-9)
    assert "requests arrive when they were sent (send_time_us)" in tally.notes


def test_without_its_header_microseconds_are_taken(tmp_path: Path) -> None:
    tally = Tally()
    rows(blis(tmp_path, "0,,0,,0,100,5,1000,1000,5000,ok", header=None), tally)
    assert tally.notes[0].startswith("the table has no header file trace.yaml: times are read as")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("time_unit: seconds", "time_unit: got 'seconds'; expected microseconds"),
        ("trace_version: 9", "trace_version: got '9'; expected 2 or 3"),
        ("session_context_growth: shrink", "session_context_growth: got 'shrink'; expected"),
        ("warm_up_requests: -1", "warm_up_requests: got '-1'; expected a whole number"),
    ],
)
def test_a_header_that_is_not_understood_is_refused(header: str, said: str, tmp_path: Path) -> None:
    path = blis(tmp_path, "0,,0,,0,100,5,1000,1000,5000,ok")
    lines = ["trace_version: 3", "time_unit: microseconds"]
    key = header.partition(":")[0]
    kept = [line for line in lines if not line.startswith(key)]
    (tmp_path / "trace.yaml").write_text("\n".join([*kept, header]) + "\n")
    assert said in fault(path)


@pytest.mark.parametrize(
    "line", ["1,,0,,0,x,5,1,1,1,ok", "1,,0,,0,-4,5,1,1,1,ok", "1,,0,,0,4,5,,,1,ok", "1,a"]
)
def test_a_row_of_blis_that_is_malformed_names_its_line(line: str, tmp_path: Path) -> None:
    path = blis(tmp_path, "0,,0,,0,100,5,1000,1000,5000,ok", line)
    assert fault(path).startswith(f"{path}:3: got ")
