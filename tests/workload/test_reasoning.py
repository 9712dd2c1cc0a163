"""Reasoning comes before what the user reads: its share of answers, and when the first token after
it is seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from cluster_sim import simulate
from cluster_sim.loading.files import load_scenario
from cluster_sim.request import Request
from cluster_sim.results.results import Results
from cluster_sim.results.tables.token_times import token_times_s
from cluster_sim.schema import yaml_text
from cluster_sim.workload.reasoning import ReasoningShare
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

SHARES: TypeAdapter[Any] = TypeAdapter(ReasoningShare)


def tokens(share: Any, output: int, count: int = 100_000) -> np.ndarray:
    return SHARES.validate_python(share).tokens(np.random.default_rng(3), np.full(count, output))  # type: ignore[no-any-return]


def results(
    tmp_path: Path, share: Any, requests: int = 40, stepping: str = "stretch", **pool: Any
) -> Results:
    """Requests of 100 and some tokens that all come at once, to a small GPU."""
    replica = {"weights": "bf16", "engine": engine()} | pool.pop("replica", {})
    scenario = {
        "name": "reasoning", "seed": 2, "stepping": stepping, "model": TINY_MODEL, "workload": {
            "arrivals": {"process": "poisson", "rate": "200 /s", "requests": requests},
            "prompt_tokens": {"distribution": "uniform", "low": 1, "high": 100}, "output_tokens": {"distribution": "uniform", "low": 1, "high": 100},
        } | ({} if share is None else {"reasoning_share": share}),
        "cluster": {"pools": [{"name": "small", "node": node(SMALL_GPU), "replica": replica} | pool]},
    }  # fmt: skip
    path = tmp_path / "reasoning.yaml"
    path.write_text(yaml_text(scenario))
    return simulate(load_scenario(path))


def columns(run: Results, *names: str) -> list[np.ndarray]:
    return [run.requests[name].to_numpy() for name in names]


def test_shares_have_their_quantiles_and_leave_a_token() -> None:
    assert set(tokens(0.76, 1000, 5).tolist()) == {760}
    drawn = tokens({"quantiles": {0: 0, 0.5: 0.6, 1: 1}}, 1_000_000)
    assert np.quantile(drawn, [0.25, 0.5, 0.75]) / 1e6 == pytest.approx([0.3, 0.6, 0.8], abs=0.01)
    assert drawn.max() <= 999_999
    assert set(tokens(1, 1, 5).tolist()) == {0}


@pytest.mark.parametrize(
    "share",
    [
        1.5,
        -0.1,
        {"quantiles": {0: 0, 0.5: 1}},
        {"quantiles": {0: 0.5, 1: 0.2}},
        {"quantiles": {}},
        "most",
    ],
)
def test_shares_that_are_none_are_refused(share: Any) -> None:
    with pytest.raises(ValidationError):
        SHARES.validate_python(share)


def test_without_a_share_nothing_is_told(tmp_path: Path) -> None:
    run = results(tmp_path, None)
    assert "reasoning_tokens" not in run.requests.column_names
    assert not [key for key in run.summary() if "ttfo" in key or "reasoning" in key]


# In little room requests preempt each other; a host takes some of them.
TIGHT = node(SMALL_GPU | {"memory": {"capacity": "310 kB", "bandwidth": "1 GB/s"}})
MACHINES: list[dict[str, Any]] = [
    {},
    {"replica": {"engine": engine(chunked_prefill=False, max_sequences=3)}},
    {"node": TIGHT},
    {"node": TIGHT, "kv": {"preemption": "swap", "swap_bandwidth": "1 MB/s"}},
    {"batching": {"policy": "static"}},
    {"replica": {"speculation": {"draft_tokens": 3, "acceptance": 0.6, "draft_cost": 0.1}}},
]


@pytest.mark.parametrize("machine", MACHINES)
def test_no_reasoning_is_the_first_token_and_all_but_one_token_is_the_last(
    tmp_path: Path, machine: dict[str, Any]
) -> None:
    first, seen = columns(results(tmp_path, 0, **machine), "first_token_s", "first_output_token_s")
    assert seen == pytest.approx(first, rel=1e-9)
    seen, finish, reasoning, output = columns(
        results(tmp_path, 1, **machine),
        "first_output_token_s",
        "finish_s",
        "reasoning_tokens",
        "output_tokens",
    )
    assert np.array_equal(reasoning, output - 1)
    assert seen == pytest.approx(finish, rel=1e-9)


def test_in_little_room_there_are_preemptions(tmp_path: Path) -> None:
    assert all(
        results(tmp_path, 0, **machine).summary()["preemptions"] > 5 for machine in MACHINES[2:4]
    )


@pytest.mark.parametrize("machine", MACHINES[:5])
def test_a_token_is_made_by_each_step_that_a_request_is_not_preempted(
    tmp_path: Path, machine: dict[str, Any]
) -> None:
    """In a run step by step the rows are the engine's steps, of which those between preemption and
    resumption are not a request's.
    """
    run = results(tmp_path, 0.5, stepping="step", **machine)
    ended_s = run.stretches["ended_s"].to_numpy()
    events = run.events.to_pylist()
    for row in run.requests.to_pylist():
        away = [
            (event["at_s"], event["what"])
            for event in events
            if event["request"] == row["request"] and event["at_s"] >= row["first_token_s"] - 1e-9
        ]
        made = 1
        for end_s in ended_s[
            (ended_s > row["first_token_s"] + 1e-9) & (ended_s < row["first_output_token_s"] + 1e-9)
        ]:
            before = [what for at_s, what in away if at_s < end_s - 1e-9]
            made += (
                not before
                or before[-1] == "resumed"
                or (end_s, "resumed")
                in [(pytest.approx(at_s, abs=1e-9), what) for at_s, what in away]
            )
        assert made == row["reasoning_tokens"] + 1


def test_stretches_and_steps_agree_and_the_summary_is_in_milliseconds(tmp_path: Path) -> None:
    one, other = (results(tmp_path, 0.5, stepping=stepping) for stepping in ("stretch", "step"))
    (seen, arrival), (again,) = (
        columns(one, "first_output_token_s", "arrival_s"),
        columns(other, "first_output_token_s"),
    )
    assert seen == pytest.approx(again, rel=1e-9)
    summary = one.summary()
    assert summary["mean_ttfo_ms"] == pytest.approx(1e3 * np.mean(seen - arrival))
    assert summary["p99_ttfo_ms"] == pytest.approx(1e3 * np.percentile(seen - arrival, 99))
    assert summary["median_ttft_ms"] < summary["median_ttfo_ms"] < summary["median_e2el_ms"]
    assert summary["total_reasoning_tokens"] == np.sum(columns(one, "output_tokens")[0] // 2)


def test_the_second_token_of_a_request_that_was_handed_over_is_the_first_after_the_gap() -> None:
    """Read elsewhere, where its first token was made at 1 s; three steps of a second from 2 s on
    make the other three.
    """
    request = Request(0, 0.0, 10, 4)
    request.replica, request.first_token_s, request.finish_s = 1, 1.0, 5.0
    both = {
        "replica": [1, 1],
        "began_s": [2.0, 3.0],
        "first_s": [1.0, 1.0],
        "slope_s": [0.0, 0.0],
        "steps": [1, 2],
        "ended_s": [3.0, 5.0],
        "batch": [1, 1],
        "counted": [1, 1],
    }
    stretches = pa.table(both)
    events = [(3.0, "resumed", 1, 0, 2.0)]
    times_s = [
        float(token_times_s([request], np.array([token]), stretches, events)[0])
        for token in (1, 2, 3, 4)
    ]
    assert times_s == pytest.approx([1.0, 3.0, 4.0, 5.0])
