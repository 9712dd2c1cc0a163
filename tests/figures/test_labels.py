"""Labels of runs that are shown together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from cluster_sim.figures import style
from cluster_sim.results.results import Results, load_results
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario


@cache
def run(name: str = "q", seed: int = 1) -> Results:
    return simulate(make_scenario(name=name, seed=seed, duration="1 s"))


def labels(runs: Sequence[Results]) -> list[str]:
    return [variant.label for variant in style.variants(runs)]


def within(folder: str, of: Results) -> Results:
    return replace(of, folder=Path(folder))


def test_runs_of_one_name_are_labelled_by_their_folders() -> None:
    assert labels([within("runs/a", run()), within("runs/b", run())]) == ["a", "b"]
    assert labels([within("runs/a", run(seed=1)), within("runs/b", run(seed=2))]) == ["a", "b"]
    assert labels([within("runs/a", run("p")), within("runs/b", run("q"))]) == ["p", "q"]


def test_folders_of_one_name_are_distinguished_by_their_parents() -> None:
    assert labels([within("x/q", run()), within("y/q", run())]) == ["x/q", "y/q"]
    three = [within("x/q", run()), within("y/q", run()), within("y/z", run("p"))]
    assert labels(three) == ["x/q", "y/q", "p"]


def test_runs_without_folders_get_a_seed_or_a_number() -> None:
    assert labels([run(seed=1), run(seed=2)]) == ["q, seed 1", "q, seed 2"]
    assert labels([run(), run()]) == ["q", "q (2)"]
    assert labels([within("a", run()), within("a", run())]) == ["q", "q (2)"]


def test_a_run_that_is_read_knows_its_folder(tmp_path: Path) -> None:
    folder = run().save(tmp_path / "mine")
    assert load_results(folder).folder == folder
    assert run().folder is None
