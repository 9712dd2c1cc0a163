"""Requests that are too long: what is said of them before a run is what the run does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.analysis.oversized import Oversized, trace_uses
from cluster_sim.deployment.size_limits import size_limits
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.traces import Tally, Trace
from tests.commands import call
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.scenarios import make_pool, make_scenario

FORMATS = Path(__file__).resolve().parents[3] / "shared" / "traces_formats"
ROWS = [
    path.name
    for path in FORMATS.glob("*.*")
    if path.name not in ("README.md", "expected.csv", "blis_tracev2.yaml")
]
KEYS: dict[str, dict[str, Any]] = {
    "generic_other_names.csv": {
        "columns": {"arrival": "arrived_s", "prompt": "prompt_len", "output": "completion_len"}
    },
    "sharegpt.json": {"arrivals": {"process": "poisson", "rate": "1 /s"}, "tokens_per_word": 9},
}
"""What a scenario says of a file beside its path."""
LENGTHS = [(100, 20), (360, 9), (360, 10), (700, 30), (721, 1), (1500, 5), (4090, 7), (5000, 5)] * 3


def pool(name: str, capacity: str, **changes: Any) -> dict[str, Any]:
    """A pool of one small GPU with so much memory: 213 kB hold the weights, 256 B a token of KV.

    310 kB hold 23 blocks of 16 tokens, 368 tokens, and 400 kB 45 blocks, 720 tokens.
    """
    gpu = SMALL_GPU | {"memory": {"capacity": capacity, "bandwidth": "1 GB/s"}}
    return make_pool(name, node=node(gpu), **changes)


def rows(path: Path, lengths: list[tuple[int, int]]) -> dict[str, Any]:
    """A Mooncake trace of these lengths, one request per second, as a scenario names it."""
    lines = [
        json.dumps({"timestamp": 1000 * at, "input_length": prompt, "output_length": output})
        for at, (prompt, output) in enumerate(lengths)
    ]
    path.write_text("\n".join(lines) + "\n")
    return {"path": str(path)}


def said(scenario: Scenario) -> Oversized:
    """What is counted before the run."""
    (use,) = trace_uses([scenario])
    return use.oversized[scenario.title]


def rejected(scenario: Scenario) -> tuple[int, int]:
    """How many requests the run rejects for being too long, and how many come at all."""
    results = cluster_sim.simulate(scenario)
    events = results.events.to_pylist()
    too_long = [row for row in events if row["what"] == "rejected"]
    assert {row["reason"] for row in too_long} <= {"too_long"}
    return len(too_long), results.requests.num_rows


CLUSTERS: dict[str, dict[str, Any]] = {
    "one pool": {"pools": [pool("a", "310 kB")]},
    "context alone": {"pools": [pool("a", "10 GB")]},
    "two pools of different size": {"pools": [pool("a", "310 kB"), pool("b", "400 kB")]},
    "without chunked prefill": {
        "pools": [pool("a", "400 kB", batching={"chunked_prefill": False})]
    },
    "one pool without chunked prefill of two": {
        "pools": [
            pool("a", "10 GB", batching={"chunked_prefill": False, "max_batched_tokens": 500}),
            pool("b", "310 kB"),
        ]
    },
    "static": {"pools": [pool("a", "400 kB", batching={"policy": "static", "max_sequences": 4})]},
    "prefill is smaller": {
        "pools": [
            pool("p", "310 kB", replica={"engine": engine(), "role": "prefill"}),
            pool("d", "400 kB", replica={"engine": engine(), "role": "decode"}),
        ]
    },
    "decode is smaller": {
        "pools": [
            pool("p", "400 kB", replica={"engine": engine(), "role": "prefill"}),
            pool("d", "310 kB", replica={"engine": engine(), "role": "decode"}),
        ]
    },
    "prefill, decode and both": {
        "pools": [
            pool("p", "400 kB", replica={"engine": engine(), "role": "prefill"}),
            pool("d", "310 kB", replica={"engine": engine(), "role": "decode"}),
            pool("a", "310 kB"),
        ]
    },
}


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
@pytest.mark.parametrize("prefix_tokens", [0, 9])
def test_as_many_are_rejected_as_are_said_to_be_too_long(
    tmp_path: Path, cluster: dict[str, Any], prefix_tokens: int
) -> None:
    workload: dict[str, Any] = {"trace": rows(tmp_path / "t.jsonl", LENGTHS)}
    if prefix_tokens:
        workload["shared_prefix"] = {"tokens": prefix_tokens}
    scenario = make_scenario(workload=workload, cluster=cluster, duration=None)
    counted = said(scenario)
    assert (counted.too_long, counted.requests) == rejected(scenario)
    assert 0 < counted.too_long < len(LENGTHS)


@pytest.mark.parametrize(
    "changes", [{"limit": 7}, {"sample": 0.5}, {"speedup": 3}, {"start": "5 s"}], ids=str
)
def test_only_requests_that_are_replayed_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    trace = rows(tmp_path / "t.jsonl", LENGTHS) | changes
    scenario = make_scenario(
        workload={"trace": trace}, cluster=CLUSTERS["one pool"], duration="12 s", seed=3
    )
    counted = said(scenario)
    assert (counted.too_long, counted.requests) == rejected(scenario)


def test_a_session_ends_with_its_first_request_that_is_too_long(tmp_path: Path) -> None:
    """Rows add to the conversation: turns of 100 and answers of 20 tokens are prompts of 100, 220,
    340 (of which 359 tokens are cached), and 460, which 368 tokens do not hold.
    """
    turns = [{"session_id": "a", "timestamp": 0}] + [{"session_id": "a", "delay": 10}] * 5
    turns += [{"session_id": "b", "timestamp": 500}] + [{"session_id": "b", "delay": 10}] * 2
    lines = [json.dumps(turn | {"input_length": 100, "output_length": 20}) for turn in turns]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    scenario = make_scenario(
        workload={"trace": {"path": str(tmp_path / "t.jsonl")}},
        cluster=CLUSTERS["one pool"],
        duration=None,
    )
    counted = said(scenario)
    assert (counted.requests, counted.too_long) == (9, 3)
    assert (counted.rejected, counted.unsent) == (1, 2)
    assert (counted.rejected, counted.requests - counted.unsent) == rejected(scenario)
    assert counted.sentence() == (
        "3 of 9 requests (33.33 %) exceed the KV cache capacity of every replica, 368 tokens; a session "
        "ends with the first of its own that is rejected (sessions that end early: 1; later requests that are "
        "not sent: 2); the longest has 700 prompt and 20 output tokens"
    )


def test_a_run_that_ends_earlier_is_said_to_send_fewer(tmp_path: Path) -> None:
    turns = [{"session_id": "a", "timestamp": 0}] + [{"session_id": "a", "delay": 10}] * 5
    lines = [json.dumps(turn | {"input_length": 100, "output_length": 20}) for turn in turns]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    trace = {"path": str(tmp_path / "t.jsonl")}
    ends: list[dict[str, Any]] = [{"duration": "1 min"}, {"duration": None}]
    for trace_keys, end in zip(({}, {"limit": 2}), ends, strict=True):
        scenario = make_scenario(
            workload={"trace": trace | trace_keys}, cluster=CLUSTERS["one pool"], **end
        )
        sentence = said(scenario).sentence()
        assert sentence is not None
        assert "later requests that are not sent: 2, if the run gets that far)" in sentence


@pytest.mark.skipif(not FORMATS.is_dir(), reason="../shared/traces_formats is absent")
@pytest.mark.parametrize("file", sorted(ROWS), ids=str)
def test_what_is_said_of_each_format_is_what_the_run_does(file: str) -> None:
    """In 368 tokens, and from beginning to end."""
    keys = {"path": str(FORMATS / file)} | KEYS.get(file, {})
    scenario = make_scenario(
        workload={"trace": keys}, cluster=CLUSTERS["one pool"], duration=None, drain="100 h"
    )
    counted = said(scenario)
    assert (counted.rejected, counted.requests - counted.unsent) == rejected(scenario)


def test_recorded_sessions_that_fill_places_are_counted_round_by_round(tmp_path: Path) -> None:
    requests = [
        {"t": float(at), "in": 130 * (at + 1), "out": 10, "hash_ids": []} for at in range(4)
    ]
    (tmp_path / "t.json").write_text(
        json.dumps({"id": "a", "block_size": 64, "requests": requests})
    )
    scenario = make_scenario(
        workload={"sessions": {"trace": {"path": str(tmp_path / "t.json")}, "concurrency": 1}},
        cluster=CLUSTERS["one pool"],
        duration="30 s",
    )
    counted = said(scenario)
    assert (counted.requests, counted.too_long, counted.unsent) == (4, 2, 1)
    count, sent = rejected(scenario)
    assert count == sent // 3 > 1  # each round ends with its third request


def test_check_says_so_once_for_each_variant_and_reads_the_trace_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of these lengths 5,005 tokens exceed the context, 4,096, and so do 4,097; 360 + 10 - 1 are
    369 in the cache.
    """
    lengths = [*LENGTHS[:8], (0, 5)]
    keys = {
        "name": "t",
        "model": TINY_MODEL,
        "workload": {"trace": rows(tmp_path / "t.jsonl", lengths)},
        "cluster": CLUSTERS["one pool"],
        "variants": {"small": {}, "large": {"cluster": CLUSTERS["context alone"]}},
    }
    path = tmp_path / "t.yaml"
    path.write_text(json.dumps(keys))
    reads: list[Trace] = []
    original = Trace.check

    def counted(self: Trace, *given: Any, **named: Any) -> Tally:
        reads.append(self)
        return original(self, *given, **named)

    monkeypatch.setattr(Trace, "check", counted)
    code, out, err = call(capsys, "check", path)
    assert (code, out) == (0, f"{path}: OK (small, large)\n")
    assert [line for line in err.splitlines() if "no kernels were measured" not in line] == [
        f"warning: {tmp_path}/t.jsonl: 1 of 9 rows are omitted: they have no prompt or no answer",
        "warning: t/small: trace: 2 of 8 requests (25.00 %) exceed the context of tiny, 4,096 tokens and 4 of 8 "
        "requests (50.00 %) exceed the KV cache capacity of every replica, 368 tokens; they are rejected; "
        "the longest has 5,000 prompt and 5 output tokens",
        "warning: t/large: trace: 2 of 8 requests (25.00 %) exceed the context of tiny, 4,096 tokens; "
        "they are rejected; the longest has 5,000 prompt and 5 output tokens",
    ]
    assert len(reads) == 1
    _, _, err = call(capsys, "explain", path)
    assert (
        "warning: t/large: trace: 2 of the first 8 requests (25.00 %) exceed the context of tiny, 4,096 "
        "tokens; the longest has 5,000 prompt and 5 output tokens"
    ) in err.splitlines()


