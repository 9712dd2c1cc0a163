"""A plan finds the deployment that brute force finds, with a part of its simulations."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import pytest

import cluster_sim
from cluster_sim.loading.files import open_scenarios
from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.results.metrics import verdict
from cluster_sim.studies.plan import plan
from cluster_sim.studies.planning.space import deployments

CHAT = """
name: chat
seed: 3
duration: 6 min
model: llama-3.1-8b
workload:
  arrivals: {arrivals}
  prompt_tokens: {{distribution: lognormal, median: 600, p99: 4000}}
  output_tokens: {{distribution: lognormal, median: 150, p99: 700}}
slo: {{ttft: 400 ms, tpot: 20 ms, percentile: 95}}
cluster:
  pools:
    - name: gpu
      node: dgx-h100
      replica: {{weights: fp8}}
      prices: dgx-h100-owned
plan:
  for: {wanted}
  vary: {vary}
"""

BATCH = "pools.gpu.batching.max_sequences: [16, 64, 256]"
RANKS = "pools.gpu.replica.tensor_parallel: [1, 2, 4, 8]"
SPACES = {
    "bursts": (
        "{process: burst, rate: 20 /s, bursts: [{at: 2 min, lasts: 20 s, rate: 120 /s}]}",
        "usd_per_hour",
        f"{{pools.gpu.nodes: [1, 2, 3, 4, 5], {RANKS}, {BATCH}}}",
    ),
    "steady": (
        "{process: poisson, rate: 60 /s}",
        "nodes",
        f"{{pools.gpu.nodes: [1, 2, 3, 4], {RANKS}, pools.gpu.replica.weights: [bf16, fp8]}}",
    ),
    "goodput": (
        "{process: gamma, rate: 90 /s, cv: 3}",
        "goodput",
        f"{{pools.gpu.nodes: [1, 2], {RANKS}, {BATCH}}}",
    ),
}


def written(tmp_path: Path, name: str) -> Path:
    arrivals, wanted, vary = SPACES[name]
    path = tmp_path / "chat.yaml"
    path.write_text(CHAT.format(arrivals=arrivals, wanted=wanted, vary=vary))
    return path


def brute_force(path: Path) -> list[tuple[Any, ...]]:
    """Whether each deployment misses the SLO, its value, its largest ratio, and what varies."""
    file = open_scenarios(path)
    assert file.plan is not None
    found = []
    for each in deployments(file, file.plan, None):
        if each.scenario is None:
            continue
        results = cluster_sim.simulate(each.scenario)
        judged = verdict.judged([results], verdict.objectives(each.scenario))
        ratio = max(one.value_s / one.objective.limit_s for one in judged.outcomes)
        value = {
            "usd_per_hour": planned_usd_per_hour(each.scenario) or inf,
            "nodes": each.scenario.cluster.pools[0].nodes,
            "goodput": -results.summary()["request_goodput"],
        }[file.plan.for_]
        order = (not judged.is_met, round(value, 6) if judged.is_met else 0.0, ratio)
        found.append((*order, dict(each.values)))
    return sorted(found, key=lambda row: row[:3])


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_plan_finds_the_winner_of_brute_force_with_a_third_of_its_requests(
    tmp_path: Path, name: str
) -> None:
    path = written(tmp_path, name)
    (chosen,) = plan(path, workers=2).chosen
    every = brute_force(path)
    assert chosen.winner is not None
    assert dict(chosen.winner.values) == every[0][3]
    assert chosen.spent <= len(every) / 3
