"""Releases of TensorRT-LLM admit requests by their own policy, in case c1 of ../shared/cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster_sim import load_scenario
from cluster_sim.deployment.fleet import resolve
from cluster_sim.sim.simulate import simulate

CASE = Path(__file__).resolve().parents[3] / "shared" / "cases" / "c1-trtllm-no-evict.yaml"

pytestmark = [
    pytest.mark.skipif(not CASE.exists(), reason="the cases of ../shared are absent"),
    pytest.mark.slow,
]


def summary(**keys: Any) -> dict[str, Any]:
    """The summary of case c1 with half of the free memory and some keys of the pool changed."""
    changes = {f"cluster.pools.0.{key.replace('__', '.')}": value for key, value in keys.items()}
    return dict(simulate(load_scenario(CASE, overrides=changes)).summary())


@pytest.mark.parametrize("profile", ["trtllm-1.0", "trtllm-1.2", "trtllm-2025-08"])
def test_a_release_never_preempts_unless_it_is_asked_to(profile: str) -> None:
    """TensorRT-LLM issue 16827 compares both policies: MAX_UTILIZATION pauses requests."""
    reserved = summary(replica__engine=profile)
    assert (reserved["preemptions"], reserved["completed"]) == (0, 600)
    paused = summary(replica__engine=profile, batching__capacity_scheduler_policy="max_utilization")
    assert paused["preemptions"] > 0
    assert paused["completed"] == 600


def test_a_release_takes_its_share_of_what_the_weights_leave() -> None:
    """4.35 GB are reserved on each H100 of 85.5 GB; the case gives the KV cache half of the rest."""
    changes = {"cluster.pools.0.replica.engine": "trtllm-1.2"}
    placement = resolve(load_scenario(CASE, overrides=changes)).deployments[0].placement
    free_bytes = 85.5e9 - 4.35e9 - placement.weight_bytes
    assert placement.kv_bytes == pytest.approx(0.5 * free_bytes, rel=0.01)
