"""Axes of a sweep are found by the names that a user writes: keys of the file, ends, pools by name."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.figures.axis_names import column, pools_of
from tests.commands import call
from tests.figures.test_study_figures import folder, sweep_rows

KEYS = ("workload.arrivals.rate", "cluster.pools[0].nodes", "cluster.pools[1].nodes")
TABLE = pa.table(
    {
        "point": [json.dumps(dict.fromkeys(KEYS, 1))],
        "workload.arrivals.rate_per_s": [1.0],
        "cluster.pools[0].nodes": [1],
        "cluster.pools[1].nodes": [1],
        "p99_ttft_ms": [9.0],
    }
)
POOLS = {"0": {"b200", "h100"}, "1": {"cs3"}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("workload.arrivals.rate", "workload.arrivals.rate_per_s"),
        ("arrivals.rate", "workload.arrivals.rate_per_s"),
        ("rate", "workload.arrivals.rate_per_s"),
        ("workload.arrivals.rate_per_s", "workload.arrivals.rate_per_s"),
        ("p99_ttft_ms", "p99_ttft_ms"),
        ("cluster.pools[1].nodes", "cluster.pools[1].nodes"),
        ("pools[1].nodes", "cluster.pools[1].nodes"),
        ("cluster.pools.cs3.nodes", "cluster.pools[1].nodes"),
        ("pools.b200.nodes", "cluster.pools[0].nodes"),
        ("h100.nodes", "cluster.pools[0].nodes"),
    ],
)
def test_a_name_is_a_column_or_a_key_of_the_file_or_its_end(asked: str, expected: str) -> None:
    assert column(asked, TABLE, POOLS, "heatmap") == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("nodes", "'nodes' may be cluster.pools[0].nodes or cluster.pools[1].nodes; expected one"),
        ("quux", f"no axis or column 'quux'; the axes are {', '.join(KEYS)}"),
        ("p99_tfft_ms", "no axis or column 'p99_tfft_ms'; did you mean 'p99_ttft_ms'?"),
        ("pools.gb200.nodes", "no axis or column 'pools.gb200.nodes'"),
        ("a.workload.arrivals.rate", "no axis or column"),
    ],
)
def test_a_name_of_no_axis_or_of_two_is_answered_with_the_axes(asked: str, message: str) -> None:
    with pytest.raises(ScenarioError) as fault:
        column(asked, TABLE, POOLS, "heatmap")
    assert message in str(fault.value)


def test_a_key_that_names_a_pool_is_found_by_its_index_too() -> None:
    table = pa.table({"point": ['{"cluster.pools.cs3.nodes": 1}'], "cluster.pools.cs3.nodes": [1]})
    assert column("pools[1].nodes", table, {"cs3": {"1"}}, "x") == "cluster.pools.cs3.nodes"


def test_a_table_of_another_study_keeps_its_names() -> None:
    assert column("nodes", pa.table({"usd_per_hour": [1.0]}), {}, "pareto") == "nodes"


def test_the_names_of_pools_are_those_of_the_scenario_and_its_variants(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    variant = {"cluster": {"pools": [{"name": "cs3"}]}}
    scenario = {
        "cluster": {"pools": [{"name": "gpu"}, {"name": "tpu"}, {}]},
        "variants": {"wafers": variant, "plain": {}, "odd": None},
    }
    (tmp_path / "plans" / "a.json").write_text(json.dumps({"scenario": scenario}))
    (tmp_path / "plans" / "b.json").write_text("{")
    assert pools_of(tmp_path) == {
        "0": {"gpu", "cs3"}, "1": {"tpu"}, "gpu": {"0"}, "cs3": {"0"}, "tpu": {"1"}
    }  # fmt: skip


def test_the_command_takes_keys_of_the_file_for_axes_and_conditions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder(tmp_path, sweep_rows(500, 2000)))
    chosen = ("--x", "workload.arrivals.rate", "--y", "prompt_tokens", "--where", "variant=slow")
    assert call(capsys, "plot", "heatmap", ".", *chosen, "-o", "a.svg")[0] == 0
    columns = ("--x", "workload.arrivals.rate_per_s", "--y", "workload.prompt_tokens")
    options = (*columns, "--where", "variant=slow", "-o", "b.svg")
    assert call(capsys, "plot", "heatmap", ".", *options)[0] == 0
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()
    err = call(capsys, "plot", "rate_latency", ".", "--where", "arrivals.rate=2")[2]
    assert "no rate varies in this sweep" in err
    code, _, err = call(capsys, "plot", "heatmap", ".", "--x", "nodes")
    assert code == 2
    axes = "variant, workload.arrivals.rate, workload.prompt_tokens"
    assert err == f"heatmap: no axis or column 'nodes'; the axes are {axes}\n"
