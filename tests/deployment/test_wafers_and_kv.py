"""KV cache capacity against wafers and format: scenarios/wafers_and_kv.yaml by brute force."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.schema import read_yaml
from tests.scenarios import make_scenario

FILE = Path(__file__).parents[2] / "scenarios" / "wafers_and_kv.yaml"
POOL = "cluster.pools[0]"

# Llama 3.3 70B: a layer has 8192 · (8192 + 1024 + 1024 + 8192) + 3 · 8192 · 28672 weights, and 4,096
# bytes of KV cache per token in 16 bit. Embedding and head have 128256 · 8192 each, in 16 bit.
LAYER = 855_638_016
HEAD_BYTES = 128_256 * 8192 * 2
USABLE_BYTES = 0.95 * 44e9


def capacity(wafers: int, weights: str) -> int:
    changes = {f"{POOL}.nodes": wafers, f"{POOL}.replica.wafers": wafers}
    scenario = cluster_sim.load_scenario(FILE, None, changes | {f"{POOL}.replica.weights": weights})
    return resolve(scenario).deployments[0].kv_tokens


def tokens(layers: int, weight_bytes: float, other_bytes: float) -> float:
    """Tokens of KV cache of a wafer that holds whole layers."""
    return (USABLE_BYTES - layers * LAYER * weight_bytes - other_bytes) / (layers * 4096)


def best_cut(wafers: int, weight_bytes: float) -> float:
    """Tokens on the fullest wafer of the best cut of 80 layers, with embedding first and head last."""
    best = 0.0
    for ends in range(2, 80):
        inside = -(-(80 - ends) // (wafers - 2))
        widest = -(-ends // 2)
        fullest = tokens(widest, weight_bytes, HEAD_BYTES)
        best = max(best, min(fullest, tokens(inside, weight_bytes, 0.0)))
    return best


@pytest.mark.parametrize("wafers", [4, 5, 6, 8, 10, 12])
@pytest.mark.parametrize(("weights", "weight_bytes"), [("bf16", 2.0), ("fp8", 1.0)])
def test_the_capacity_is_that_of_the_best_cut_into_whole_layers(
    wafers: int, weights: str, weight_bytes: float
) -> None:
    """Rectangles of whole rows and columns of cores cost at most 3 % more."""
    least, most = 0.97, 1.0
    assert least <= capacity(wafers, weights) / best_cut(wafers, weight_bytes) <= most


@pytest.mark.parametrize(
    ("wafers", "of_the_sum"), [(5, 207_200), (6, 334_763), (8, 589_890), (10, 845_017)]
)
def test_the_sum_of_the_sram_would_hold_more_than_whole_layers_do(
    wafers: int, of_the_sum: int
) -> None:
    """Five wafers: 209 GB less 141.1 GB of weights are 67.9 GB, 207,200 tokens of 327,680 bytes."""
    free_bytes = wafers * USABLE_BYTES - 80 * LAYER * 2 - 2 * HEAD_BYTES
    assert free_bytes / (80 * 4096) == approx(of_the_sum, abs=1)
    assert 0.88 < capacity(wafers, "bf16") / of_the_sum < 0.95


def test_the_sweep_gives_each_replica_its_nodes() -> None:
    axes = read_yaml(FILE).data["sweep"]["axes"][1]
    assert axes[f"{POOL}.nodes"] == axes[f"{POOL}.replica.wafers"] == [4, 5, 6, 8, 10, 12]


@pytest.mark.parametrize(("weights", "wafers"), [("fp4", 2), ("bf16", 7)])
def test_gpt_oss_120b_takes_two_wafers_in_its_own_format_and_seven_in_16_bit(
    weights: str, wafers: int
) -> None:
    """Experts: 36 layers, 128 of them, 3 x 2880 x 2880 weights: 114.7 G, in mxfp4 61 GB.

    With 2.1 G other weights in 16 bit that is 65 GB of the 38.7 GB that weights fill on a wafer. In
    16 bit all weights are 233.6 GB: 6.03 wafers, and 36 whole layers of 6.4 GB are six on each.
    """
    experts = 36 * 128 * 3 * 2880 * 2880
    size_bytes = (experts * 4.25 / 8 if weights == "fp4" else experts * 2) + 2.1e9 * 2
    assert -(-size_bytes // (0.88 * 44e9)) == wafers
    pool = {"name": "a", "node": "cs-3", "nodes": wafers, "replica": {"weights": weights, "engine": "cerebras"}}  # fmt: skip
    made = make_scenario(model="gpt-oss-120b", cluster={"pools": [pool]})
    assert resolve(made).deployments[0].devices_per_replica == wafers
