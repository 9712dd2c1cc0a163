"""Reasons why requests got no answer, each with a number that follows from the scenario."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import cluster_sim
from cluster_sim.results.results import Results
from cluster_sim.results.unanswered import Reason, reason_rows, remedies, unanswered
from tests.machines import SMALL_GPU, engine, node
from tests.scenarios import make_pool, make_scenario


def pool(name: str = "gpus", capacity: str = "10 GB", **changes: Any) -> dict[str, Any]:
    """A pool of one small GPU: 213 kB hold the weights, 310 kB 368 tokens of KV cache as well."""
    gpu = SMALL_GPU | {"memory": {"capacity": capacity, "bandwidth": "1 GB/s"}}
    return make_pool(name, node=node(gpu), **changes)


def run(
    path: Path, rows: list[tuple[float, int, int]], *pools: dict[str, Any], **changes: Any
) -> Results:
    """The run of a trace whose rows are (time [s], prompt tokens, output tokens)."""
    lines = [
        json.dumps({"timestamp": 1e3 * at_s, "input_length": prompt, "output_length": output})
        for at_s, prompt, output in rows
    ]
    (path / "trace.jsonl").write_text("\n".join(lines) + "\n")
    cluster = {"pools": list(pools or [pool()])} | changes.pop("cluster", {})
    workload = {"trace": {"path": str(path / "trace.jsonl"), "format": "mooncake"}}
    workload |= changes.pop("workload", {})
    scenario = make_scenario(**{"cluster": cluster, "workload": workload} | changes)
    return cluster_sim.simulate(scenario)


def counts(results: Results, outcome: str = "rejected") -> dict[str, int]:
    """Numbers of requests by reason, in the order of the table."""
    summary, reasons = results.summary(), unanswered(results)
    of_outcome = {each.text: each.requests for each in reasons if each.outcome == outcome}
    assert sum(of_outcome.values()) == summary[outcome]
    return of_outcome


def test_a_run_in_which_all_finish_has_no_reasons(tmp_path: Path) -> None:
    assert unanswered(run(tmp_path, [(0, 10, 2), (1, 10, 2)])) == ()


def test_a_request_is_longer_than_the_context_or_than_the_kv_cache(tmp_path: Path) -> None:
    """368 tokens of KV cache hold 349 + 20 - 1; the context of the model is 4,096 tokens."""
    rows = [(0, 349, 20), (1, 350, 20), (2, 4000, 20), (3, 4090, 6), (4, 4090, 7)]
    assert counts(run(tmp_path, rows, pool(capacity="310 kB"))) == {
        "longer than the KV cache of a replica, 368 tokens": 3,
        "longer than the context of tiny, 4,096 tokens": 1,
    }


def test_the_prompt_that_stands_before_every_other_counts(tmp_path: Path) -> None:
    rows = [(0, 340, 20), (1, 100, 20)]
    results = run(
        tmp_path, rows, pool(capacity="310 kB"), workload={"shared_prefix": {"tokens": 10}}
    )
    assert counts(results) == {"longer than the KV cache of a replica, 368 tokens": 1}


def test_a_step_without_chunked_prefill_is_a_limit(tmp_path: Path) -> None:
    batching = {"chunked_prefill": False, "max_batched_tokens": 500}
    rows = [(0, 480, 20), (1, 600, 20), (2, 700, 20)]
    results = run(tmp_path, rows, pool(batching=batching))
    assert counts(results) == {"longer than a step without chunked_prefill, 500 tokens": 2}
    (remedy,) = remedies(unanswered(results))
    assert remedy.endswith("`chunked_prefill: true`, or a higher `max_batched_tokens`")


def test_disaggregated_requests_exceed_a_prefill_or_a_decode_replica(tmp_path: Path) -> None:
    """400 kB hold 720 tokens."""
    prefill, decode = (
        {"replica": {"engine": engine(), "role": role}} for role in ("prefill", "decode")
    )
    pools = (pool("p", "310 kB", **prefill), pool("d", "400 kB", **decode))
    rows = [(0, 360, 20), (2, 369, 1), (4, 400, 20), (6, 300, 422)]
    assert counts(run(tmp_path, rows, *pools)) == {
        "prompt longer than a prefill replica holds, 368 tokens": 2,
        "longer than the KV cache of a decode replica, 720 tokens": 1,
    }


def test_a_full_queue_rejects_all_but_those_that_run_and_wait(tmp_path: Path) -> None:
    """One runs for longer than a second, two wait, and three of six find the queue full."""
    rows = [(at / 1000, 10, 4000) for at in range(6)]
    one_at_a_time = pool(batching={"max_sequences": 1})
    limit = {"admission": {"policy": "queue_limit", "max_waiting": 2}}
    results = run(tmp_path, rows, one_at_a_time, cluster=limit)
    assert counts(results) == {"queue limit of 2 per replica": 3}


def test_a_rate_limit_lets_its_burst_in_and_never_what_is_longer(tmp_path: Path) -> None:
    """A bucket of 100 tokens pays for one request of 60; 40 tokens are left after it."""
    bucket = {"policy": "token_bucket", "rate": "0.001 /s", "burst": 100, "counts": "tokens"}
    rows = [(0, 101, 20), (1, 40, 20), (2, 40, 20), (3, 50, 30), (4, 90, 10)]
    assert counts(run(tmp_path, rows, cluster={"admission": bucket})) == {
        "rate limit of 0.001 tokens/s, burst 100": 3,
        "longer than the rate limit's burst of 100 tokens": 1,
    }


def test_a_predicted_ttft_is_above_the_limit_of_the_policy_or_of_the_class(tmp_path: Path) -> None:
    """A step takes 100 us at least: nobody meets a microsecond."""
    rows = [(at, 10, 2) for at in range(8)]
    policy = {"policy": "predicted_ttft"}
    own = run(tmp_path, rows, cluster={"admission": policy | {"limit": "1 us"}})
    assert counts(own) == {"predicted TTFT above 0.001 ms": 8}
    of_slo = run(tmp_path, rows, cluster={"admission": policy}, slo={"ttft": "2 us"})
    assert counts(of_slo) == {"predicted TTFT above 0.002 ms": 8}


def test_requests_that_the_end_of_the_run_cuts_off_are_told_by_their_state(tmp_path: Path) -> None:
    """One decodes for longer than the run, and of three that wait none is admitted."""
    rows = [(at / 1000, 10, 4000) for at in range(4)]
    one_at_a_time = pool(batching={"max_sequences": 1})
    results = run(tmp_path, rows, one_at_a_time, duration="100 ms", drain="20 ms")
    assert counts(results, "failed") == {
        "still waiting when the drain of 20 ms ended": 3,
        "still in decode or KV transfer when the drain of 20 ms ended": 1,
    }
    (remedy,) = remedies(unanswered(results))
    assert "a longer `drain`" in remedy


def test_requests_of_the_warm_up_do_not_count(tmp_path: Path) -> None:
    rows = [(at, 350, 20) for at in range(5)]
    results = run(tmp_path, rows, pool(capacity="310 kB"), warmup="2.5 s")
    assert counts(results) == {"longer than the KV cache of a replica, 368 tokens": 2}


@pytest.mark.parametrize(
    ("what", "status", "outcome", "text"),
    [
        ("rejected", "rejected", "rejected", "no available replica could serve it"),
        ("failed", "failed", "failed", "lost with its replica; no other replica could serve it"),
        # run folders of earlier versions
        (
            "failed",
            "unfinished",
            "failed",
            "lost with its replica; no other replica could serve it",
        ),
    ],
)
def test_losses_are_told_by_their_events(
    tmp_path: Path, what: str, status: str, outcome: str, text: str
) -> None:
    results = run(tmp_path, [(0, 10, 2), (1, 10, 2)])
    of_last = pa.DictionaryArray.from_arrays([0, 1], ["finished", status])
    place = results.requests.column_names.index("status")
    lost = {"at_s": 1.0, "what": what, "replica": 0, "request": 1, "value": 0.0}
    events = pa.Table.from_pylist([lost | {"reason": "all_down"}])
    lost_one = replace(
        results, requests=results.requests.set_column(place, "status", of_last), events=events
    )
    (reason,) = unanswered(lost_one)
    assert (reason.outcome, reason.text, reason.requests) == (outcome, text, 1)


def test_events_of_an_earlier_version_without_reasons_still_print(tmp_path: Path) -> None:
    results = run(tmp_path, [(0, 350, 20), (1, 10, 2)], pool(capacity="310 kB"))
    place = results.events.column_names.index("reason")
    nothing = pa.nulls(results.events.num_rows, pa.string())
    old = replace(results, events=results.events.set_column(place, "reason", nothing))
    assert counts(old) == {"no reason recorded": 1}


def test_rows_of_runs_side_by_side_begin_with_the_greatest() -> None:
    first = (Reason("rejected", "a", 3, ""), Reason("failed", "c", 1, ""))
    second = (Reason("rejected", "b", 5, "x"), Reason("rejected", "a", 2, "x"))
    assert reason_rows("rejected", [first, second]) == [("b", [0, 5]), ("a", [3, 2])]
    assert reason_rows("failed", [first, second]) == [("c", [1, 0])]
    assert remedies((*first, *second)) == ["b; a: x"]
