"""A run while it goes on: figures from rows as they are recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

import cluster_sim
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.snapshot import SnapshotReader
from cluster_sim.sim.build import Simulation
from cluster_sim.sim.simulate import simulate
from tests.changing_clusters import BUSY, Change, with_changes
from tests.scenarios import make_scenario

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("file", "variant"),
    [
        ("kv_swap", "recompute"),
        ("static_vs_continuous", "static"),
        ("speculation_70b", "eagle"),
        ("speculation_70b", "plain"),
    ],
)
def test_every_output_token_is_counted_once_however_often_one_looks(
    file: str, variant: str
) -> None:
    reader, kept = SnapshotReader(), []

    def watch(now_s: float, recorder: Recorder) -> None:
        kept[:] = [recorder]
        seen = reader.read(now_s, recorder)
        assert 0 <= seen.waiting <= recorder.inside == seen.waiting + seen.running
        assert seen.arrived == seen.left + seen.rejected + seen.waiting + seen.running

    results = simulate(
        cluster_sim.load_scenario(ROOT / "scenarios" / f"{file}.yaml", variant=variant), watch=watch
    )
    last = reader.read(results.info.simulated_s, kept[0])
    assert last.output_tokens == pytest.approx(sum(results.requests["output_tokens"].to_pylist()))
    assert last.left == results.summary()["completed"]
    assert reader.read(results.info.simulated_s, kept[0]) == last


def test_a_replica_is_as_its_last_stretch_began(scenario: Path) -> None:
    reader, kept = SnapshotReader(), []
    results = simulate(
        cluster_sim.load_scenario(scenario, variant="b200"),
        watch=lambda now_s, recorder: kept.append(recorder),
    )
    seen = reader.read(0.0, kept[0])
    rows = results.stretches.to_pylist()
    assert seen.sequences == {0: (rows[-1]["running"], rows[-1]["waiting"], rows[-1]["kv_tokens"])}


def test_a_replica_that_is_lost_has_no_requests_and_is_not_ready() -> None:
    """The only replica is lost from 10 to 20 s; before, nothing says that it might not be ready."""
    reader, seen = SnapshotReader(), []

    def look(simulation: Simulation) -> None:
        seen.append(reader.read(simulation.env.now, simulation.recorder))

    scenario = make_scenario(workload=BUSY, duration="30 s")
    changes: list[Change] = [
        (5.0, look),
        (10.0, lambda run: run.lifecycles[0].lose("node_failure")),
        (15.0, look),
        (20.0, lambda run: run.lifecycles[0].repair()),
        (25.0, look),
    ]
    with_changes(scenario, changes)
    assert [each.unready for each in seen] == [None, 1, 0]
    assert [set(each.sequences) for each in seen] == [{0}, set(), {0}]
    assert seen[1].running == 0
