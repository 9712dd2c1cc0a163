"""Exchanges of experts that are written as options of engines are read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster_sim.export.deploy import emitted
from cluster_sim.scenario.exchanges import exchanges_of
from tests.export.test_deployments import read_back
from tests.loading.test_expert_exchange import keys
from tests.scenarios import make_scenario

PHASES = {"prefill": "deepep_normal", "decode": "deepep_low_latency"}


@pytest.mark.parametrize(
    ("engine", "exchange", "options"),
    [
        ("sglang-0.5", PHASES, ["--moe-a2a-backend deepep", "--deepep-mode auto"]),
        ("sglang-0.5", "deepep_low_latency", ["--deepep-mode low_latency"]),
        ("sglang-0.5", "all_gather_reduce_scatter", ["--moe-a2a-backend none"]),
        ("vllm-0.22", "deepep_normal", ["--all2all-backend deepep_high_throughput"]),
        ("vllm-0.22", PHASES, ['expert_exchange: {"prefill": "deepep_normal"']),  # a comment
        ("trtllm-1.2", "deepep_normal", ['expert_exchange: "deepep_normal"']),  # of no option
    ],
)
def test_an_exchange_comes_back_the_same(
    engine: str, exchange: Any, options: list[str], tmp_path: Path
) -> None:
    changes = keys(exchange, engine={"like": engine, "expert_exchange": exchange})
    scenario = make_scenario(**changes)
    text = emitted(scenario, engine.partition("-")[0]).text
    for option in options:
        assert option in text
    (pool,), (back,) = scenario.cluster.pools, read_back(text, tmp_path).cluster.pools
    assert exchanges_of(back, scenario.model) == exchanges_of(pool, scenario.model)