def test_the_limit_that_is_exceeded_is_named(tmp_path: Path) -> None:
    def sentence(cluster: str) -> str:
        lengths = [(721, 1), (100, 20)]
        trace = rows(tmp_path / "t.jsonl", lengths)
        counted = said(make_scenario(workload={"trace": trace}, cluster=CLUSTERS[cluster]))
        assert counted.too_long == 1
        return str(counted.sentence()).split(";", maxsplit=1)[0]

    of = "1 of 2 requests (50.00 %) exceed "
    assert sentence("two pools of different size") == (
        of + "the KV cache capacity of every replica, at most 720 tokens"
    )
    assert sentence("without chunked prefill") == (
        of + "max_batched_tokens, 512 tokens, without chunked_prefill"
    )
    assert sentence("one pool without chunked prefill of two") == (
        of
        + "what any replica takes: pool 'a' serves up to 500 tokens (max_batched_tokens, without "
        "chunked_prefill), pool 'b' serves up to 368 tokens"
    )
    assert sentence("decode is smaller") == (
        of
        + "what any replica takes: pool 'p' prefills up to 720 tokens, pool 'd' decodes up to 368 tokens"
    )


def test_a_trace_that_fits_is_not_mentioned() -> None:
    counted = Oversized(size_limits(make_scenario(cluster=CLUSTERS["one pool"])))
    counted.add(np.array([360]), np.array([9]))
    assert counted.sentence() is None
