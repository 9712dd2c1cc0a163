"""Models with windows have the KV cache that vLLM logged, whatever `max_sequences` is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim import load_scenario
from cluster_sim.analysis.estimate import explain
from cluster_sim.deployment.fleet import resolve
from cluster_sim.physics.cache_groups import CacheGroup
from cluster_sim.sim.simulate import simulate
from tests.commands import call

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
GEMMA_2 = CASES / "b-window-room-gemma-2-27b-b200.yaml"
GEMMA_4 = CASES / "b-window-room-gemma-4-31b-h200.yaml"
MAX_SEQUENCES = "cluster.pools.0.batching.max_sequences"

pytestmark = pytest.mark.skipif(not GEMMA_4.exists(), reason="the cases of ../shared are absent")


def kv_tokens(path: Path, **changes: int) -> int:
    scenario = load_scenario(path, overrides=changes)
    return resolve(scenario).deployments[0].kv_tokens


def test_gemma_4_on_an_h200_has_about_the_tokens_that_vllm_logged() -> None:
    """626,949 in redhat-performance/configiq issue 112, which does not name the release."""
    assert kv_tokens(GEMMA_4) == pytest.approx(626_949, rel=0.1)


@pytest.mark.parametrize("path", [GEMMA_2, GEMMA_4])
def test_the_capacity_does_not_hang_on_the_number_of_sequences(path: Path) -> None:
    of_number = {count: kv_tokens(path, **{MAX_SEQUENCES: count}) for count in (16, 64, 256, 512)}
    assert max(of_number.values()) < 1.05 * min(of_number.values()), of_number


@pytest.mark.parametrize("path", [GEMMA_2, GEMMA_4])
def test_the_cases_run_to_their_end(path: Path) -> None:
    summary = simulate(load_scenario(path)).summary()
    assert summary["failed"] == summary["preemptions"] == 0
    assert summary["kv_peak_fraction"] < 0.2


def test_explain_prints_the_groups_and_their_pages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Gemma 4: ten full layers in blocks of 32 tokens, five times ten windows in blocks of 16."""
    (pool,) = explain(load_scenario(GEMMA_4))
    assert pool.kv_groups == (CacheGroup(32), CacheGroup(16, 5, "window", 1024))
    assert pool.kv_page_bytes == 10 * 16 * 16_384
    code, out, _ = call(capsys, "explain", GEMMA_4)
    text = " ".join(out.split())
    assert code == 0
    assert "groups of the whole context │ 1 x 32 tokens" in text
    assert "groups of a window │ 5 x 16 tokens of 1,024" in text
