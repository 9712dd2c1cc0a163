"""Models with windows have the KV cache that vLLM logged, whatever `max_sequences` is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim import load_scenario
from cluster_sim.deployment.fleet import resolve
from cluster_sim.sim.simulate import simulate

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
GEMMA_2 = CASES / "b-window-room-gemma-2-27b-b200.yaml"
GEMMA_4 = CASES / "b-window-room-gemma-4-31b-h200.yaml"
MAX_SEQUENCES = "cluster.pools.0.batching.max_sequences"

pytestmark = pytest.mark.skipif(not GEMMA_4.exists(), reason="the cases of ../shared are absent")


def kv_tokens(path: Path, **changes: int) -> int:
    scenario = load_scenario(path, overrides=changes)
    return resolve(scenario).deployments[0].kv_tokens


def test_gemma_4_on_an_h200_has_about_the_tokens_that_vllm_logged() -> None:
    """626,949 in redhat-performance/configiq issue 112."""
    assert kv_tokens(GEMMA_4) == pytest.approx(626_949, rel=0.05)


@pytest.mark.parametrize("path", [GEMMA_2, GEMMA_4])
def test_the_capacity_does_not_hang_on_the_number_of_sequences(path: Path) -> None:
    of_number = {count: kv_tokens(path, **{MAX_SEQUENCES: count}) for count in (16, 64, 256, 512)}
    assert max(of_number.values()) < 1.05 * min(of_number.values()), of_number


@pytest.mark.parametrize("path", [GEMMA_2, GEMMA_4])
def test_the_cases_run_to_their_end(path: Path) -> None:
    summary = simulate(load_scenario(path)).summary()
    assert summary["failed"] == summary["preemptions"] == 0
    assert summary["kv_peak_fraction"] < 0.2
