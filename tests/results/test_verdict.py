"""The verdict on objectives: percentiles by mental arithmetic, requests that did not finish."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import ceil, floor, inf, nextafter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from cluster_sim.results.metrics.verdict import (
    Objective,
    Outcome,
    Verdict,
    at_percentile,
    judged,
    objectives,
)
from cluster_sim.results.metrics.verdict_text import slo_line
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_pool, make_scenario


@cache
def small_run() -> Results:
    return simulate(make_scenario())


def with_requests(rows: Sequence[dict[str, Any]]) -> Results:
    """A run of these requests: e2el_s, and tokens, status, class and counted where not as usual."""
    seconds = [float(row["e2el_s"]) for row in rows]
    table = {
        "status": pa.array([row.get("status", "finished") for row in rows], pa.string()),
        "class": pa.array([row.get("class") for row in rows], pa.string()),
        "arrival_s": pa.array([0.0] * len(rows), pa.float64()),
        "first_token_s": pa.array([second / 2 for second in seconds], pa.float64()),
        "finish_s": pa.array(seconds, pa.float64()),
        "output_tokens": pa.array([row.get("tokens", 11) for row in rows], pa.int64()),
        "counted": pa.array([row.get("counted", True) for row in rows], pa.bool_()),
    }
    return replace(small_run(), requests=pa.table(table))


def verdict(
    rows: Sequence[dict[str, Any]], latency: str, limit_s: float, percentile: float
) -> Verdict:
    return judged([with_requests(rows)], [Objective("", latency, limit_s, percentile)])


TEN = [{"e2el_s": second} for second in range(1, 11)]
REJECTED = {"e2el_s": np.nan, "status": "rejected"}


def test_a_percentile_is_linear_between_two_requests() -> None:
    """p90 of 1 to 10 s is 9.1 s: at place 8.1 of 9."""
    found = verdict(TEN, "e2el", 9.0, 90.0)
    assert not found.is_met
    (missed,) = found.missed
    assert missed == {
        "metric": "e2el",
        "limit_ms": 9000.0,
        "value_ms": pytest.approx(9100.0),
    }
    assert verdict(TEN, "e2el", 9.2, 90.0).is_met
    assert verdict(TEN, "e2el", 10.0, 100.0).is_met
    assert not verdict(TEN, "e2el", 9.99, 100.0).is_met


def test_a_value_at_its_limit_meets_it() -> None:
    assert verdict([{"e2el_s": 2.0}] * 5, "e2el", 2.0, 99.0).is_met
    assert not verdict([{"e2el_s": nextafter(2.0, 3.0)}] * 5, "e2el", 2.0, 99.0).is_met


@pytest.mark.parametrize("status", ["rejected", "unfinished", "failed", "timed_out"])
def test_requests_that_did_not_finish_are_infinitely_late(status: str) -> None:
    """Of 20 requests p95 lies between the 19th and the 20th, of 21 it is the 20th."""
    lost = {"e2el_s": np.nan, "status": status}
    rows = [{"e2el_s": 1.0}] * 19
    late = verdict([*rows, lost], "ttft", 5.0, 95.0)
    assert late.missed == [
        {
            "metric": "ttft",
            "limit_ms": 5000.0,
            "value_ms": None,
            "infinite_because": "5% of requests did not finish",
        }
    ]
    assert verdict([*rows, lost], "ttft", 5.0, 94.0).is_met
    assert verdict([*rows, {"e2el_s": 1.0}, lost], "ttft", 5.0, 95.0).is_met


def test_requests_of_one_token_have_no_time_per_token() -> None:
    """10 gaps in half of 2 s are 0.1 s each; those of one token would be infinitely slow."""
    rows = [{"e2el_s": 2.0}] * 3 + [{"e2el_s": 900.0, "tokens": 1}] * 50
    assert verdict(rows, "tpot", 0.11, 99.0).is_met
    assert not verdict(rows, "tpot", 0.09, 1.0).is_met
    assert not verdict(rows, "ttft", 100.0, 50.0).is_met


def test_where_no_request_has_the_latency_nothing_shows_that_it_is_met() -> None:
    for rows in ([], [{"e2el_s": 1.0, "tokens": 1}]):
        (missed,) = verdict(rows, "tpot", 1.0, 50.0).missed
        assert missed["value_ms"] is None
        assert missed["infinite_because"] == "no request has one"


def test_requests_of_the_warm_up_do_not_count() -> None:
    warm_up = [{"e2el_s": 100.0, "counted": False}, REJECTED | {"counted": False}] * 5
    assert verdict([*warm_up, *TEN], "e2el", 10.0, 99.0).is_met


def test_the_requests_of_several_seeds_are_judged_together() -> None:
    """p50 of 1 to 10 s is 5.5 s, and of those and ten of 20 s it is 15 s."""
    runs = [with_requests(TEN), with_requests([{"e2el_s": 20.0}] * 10)]
    (first,) = judged(runs[:1], [Objective("", "e2el", 9.0, 50.0)]).outcomes
    (both,) = judged(runs, [Objective("", "e2el", 9.0, 50.0)]).outcomes
    assert (first.value_s, both.value_s) == (5.5, 15.0)


def test_where_all_finish_the_value_is_that_of_the_summary() -> None:
    scenario = make_scenario(
        slo={"ttft": "1 ms", "tpot": "10 us", "e2el": "1 ms", "percentile": 95}
    )
    summary = simulate(scenario).summary()
    assert summary["slo_percentile"] == 95.0
    assert {entry["metric"]: entry["value_ms"] for entry in summary["slo_missed"]} == {
        latency: summary[f"p95_{latency}_ms"] for latency in ("ttft", "tpot", "e2el")
    }


def test_the_default_is_99_and_without_an_slo_there_is_no_verdict() -> None:
    assert [one.percentile for one in objectives(make_scenario(slo={"ttft": "1 s"}))] == [99.0]
    assert objectives(make_scenario()) == ()
    of_slo = {"slo_percentile", "slo_met", "slo_missed", "slo_margins"}
    assert not of_slo & small_run().summary().keys()


def test_margins_are_shares_of_the_limits_and_infinite_values_have_none() -> None:
    """The p50 of 1 to 10 s is 5.5 s: 45 % below 10 s, and 120 % above 2.5 s."""
    run = with_requests(TEN)
    wanted = [Objective("", "e2el", 10.0, 50.0), Objective("chat", "e2el", 2.5, 50.0)]
    outcomes = [Outcome(objective, 5.5, 0.0) for objective in wanted]
    assert judged([run], wanted[:1]).margins == approx({"e2el": 0.45})
    infinite = Outcome(Objective("", "ttft", 1.0, 50.0), inf, 0.6)
    assert Verdict((*outcomes, infinite)).margins == approx({"e2el": 0.45, "chat.e2el": -1.2})


@pytest.mark.parametrize(
    ("slo", "expected"),
    [({"ttft": "1 s", "percentile": 95}, 95.0), ({"ttft": "1 s"}, 99.0), ({}, None)],
)
def test_the_manifest_names_the_percentile(
    tmp_path: Path, slo: dict[str, Any], expected: float | None
) -> None:
    folder = replace(small_run(), scenario=make_scenario(slo=slo)).save(tmp_path / "run")
    assert json.loads((folder / "manifest.json").read_text()).get("slo_percentile") == expected


def test_a_percentile_that_no_metric_has_is_in_the_summary() -> None:
    results = simulate(make_scenario(slo={"ttft": "1 s", "percentile": 97.5}))
    requests = results.requests
    ttft_s = requests["first_token_s"].to_numpy() - requests["arrival_s"].to_numpy()
    assert results.summary()["p97.5_ttft_ms"] == 1e3 * np.percentile(ttft_s, 97.5)
    assert "p99.9_ttft_ms" not in results.summary()


CLASSES = [
    {"name": "chat", "share": 0.5, "slo": {"ttft": "10 s", "percentile": 90}},
    {"name": "batch", "share": 0.3, "slo": {"tpot": "1 us"}},
    {"name": "free", "share": 0.2, "slo": {}},
]


def test_each_class_has_its_verdict_and_the_whole_meets_what_all_of_them_meet() -> None:
    workload = {
        "arrivals": {"process": "poisson", "rate": "5 /s"},
        "prompt_tokens": 100,
        "output_tokens": 20,
        "classes": CLASSES,
    }
    summary = simulate(make_scenario(workload=workload, slo={"e2el": "9 s"})).summary()
    chat, batch, free = (summary["classes"][name] for name in ("chat", "batch", "free"))
    assert (chat["slo_met"], chat["slo_percentile"], chat["slo_missed"]) == (True, 90.0, [])
    assert (batch["slo_met"], batch["slo_percentile"]) == (False, 99.0)
    assert "slo_met" not in free
    assert not summary["slo_met"]
    assert summary["slo_percentile"] == {"chat": 90.0, "batch": 99.0}
    assert summary["slo_missed"] == [{"class": "batch"} | entry for entry in batch["slo_missed"]]
    assert summary["slo_margins"].keys() == {"chat.ttft", "batch.tpot"}
    assert summary["slo_margins"]["batch.tpot"] < 0 < summary["slo_margins"]["chat.ttft"]
    assert "slo_met" not in summary["pools"]["gpus"]
    assert slo_line(summary).startswith("SLO at p90 of chat, p99 of batch: missed (batch TPOT ")


def test_a_class_without_a_percentile_has_that_of_the_scenario() -> None:
    workload = {
        "arrivals": {"process": "poisson", "rate": "5 /s"},
        "prompt_tokens": 100,
        "output_tokens": 20,
        "classes": CLASSES,
    }
    scenario = make_scenario(workload=workload, slo={"percentile": 80})
    assert [(one.name, one.percentile) for one in objectives(scenario)] == [
        ("chat.ttft", 90.0),
        ("batch.tpot", 80.0),
    ]
    assert {one.percentile for one in objectives(scenario, percentile=70.0)} == {70.0}


def test_a_summary_with_infinite_values_is_plain_json() -> None:
    cluster = {
        "pools": [make_pool()],
        "admission": {"policy": "queue_limit", "max_waiting": 1},
    }
    workload = {
        "arrivals": {"process": "at_once", "requests": 50},
        "prompt_tokens": 100,
        "output_tokens": 20,
    }
    scenario = make_scenario(cluster=cluster, workload=workload, slo={"ttft": "1 s"})
    summary = json.loads(json.dumps(simulate(scenario).summary(), allow_nan=False))
    (missed,) = summary["slo_missed"]
    lost = 100 * summary["rejected"] / 50
    assert missed["value_ms"] is None
    assert slo_line(summary) == (
        f"SLO at p99: missed (TTFT infinite > 1,000 ms, since {lost:g}% of requests did not finish)"
    )


@given(
    st.lists(st.floats(0.0, 1e3) | st.just(inf), max_size=40),
    st.floats(0.001, 100.0),
)
def test_a_percentile_with_infinite_values_is_that_of_the_sorted_ones(
    values: list[float], percentile: float
) -> None:
    """Brute force: between the two values around the place, infinite where either is and counts."""
    place = percentile / 100 * (len(values) - 1)
    expected = inf
    if values:
        below, above = sorted(values)[floor(place)], sorted(values)[ceil(place)]
        expected = below if below == above else below + (above - below) * (place - floor(place))
    assert at_percentile(np.array(values), percentile) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


@given(st.floats(1e-6, 1e6), st.integers(-3, 3))
def test_the_margin_has_the_sign_of_the_verdict(limit_s: float, steps: int) -> None:
    value_s = limit_s
    for _ in range(abs(steps)):
        value_s = nextafter(value_s, inf if steps > 0 else 0.0)
    outcome = Outcome(Objective("", "ttft", limit_s, 95.0), value_s, 0.0)
    assert (outcome.margin >= 0.0) == outcome.is_met == (steps <= 0)
