"""Prefill instead of decode, as SGLang does it: case c3 of ../shared/cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster_sim import load_scenario, simulate

CASE = Path(__file__).resolve().parents[3] / "shared" / "cases" / "c3-sglang-closed-loop.yaml"

MIXED = {"like": "sglang-0.5", "prefill_first": None}
"""SGLang's limits and times with vLLM's steps."""

pytestmark = pytest.mark.skipif(not CASE.exists(), reason="the cases of ../shared are absent")


def summary_of(**changes: Any) -> dict[str, Any]:
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return simulate(load_scenario(CASE, overrides=overrides)).summary()


@pytest.mark.slow
def test_waves_of_equal_requests_wait_for_their_first_tokens_and_decode_without_prompts() -> None:
    """All 128 fit and give 1,024 tokens each, so they begin and end together, in ten waves.

    A wave prefills in 16 steps of 8,192 tokens of about 0.48 s, so the mean first token is at 8.5
    steps. Each request has one long gap among 1,023, which is below the 99th percentile.
    """
    apart = summary_of()
    mixed = summary_of(cluster__pools__0__replica__engine=MIXED)
    assert apart["completed"] == 1280
    assert apart["preemptions"] == 0
    assert 4_000.0 < apart["mean_ttft_ms"] < 4_700.0  # another simulator: 4,472
    assert apart["mean_ttft_ms"] > 1.5 * mixed["mean_ttft_ms"]
    assert 30.0 < apart["mean_tpot_ms"] < 36.0  # another simulator: 30.2
    assert 30.0 < apart["p99_itl_ms"] < 37.0  # another simulator: 30
    assert mixed["p99_itl_ms"] > 400.0
    assert apart["mean_tpot_ms"] < mixed["mean_tpot_ms"]
    # the first eight prompts wait for the fifteen steps of the others; the engine adds 0.1 s to TTFT
    steps_ms = apart["mean_ttft_ms"] - 105.0
    assert apart["max_itl_ms"] == pytest.approx(15 / 8.5 * steps_ms, rel=0.02)
    assert apart["mean_itl_ms"] == pytest.approx(apart["mean_tpot_ms"], rel=1e-9)


@pytest.mark.slow
def test_requests_of_different_lengths_stop_each_other_in_more_than_one_gap_of_a_hundred() -> None:
    """A prompt stops all others, so its step is in the 99th percentile once waves have dissolved."""
    lengths = {"distribution": "uniform", "low": 512, "high": 1536}
    apart = summary_of(workload__output_tokens=lengths)
    assert apart["completed"] == 1280
    assert apart["p99_itl_ms"] > 60.0
    assert apart["mean_itl_ms"] == pytest.approx(apart["mean_tpot_ms"], rel=0.05)
