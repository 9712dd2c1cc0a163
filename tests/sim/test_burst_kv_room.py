"""What the scenario's comment says, on a minute of it: wafers are even until their KV room is
spent, GPUs slow down step by step.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cluster_sim

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "burst_kv_room.yaml"


@cache
def summary(variant: str, rate_per_s: float, watermark: float | None = None) -> dict[str, Any]:
    """A burst of a minute at this rate."""
    burst = {"at": "10 s", "lasts": "60 s", "rate": f"{rate_per_s} /s"}
    changes = {"duration": "80 s", "workload.arrivals.bursts": [burst]} | (
        {} if watermark is None else {"cluster.pools[0].kv.watermark": watermark}
    )
    return cluster_sim.simulate(
        cluster_sim.load_scenario(SCENARIO, variant=variant, overrides=changes)
    ).summary()


def test_first_tokens_of_wafers_are_even_until_kv_room_is_spent_and_then_queue_at_once() -> None:
    little, more, much = (summary("cs3", rate) for rate in (2, 6, 20))
    assert more["median_ttft_ms"] < 1.3 * little["median_ttft_ms"]
    assert little["kv_peak_fraction"] < 0.5 and little["preemptions"] == more["preemptions"] == 0
    assert much["kv_peak_fraction"] > 0.99
    assert much["median_ttft_ms"] > 50 * more["median_ttft_ms"]


def test_first_tokens_of_gpus_come_later_step_by_step() -> None:
    ttft_ms = [summary("b200", rate)["median_ttft_ms"] for rate in (2, 6, 16)]
    assert ttft_ms == sorted(ttft_ms)
    assert ttft_ms[2] < 3 * ttft_ms[0]
    assert summary("b200", 16)["kv_peak_fraction"] < 0.2


def test_they_change_places_for_the_first_token_and_not_for_those_after_it() -> None:
    assert summary("cs3", 6)["median_ttft_ms"] < summary("b200", 6)["median_ttft_ms"]
    for rate in (16, 20):
        assert summary("cs3", rate)["median_ttft_ms"] > summary("b200", rate)["median_ttft_ms"]
    for rate in (2, 6, 16, 20):
        assert summary("cs3", rate)["median_tpot_ms"] < summary("b200", rate)["median_tpot_ms"] / 2


def test_sequences_admitted_to_the_brim_preempt_each_other_without_end_and_a_tenth_of_the_room_spares_that() -> (
    None
):
    brim, tenth = summary("cs3", 16, watermark=0.0), summary("cs3", 16)
    assert brim["preemptions"] > 100 * tenth["preemptions"]
    assert brim["median_ttft_ms"] > 10 * tenth["median_ttft_ms"]


def test_memoryx_spares_the_prompts_of_preempted_requests() -> None:
    again, kept = (summary(variant, 16, watermark=0.0) for variant in ("cs3", "cs3-memoryx"))
    assert kept["preemptions"] > 0
    assert kept["output_throughput"] > again["output_throughput"]
