"""A stretch equals its steps with exchanges of experts that differ between phases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster_sim.results.metrics.finished import finished
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario


@pytest.mark.parametrize(
    ("node", "engine", "exchange"),
    [
        ("dgx-h200", "sglang-0.5", {"prefill": "deepep_normal", "decode": "deepep_low_latency"}),
        ("gb200-nvl72", "trtllm-1.2", "auto"),
    ],
)
def test_a_stretch_equals_its_steps(node: str, engine: str, exchange: Any) -> None:
    plan = {
        "data_parallel": 8,
        "expert_parallel": 8,
        "weights": "fp8",
        "engine": {"like": engine, "expert_exchange": exchange},
    }
    keys = {
        "model": "deepseek-r1",
        "duration": "30 s",
        "workload": {
            "arrivals": {"process": "poisson", "rate": "2 /s"},
            "prompt_tokens": 1000,
            "output_tokens": 60,
        },
        "cluster": {"pools": [{"name": "a", "node": node, "replica": plan, "replicas": 1}]},
    }
    stretch, step = (
        finished(simulate(make_scenario(**keys, stepping=stepping)))
        for stepping in ("stretch", "step")
    )
    assert len(stretch.finish_s) > 30
    np.testing.assert_allclose(stretch.first_token_s, step.first_token_s, rtol=1e-9)
    np.testing.assert_allclose(stretch.finish_s, step.finish_s, rtol=1e-9)
