"""Nodes under a power cap: counts and shares by hand, and what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.studies.nodes_under_cap import GrowthOption, GrowthTrial
from tests.commands import call
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.sim.test_power_cap import GOVERNOR, POWER

MACHINE = node(SMALL_GPU | {"power": POWER, "governor": GOVERNOR}) | {
    "power": {"base": "100 W", "most": "100 W"}
}
POOL = {"node": MACHINE, "replica": {"engine": engine()}}
ROW: dict[str, Any] = {
    "name": "row", "seed": 4, "model": TINY_MODEL, "duration": "3 s", "slo": {"ttft": "2 s", "tpot": "1 s"},
    "workload": {"arrivals": {"process": "poisson", "rate": "8 /s"}, "prompt_tokens": 200, "output_tokens": 60},
    "cluster": {"pools": [POOL | {"name": "a", "nodes": 2}, POOL | {"name": "b", "nodes": 4}]},
    "site": {"row_power_cap": "3 kW"},
    "capacity": {"for": "nodes_under_cap", "growth": [0.0, 0.5]},
}  # fmt: skip


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "row.yaml"
    path.write_text(json.dumps(ROW | changes))
    return path


def test_nodes_of_each_pool_and_traffic_grow_under_the_same_cap(tmp_path: Path) -> None:
    """Six nodes draw 500 W at most each: 3 kW; nine draw half as much more."""
    answer = cluster_sim.nodes_under_cap(written(tmp_path), workers=0)
    before, after = answer.options[0].trials
    assert (before.nodes, after.nodes) == (6, 9)
    assert (before.nameplate, after.nameplate) == (approx(1.0), approx(1.5))
    assert before.capped == 0.0 < after.capped
    assert 1.2 * before.mean_power < after.mean_power < 1.5 * before.mean_power
    assert before.over_cap == 0.0
    assert after.latencies_s["tpot"] > before.latencies_s["tpot"]
    assert answer.table.column("nodes").to_pylist() == [6, 9]


def test_the_command_prints_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "capacity", written(tmp_path), "--workers", "0")
    assert code == 0
    assert "9 nodes (+50%) meet the SLO without a power brake" in out


def test_nodes_whose_idle_power_is_above_the_cap_do_not_fit(tmp_path: Path) -> None:
    """24 idle nodes draw 80 + 100 W each: 4,320 W, of which 3 kW are there."""
    capacity = {"for": "nodes_under_cap", "growth": [3.0]}
    (trial,) = cluster_sim.nodes_under_cap(written(tmp_path, capacity=capacity), workers=0).options[0].trials  # fmt: skip
    assert (trial.nodes, trial.good) == (24, False)
    assert trial.fault == "a cap is 1320 W below the idle power of its nodes"


def test_the_answer_is_the_last_of_the_first_good_trials() -> None:
    good = {"margins": {"ttft": 0.1}}
    trials = [
        GrowthTrial(0.0, 10, **good),
        GrowthTrial(0.1, 11, **good),
        GrowthTrial(0.2, 12, **good, brakes=1.0),
        GrowthTrial(0.3, 13, **good),
    ]
    assert GrowthOption({}, tuple(trials)).answer is trials[1]
    assert GrowthOption({}, tuple(trials[2:])).answer is None


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"site": {}}, "nodes_under_cap needs a cap; expected site.row_power_cap"),
        ({"slo": None}, "'slo' is missing"),
        ({"cluster": {"pools": [POOL | {"name": "a", "nodes": 6, "replicas": 2}]}}, "expected no 'replicas'"),
        ({"capacity": {"for": "nodes_under_cap", "rate": "5 /s"}}, "expected no 'rate'"),
        ({"capacity": {"for": "nodes_under_cap", "growth": [0.2, 0.1]}}, "expected 'growth' in ascending order"),
    ],
)  # fmt: skip
def test_what_cannot_grow_is_refused(changes: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    changed = {key: value for key, value in changes.items() if value is not None}
    path = written(tmp_path, **changed)
    if changes.get("slo", "") is None:
        path.write_text(json.dumps({key: value for key, value in ROW.items() if key != "slo"}))
    with pytest.raises(ScenarioError, match=wanted):
        cluster_sim.nodes_under_cap(path, workers=0)


def grown(tmp_path: Path, *growth: float, **changes: Any) -> GrowthOption:
    capacity = {"for": "nodes_under_cap", "growth": growth}
    path = written(tmp_path, duration="1 s", capacity=capacity, **changes)
    return cluster_sim.nodes_under_cap(path, workers=0).options[0]


def test_growth_that_adds_no_whole_node_is_left_out(tmp_path: Path) -> None:
    """A tenth of two and of four nodes is none; a fifth of them is one node of four: a sixth of all."""
    option = grown(tmp_path, 0.0, 0.1, 0.2)
    assert [trial.nodes for trial in option.trials] == [6, 7]
    assert [trial.growth for trial in option.trials] == approx([0.0, 1 / 6])
    assert option.left_out == (0.1,)


def test_nodes_whose_lowest_clock_exceeds_the_cap_do_not_fit(tmp_path: Path) -> None:
    """A cap of 1.2 kW leaves six devices 20 W above their idle power, and their clocks stay above 90 %."""
    stiff = MACHINE | {"device": MACHINE["device"] | {"governor": GOVERNOR | {"floor": "0.9 GHz"}}}
    pools = [POOL | {"name": "a", "nodes": 6, "node": stiff}]
    option = grown(tmp_path, 0.0, cluster={"pools": pools}, site={"row_power_cap": "1.2 kW"})
    only = option.trials[0]
    assert min(only.margins.values()) > 0.0
    assert only.highest > 1.05 and option.answer is None
