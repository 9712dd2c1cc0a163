"""Which figures an outcome hangs on: by figures whose effect is mental arithmetic."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.schema import figures
from cluster_sim.studies.sensitivity import sensitivity
from cluster_sim.studies.uncertain_figures import ends_of
from tests.commands import call

POOL = {"name": "b200", "node": "dgx-b200", "replica": {"tensor_parallel": 8, "engine": "trtllm"}}
BASE: dict[str, Any] = {
    "name": "lone",
    "model": "llama-3.1-8b",
    "workload": {
        "arrivals": {"process": "at_once", "requests": 1},
        "prompt_tokens": 100,
        "output_tokens": 5,
    },
    "cluster": {"pools": [POOL]},
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "lone.yaml"
    path.write_text(json.dumps(BASE | changes))
    return path


@pytest.mark.slow
def test_what_a_request_waits_at_the_server_adds_to_its_first_token_by_as_much(
    tmp_path: Path,
) -> None:
    """TensorRT-LLM on B200: 19.4 ms, so a tenth more or less is 1.94 ms."""
    found = sensitivity(write(tmp_path), metric="mean_ttft_ms", spread=0.1, workers=0)
    by_name = {one.figure.name: one for one in found.effects}
    overhead = by_name["b200-sxm: overheads.TensorRT-LLM 1.2.request"]
    assert (overhead.figure.low, overhead.figure.high) == ("17.46 ms", "21.34 ms")
    assert overhead.at_low - found.base == approx(-1.94)
    assert overhead.at_high - found.base == approx(1.94)
    assert [one.swing for one in found.effects] == sorted(
        (one.swing for one in found.effects), reverse=True
    )
    assert "b200-sxm: overheads.vLLM.request" not in by_name  # another engine's
    rows = {row["name"]: row for row in found.table.to_pylist()}
    assert rows["b200-sxm: overheads.TensorRT-LLM 1.2.request"]["swing"] == approx(3.88)


@pytest.mark.slow
def test_a_figure_that_two_pools_share_moves_in_both(tmp_path: Path) -> None:
    cluster = {"pools": [POOL, POOL | {"name": "other"}], "router": {"policy": "round_robin"}}
    workload = BASE["workload"] | {"arrivals": {"process": "at_once", "requests": 2}}
    found = sensitivity(
        write(tmp_path, cluster=cluster, workload=workload),
        metric="mean_ttft_ms",
        spread=0.1,
        workers=0,
    )
    overhead = next(
        one
        for one in found.effects
        if one.figure.name == "b200-sxm: overheads.TensorRT-LLM 1.2.request"
    )
    assert len(overhead.figure.keys) == 2
    assert overhead.at_high - found.base == approx(1.94)


@pytest.mark.slow
def test_an_end_that_a_figure_cannot_reach_is_left_out(tmp_path: Path) -> None:
    """0.95 of a wafer's memory can be filled: a fifth more is more than there is."""
    pool = {"name": "cs3", "node": "cs-3", "replica": {"wafers": 1, "engine": "cerebras"}}
    found = sensitivity(
        write(tmp_path, cluster={"pools": [pool]}), metric="kv_capacity_tokens", workers=0
    )
    fill = next(one for one in found.effects if one.figure.name == "wse-3: wafer.memory_fill")
    assert isnan(fill.at_high)
    assert fill.at_low < found.base


def test_a_range_in_the_catalog_comes_before_the_spread() -> None:
    (given,) = figures(
        {"value": "3 us", "range": ["2 us", "5 us"], "source": "x", "confidence": "low"}
    )
    (bare,) = figures({"value": 0.5, "source": "x", "confidence": "low"})
    (words,) = figures({"value": True, "source": "x", "confidence": "low"})
    assert ends_of(given, 0.2) == ("2 us", "5 us")
    assert ends_of(bare, 0.2) == (0.4, 0.6)
    assert ends_of(words, 0.2) is None


@pytest.mark.slow
def test_what_cannot_be_told_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ScenarioError, match="no metric 'mean_tfft_ms'; did you mean 'mean_ttft_ms'"
    ):
        cluster_sim.sensitivity(write(tmp_path), metric="mean_tfft_ms", workers=0)
    with pytest.raises(ScenarioError, match="has the variants a, b; choose one with --variant"):
        cluster_sim.sensitivity(write(tmp_path, variants={"a": {}, "b": {}}), workers=0)
    code, _, err = call(capsys, "sensitivity", write(tmp_path), "--confidence", "lo")
    assert (code, err) == (2, "--confidence: no confidence 'lo'; did you mean 'low'?\n")


@pytest.mark.slow
def test_the_command_prints_the_tornado(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, "sensitivity", write(tmp_path), "--metric", "mean_ttft_ms", "--workers", "0"
    )
    assert code == 0
    for text in (
        "lone: mean_ttft_ms is",
        "at the low end",
        "figures of low confidence or below have no effect",
    ):
        assert text in out
