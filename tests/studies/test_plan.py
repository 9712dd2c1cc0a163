"""A plan finds the deployment that brute force finds, with a part of its simulations."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import pytest

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import open_scenarios
from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.results.metrics import verdict
from cluster_sim.studies.plan import plan
from cluster_sim.studies.planning.answer import Chosen
from cluster_sim.studies.planning.bounds import ruled_out
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


SMALL = """
name: small
seed: 3
duration: 20 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 20 /s}
  prompt_tokens: 600
  output_tokens: 100
slo: {ttft: 400 ms, tpot: 20 ms, percentile: 95}
cluster:
  pools:
    - name: gpu
      node: dgx-h100
      replica: {weights: fp8}
plan:
  vary: {pools.gpu.nodes: [1, 2], pools.gpu.replica.tensor_parallel: [1, 2, 8]}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def answered(path: Path, *sets: str, out: Path | None = None, **options: Any) -> Chosen:
    (chosen,) = plan(path, out, sets=sets, workers=0, **options).chosen
    return chosen


def nodes_and_ranks(chosen: Chosen) -> list[tuple[int, int]]:
    return [tuple(each.values.values()) for each in chosen.simulated]  # type: ignore[misc]


def test_another_percentile_is_judged_anew_in_the_same_folder(small: Path, tmp_path: Path) -> None:
    limit = "slo.tpot=3 ms"  # TP8 on two nodes keeps 3 ms at p50, and not at p95
    assert answered(small, limit, out=tmp_path / "kept").winner is None
    half = answered(small, limit, "plan.percentile=50", out=tmp_path / "kept")
    assert half.winner is not None
    assert half.winner.trial.latencies_s["tpot"] <= 3e-3


def test_one_node_wins_where_one_node_is_enough_and_more_nodes_show_what_they_buy(
    small: Path,
) -> None:
    chosen = answered(small)
    assert chosen.winner is not None
    assert chosen.winner.values["cluster.pools.gpu.nodes"] == 1
    one = chosen.winner
    (two,) = [each for each in chosen.ranked if each.values["cluster.pools.gpu.nodes"] == 2]
    assert two.values == {**one.values, "cluster.pools.gpu.nodes": 2}
    assert two.usd_per_hour == pytest.approx(2 * (one.usd_per_hour or 0), rel=1e-9)
    assert two.trial.latencies_s["tpot"] < one.trial.latencies_s["tpot"]


def test_a_plan_that_is_repeated_simulates_nothing_again(small: Path, tmp_path: Path) -> None:
    first, counts = answered(small, out=tmp_path / "kept"), []
    again = answered(small, out=tmp_path / "kept", progress=counts.append)
    assert not counts
    assert nodes_and_ranks(again) == nodes_and_ranks(first)
    assert [each.trial for each in again.simulated] == [each.trial for each in first.simulated]


def test_the_fewest_nodes_are_one(small: Path) -> None:
    chosen = answered(small, "plan.for=nodes")
    assert chosen.winner is not None
    assert chosen.winner.scenario.cluster.pools[0].nodes == 1


def test_the_most_goodput_needs_both_nodes(small: Path) -> None:
    # 500 requests/s exceed one node and not by much two, so that two serve about twice as many
    chosen = answered(
        small, "plan.for=goodput", "plan.rate=500 /s", "duration=4 s", "slo.ttft=20 s",
        "slo.percentile=5",
    )  # fmt: skip
    assert chosen.winner is not None
    assert chosen.winner.values["cluster.pools.gpu.nodes"] == 2


def test_the_lowest_power_is_that_of_one_node_and_not_of_two(small: Path) -> None:
    chosen = answered(small, "plan.for=power")
    assert chosen.winner is not None
    assert chosen.winner.values["cluster.pools.gpu.nodes"] == 1
    powers = [each.trial.figures["mean_power_w"] for each in chosen.ranked]
    assert powers == sorted(powers)


def test_arithmetic_rules_out_what_a_request_alone_cannot_reach(small: Path) -> None:
    chosen = answered(small, "slo.tpot=1 ms")  # 8 GB of weights take 2.4 ms from one H100
    assert not chosen.simulated
    assert sum(chosen.omitted.values()) == chosen.total == 6


@pytest.mark.parametrize("limit", ["slo.tpot=3 ms", "slo.tpot=4 ms", "slo.ttft=25 ms"])
def test_what_ends_early_or_is_ruled_out_misses_the_slo_at_full_length(
    small: Path, limit: str
) -> None:
    chosen = answered(small, limit)
    file = open_scenarios(small, [limit])
    assert file.plan is not None
    every = [each.scenario for each in deployments(file, file.plan, None)]
    out = [each for each in every if each and ruled_out(each, verdict.objectives(each))]
    assert len(out) == sum(chosen.omitted.values())
    checked = out + [each.scenario for each in chosen.simulated if each.trial.misses]
    assert checked
    for scenario in checked:
        judged = verdict.judged([cluster_sim.simulate(scenario)], verdict.objectives(scenario))
        assert not judged.is_met


def test_without_a_winner_the_nearest_deployment_is_simulated_whole(small: Path) -> None:
    chosen = answered(small, "slo.tpot=3 ms")
    assert chosen.winner is None
    assert chosen.nearest is chosen.ranked[0]
    assert chosen.nearest.is_full
    assert not chosen.nearest.trial.misses
    results = cluster_sim.simulate(chosen.nearest.scenario)
    judged = verdict.judged([results], verdict.objectives(chosen.nearest.scenario))
    values = {each.objective.name: each.value_s for each in judged.outcomes}
    assert chosen.nearest.trial.latencies_s == values


def test_without_vary_nodes_and_tensor_parallelism_vary(small: Path) -> None:
    chosen = answered(small, "plan=null")
    values = [each.values for each in chosen.simulated]
    assert {each["cluster.pools[0].replica.tensor_parallel"] for each in values} == {1, 2, 4, 8}
    assert {each["cluster.pools[0].nodes"] for each in values} == {1, 2}


def test_excluded_deployments_are_not_counted(small: Path) -> None:
    chosen = answered(small, "plan.exclude=[{pools.gpu.nodes: 2}]")
    assert chosen.total == 3
    assert {nodes for nodes, _ in nodes_and_ranks(chosen)} == {1}


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ("slo=null", "'slo' is missing"),
        ("plan.vary={pools.gp.nodes: [1]}", "no pool 'gp'; did you mean 'gpu'?"),
        ("plan.vary={pools.gpu.nods: [1]}", "unknown key 'nods'; did you mean 'nodes'?"),
        ("plan.vary={seed: [1, 2]}", "traffic and SLO are the same for all"),
        ("plan.vary={slo.tpot: [20 ms]}", "traffic and SLO are the same for all"),
        ("plan.for=usd", "did you mean 'usd_per_hour'?"),
        ("plan.exclude=[{pools.gpu.nodes: [1, 2]}]", "'exclude' removes every deployment"),
        ("plan.rate=0 /s", "plan.rate"),
    ],
)
def test_a_fault_of_the_plan_is_named(small: Path, sets: str, message: str) -> None:
    with pytest.raises(ScenarioError) as fault:
        answered(small, sets)
    assert message in str(fault.value)


def test_a_plan_for_money_names_the_pool_without_prices(small: Path) -> None:
    with pytest.raises(ScenarioError, match=r"plan\.for: nodes"):
        answered(
            small,
            "cluster.pools[0].prices=null",
            "cluster.pools[0].node={like: dgx-h100, prices: null}",
        )
