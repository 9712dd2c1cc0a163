"""Tables of studies have the columns that are described, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cluster_sim.results.columns import Column
from cluster_sim.results.metrics.table import METRICS
from cluster_sim.studies.capacity import capacity
from cluster_sim.studies.columns import AXIS, CAPACITY, OBJECTIVE, PLAN, SENSITIVITY, SWEEP
from cluster_sim.studies.plan import plan
from cluster_sim.studies.sensitivity import Effect, Sensitivity
from cluster_sim.studies.sweep import sweep
from cluster_sim.studies.uncertain_figures import Uncertain

KEY = "cluster.pools[0].replica.tensor_parallel"
FILE = f"""
name: tiny
duration: 5 s
model: llama-3.1-8b
workload:
  arrivals: {{process: poisson, rate: 4 /s}}
  prompt_tokens: 100
  output_tokens: 10
slo: {{ttft: 1 s, e2el: 2 s}}
cluster:
  pools: [{{name: h100, node: dgx-h100, nodes: 1, replica: {{tensor_parallel: 8}}}}]
variants:
  only: {{}}
sweep:
  axes:
    - {KEY}: [8]
capacity:
  rate: 4 /s
  axes:
    - {KEY}: [8]
plan:
  vary:
    pools[0].replica.tensor_parallel: [8]
"""


def expected(columns: Iterable[Column]) -> list[str]:
    """Return the names of columns in a table with one axis and two objectives."""
    names = []
    for each in columns:
        objectives = ("ttft", "e2el") if OBJECTIVE in each.name else ("",)
        names += [each.name.replace(OBJECTIVE, name) for name in objectives]
    return [KEY if name == AXIS else name for name in names]


@pytest.mark.parametrize(
    ("table_of", "columns"),
    [
        (lambda path: capacity(path, workers=0).table, CAPACITY),
        (lambda path: plan(path, workers=0).table, PLAN),
    ],
    ids=["capacity", "plan"],
)
def test_a_table_has_the_columns_that_are_described(
    table_of: Callable[[Path], Any],
    columns: tuple[Column, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(FILE)
    assert sorted(table_of(path).column_names) == sorted(expected(columns))


def test_the_table_of_a_sweep_has_the_described_columns_and_names_of_the_summary(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(FILE)
    names = sweep(path, tmp_path / "out", workers=0).column_names
    described = expected(SWEEP)
    assert [name for name in names if name not in METRICS] == described
    assert [name for name in names if name not in described and name not in METRICS] == []


def test_the_table_of_sensitivity_has_the_described_columns() -> None:
    figure = Uncertain("a: b", ("c",), "1", 0.5, 2.0, "low", "")
    values: dict[str, Any] = {each.name: 1.0 for each in fields(Effect)} | {"figure": figure}
    answer = Sensitivity("tiny", "p99_ttft_ms", 1.0, (Effect(**values),), 0)
    assert answer.table.column_names == expected(SENSITIVITY)
