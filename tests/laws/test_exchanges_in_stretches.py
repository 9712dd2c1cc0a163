"""A stretch equals its steps with exchanges of experts, uneven experts and overlapped batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster_sim.results.metrics.finished import finished
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario

DEEPEP = {"prefill": "deepep_normal", "decode": "deepep_low_latency"}
UNEVEN = {"expert_load": {"sigma": 1.05}, "redundant_experts": 32}


@pytest.mark.parametrize(
    ("node", "engine", "exchange", "keys_of_experts"),
    [
        ("dgx-h200", "sglang-0.5", DEEPEP, {}),
        ("dgx-h200", "sglang-0.5", DEEPEP, {"overlap": "two_batch", **UNEVEN}),
        ("dgx-h200", "sglang-0.5", "auto", {"data_parallel": 16, "expert_parallel": 16}),
        ("gb200-nvl72", "trtllm-1.2", "auto", UNEVEN),
    ],
)
def test_a_stretch_equals_its_steps(
    node: str, engine: str, exchange: Any, keys_of_experts: dict[str, Any]
) -> None:
    plan = {
        "data_parallel": 8,
        "expert_parallel": 8,
        "weights": "fp8",
        "engine": {"like": engine, "expert_exchange": exchange},
        **keys_of_experts,
    }
    keys = {
        "model": "deepseek-r1",
        "duration": "30 s",
        "workload": {
            "arrivals": {"process": "poisson", "rate": "2 /s"},
            "prompt_tokens": 1000,
            "output_tokens": 60,
        },
        "cluster": {
            "pools": [{"name": "a", "node": node, "nodes": 2, "replica": plan, "replicas": 1}]
        },
    }
    stretch, step = (
        finished(simulate(make_scenario(**keys, stepping=stepping)))
        for stepping in ("stretch", "step")
    )
    assert len(stretch.finish_s) > 30
    np.testing.assert_allclose(stretch.first_token_s, step.first_token_s, rtol=1e-9)
    np.testing.assert_allclose(stretch.finish_s, step.finish_s, rtol=1e-9)
