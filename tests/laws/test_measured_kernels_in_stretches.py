"""A stretch equals its steps with measured kernels of latent attention and of experts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster_sim.results.metrics.finished import finished
from cluster_sim.schema import catalog_entry
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario


def b200s() -> dict[str, Any]:
    """A node of B200 whose engines all have a ratio to the measured kernels."""
    device = catalog_entry("devices", "b200-sxm")
    ratios = {"measured_latent": 1.1, "measured_experts": 0.9}
    overheads = {name: times | ratios for name, times in device["overheads"].items()}
    return catalog_entry("nodes", "dgx-b200") | {"device": device | {"overheads": overheads}}


DEEPEP = {"prefill": "deepep_normal", "decode": "deepep_low_latency"}


@pytest.mark.parametrize(
    ("ranks", "exchange"), [({"tensor_parallel": 8}, "auto"), ({"data_parallel": 8}, DEEPEP)]
)
def test_a_stretch_equals_its_steps(ranks: dict[str, int], exchange: Any) -> None:
    engine = {"like": "sglang-0.5", "expert_exchange": exchange}
    plan = {"weights": "fp8", "kv_cache": "fp8", "engine": engine, "expert_parallel": 8}
    pool = {"name": "a", "node": b200s(), "replica": plan | ranks, "replicas": 1}
    keys = {
        "model": "deepseek-r1",
        "duration": "20 s",
        "workload": {
            "arrivals": {"process": "poisson", "rate": "3 /s"},
            "prompt_tokens": 20_000,
            "output_tokens": 60,
        },
        "cluster": {"pools": [pool]},
    }
    stretch, step = (
        finished(simulate(make_scenario(**keys, stepping=stepping)))
        for stepping in ("stretch", "step")
    )
    assert len(stretch.finish_s) > 30
    np.testing.assert_allclose(stretch.first_token_s, step.first_token_s, rtol=1e-9)
    np.testing.assert_allclose(stretch.finish_s, step.finish_s, rtol=1e-9)
