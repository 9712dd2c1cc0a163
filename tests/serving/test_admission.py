"""Who is turned away, as worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster_sim.request import Request
from cluster_sim.serving.admission import PredictedTtft, Prefill, TokenBucket
from cluster_sim.serving.load import ReportedLoad
from tests.laws.test_conservation import column, run
from tests.machines import SMALL_GPU, engine, node

IDLE = ReportedLoad(0, 0, 0, 0, 0, 0, 0.0)


def let_in(policy: dict[str, Any], times_s: list[float], tokens: int = 10) -> list[bool]:
    """Which of the requests at these times pass a token bucket; each has `tokens` and an answer as
    long.
    """
    refuses = TokenBucket.model_validate(policy).gate([], []).refuses
    return [
        not refuses(Request(number, at_s, tokens, tokens), at_s, 0, [IDLE])
        for number, at_s in enumerate(times_s)
    ]


def test_a_token_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    """Three are in the bucket; from then on one is added every 0.25 s, and at most three are kept."""
    times_s = [0.0, 0.0, 0.0, 0.0, 0.125, 0.25, 0.375, 0.5, 10.0, 10.0, 10.0, 10.0]
    passed = [True, True, True, False, False, True, False, True, True, True, True, False]
    assert let_in({"rate": "4 /s", "burst": 3}, times_s) == passed


def test_a_token_bucket_of_tokens_takes_prompt_and_answer() -> None:
    """Each costs 20 of 50, and 40 are added a second: after two 10 are left, after half a second
    30.
    """
    bucket = {"rate": "40 tokens/s", "burst": 50, "counts": "tokens"}
    assert let_in(bucket, [0.0, 0.0, 0.0, 0.25, 0.5, 0.5]) == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert let_in(bucket, [0.0, 100.0], tokens=26) == [False, False]  # more than the bucket holds


def test_a_token_bucket_of_tokens_takes_what_the_client_allows() -> None:
    """Prompts of 10 tokens with answers of 10: a limit of 40 costs 50 of the 100, one of 5 costs 20."""
    for limit, passed in ((0, 5), (5, 5), (40, 2)):
        gate = TokenBucket.model_validate({"rate": "1 /s", "burst": 100, "counts": "tokens"})
        refuses = gate.gate([], []).refuses
        requests = [Request(number, 0.0, 10, 10, output_limit=limit) for number in range(6)]
        assert sum(not refuses(each, 0.0, 0, [IDLE]) for each in requests) == passed


def whole_prompts(tmp_path: Path, admission: dict[str, Any], **changes: Any) -> Any:
    """Ten prompts at once that fill a step each, answers of one token: they are read one after the
    other.
    """
    cluster = {
        "pools": [{"name": "p", "node": node(SMALL_GPU), "replica": {"engine": engine()}}],
        "router": {"policy": "least_requests"},
        "admission": admission,
    }
    workload = {
        "arrivals": {"process": "at_once", "requests": 10},
        "prompt_tokens": 512,
        "output_tokens": 1,
    }
    return run(tmp_path, "at_once", "", cluster=cluster, workload=workload, warmup="0 s", **changes)


def test_predicted_ttft_sheds_exactly_those_who_would_be_late(tmp_path: Path) -> None:
    everyone = whole_prompts(tmp_path, {"policy": "accept_all"})
    ttft_s = column(everyone, "first_token_s")
    limit_s = float(ttft_s[5]) * 1.001
    for admission, slo in (({"limit": f"{limit_s} s"}, {}), ({}, {"ttft": f"{limit_s} s"})):
        results = whole_prompts(tmp_path, {"policy": "predicted_ttft"} | admission, slo=slo)
        assert list(column(results, "status")) == ["finished"] * 6 + ["rejected"] * 4
        assert results.summary()["max_ttft_ms"] <= 1e3 * limit_s
        assert set(results.events["reason"].to_pylist()) == {"predicted_ttft"}


def test_each_class_is_shed_by_its_own_slo() -> None:
    """1,000 tokens a second and 0.1 s of way: 500 tokens are there after 0.6 s."""
    gate = PredictedTtft().gate([Prefill(0.1, 1000.0)], [0.59, None, 0.61])
    request = Request(0, 0.0, 500, 1)
    shed = []
    for request.class_number in range(3):
        shed.append(gate.refuses(request, 0.0, 0, [IDLE]))  # the loop sets the class
    assert shed == [True, False, False]


def test_a_limit_of_the_replica_or_of_the_cluster(tmp_path: Path) -> None:
    """Two replicas that serve one at a time, twenty at once: each takes one and lets three wait, or
    both together let three wait.
    """
    for per, taken in (("replica", 6), ("cluster", 3)):
        cluster = {
            "pools": [
                {
                    "name": "p",
                    "node": node(SMALL_GPU, 2),
                    "replica": {"engine": engine(max_sequences=1)},
                }
            ],
            "router": {"policy": "round_robin"},
            "admission": {"policy": "queue_limit", "max_waiting": 3, "per": per},
        }
        workload = {
            "arrivals": {"process": "at_once", "requests": 20},
            "prompt_tokens": 10,
            "output_tokens": 5,
        }
        results = run(tmp_path, "at_once", "", cluster=cluster, workload=workload, warmup="0 s")
        # All come in the same moment, before any of them is in a batch.
        assert int(np.sum(column(results, "status") == "finished")) == taken


@pytest.mark.parametrize("arrivals", ["on_off", "poisson"])
def test_fewer_wait_longer_than_the_slo_where_the_hopeless_are_shed(
    tmp_path: Path, arrivals: str
) -> None:
    goodput = []
    for policy in ("accept_all", "predicted_ttft"):
        cluster = {"admission": {"policy": policy}}
        results = run(tmp_path, arrivals, "least_requests", cluster=cluster, slo={"ttft": "60 ms"})
        goodput.append(results.summary()["request_goodput"])
    assert goodput[1] > goodput[0]
