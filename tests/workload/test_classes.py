"""Classes of traffic: who belongs to which, and what is said of each."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.request import Request
from cluster_sim.workload.classes import TrafficClass, labelled
from cluster_sim.workload.generate import lengths, lengths_by_class
from cluster_sim.workload.lengths import Fixed, Uniform
from tests.laws.test_conservation import column, run


def classes(*rows: dict[str, Any]) -> list[TrafficClass]:
    return [
        TrafficClass.model_validate({"name": f"c{number}"} | row) for number, row in enumerate(rows)
    ]


def test_requests_fall_to_classes_by_their_shares_and_get_their_priority() -> None:
    routed: list[Request] = []
    route = labelled(
        routed.append,
        classes({"share": 0.2, "priority": 3}, {"share": 0.5}, {"share": 0.3, "priority": -1}),
        seed=1,
    )
    for number in range(20_000):
        route(Request(number, 0.0, 1, 1))
    counts = np.bincount([request.class_number for request in routed]) / 20_000
    assert counts == pytest.approx([0.2, 0.5, 0.3], abs=0.012)
    assert {(request.class_number, request.priority) for request in routed} == {
        (0, 3),
        (1, 0),
        (2, -1),
    }


def test_a_class_has_its_own_lengths_and_leaves_those_of_the_others_as_they_were() -> None:
    prompt, output = Uniform(low=1, high=1000), Uniform(low=1, high=1000)
    alone = list(islice(lengths(prompt, output, 5), 9000))
    both = list(
        islice(
            lengths_by_class(
                prompt, output, classes({"share": 0.6}, {"share": 0.4, "output_tokens": 7}), 5
            ),
            9000,
        )
    )
    assert [pair[0] for pair in both] == [pair[0] for pair in alone]
    changed = [mine != theirs for (_, mine), (_, theirs) in zip(both, alone, strict=True)]
    assert all(pair[1] == 7 for pair, other in zip(both, changed, strict=True) if other)
    assert np.mean(changed) == pytest.approx(0.4, abs=0.02)


def test_the_workload_needs_no_lengths_where_every_class_has_its_own() -> None:
    own = classes(
        {"share": 0.5, "prompt_tokens": 3, "output_tokens": 4},
        {"share": 0.5, "prompt_tokens": 5, "output_tokens": 6},
    )
    assert set(islice(lengths_by_class(None, None, own, 0), 100)) == {(3, 4), (5, 6)}
    assert own[0].prompt_tokens == Fixed(tokens=3)


def test_each_class_is_judged_by_its_own_slo_and_the_whole_by_those_of_all(tmp_path: Path) -> None:
    workload = {
        "arrivals": {"process": "poisson", "rate": "40 /s"}, "prompt_tokens": 60, "output_tokens": {"distribution": "uniform", "low": 2, "high": 60},
        "classes": [{"name": "a", "share": 0.5, "slo": {"ttft": "40 ms"}}, {"name": "b", "share": 0.3, "slo": {"e2el": "80 ms"}}, {"name": "c", "share": 0.2}],
    }  # fmt: skip
    results = run(
        tmp_path, "poisson", "least_work", workload=workload, slo={"tpot": "3 ms"}, duration="10 s"
    )
    mine = column(results, "counted")
    arrival_s, first_s, finish_s, output, class_ = (
        column(results, name)[mine]
        for name in ("arrival_s", "first_token_s", "finish_s", "output_tokens", "class")
    )
    good = {
        "a": first_s - arrival_s <= 0.04,
        "b": finish_s - arrival_s <= 0.08,
        "c": (finish_s - first_s) / (output - 1) <= 0.003,
    }
    summary = results.summary()
    for name, met in good.items():
        part = summary["classes"][name]
        assert part["slo_attainment"] == pytest.approx(np.mean(met[class_ == name]))
        assert part["median_ttft_ms"] == pytest.approx(
            1e3 * np.median((first_s - arrival_s)[class_ == name])
        )
        assert 0.05 < part["slo_attainment"] < 1.0
    all_good = sum(int(np.sum(met[class_ == name])) for name, met in good.items())
    assert summary["slo_attainment"] == pytest.approx(all_good / len(arrival_s))
    assert summary["request_goodput"] == pytest.approx(all_good / summary["duration"])


def test_a_trace_is_split_into_classes_too_but_keeps_its_lengths(tmp_path: Path) -> None:
    rows = [f"2024-01-01 00:00:{second:02d},{100 + second},{1 + second}" for second in range(60)]
    (tmp_path / "trace.csv").write_text(
        "\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows])
    )
    halves = [{"name": "a", "share": 0.5, "priority": 2}, {"name": "b", "share": 0.5}]
    workload = {
        "trace": {"format": "azure", "path": str(tmp_path / "trace.csv")},
        "classes": halves,
    }
    results = run(
        tmp_path, "poisson", "least_work", workload=workload, warmup="0 s", duration="1 h"
    )
    assert list(column(results, "prompt_tokens")) == list(range(100, 160))
    assert 15 < np.sum(column(results, "class") == "a") < 45
    halves[1]["output_tokens"] = 5
    with pytest.raises(
        cluster_sim.ScenarioError,
        match=r"workload\.classes\[1\]\.output_tokens: a trace brings its own",
    ):
        run(tmp_path, "poisson", "least_work", workload=workload)
