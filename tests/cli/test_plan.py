"""`cluster-sim plan` prints the winner, what others miss, and commands that simulate them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.commands import call
from tests.studies.plans import SMALL_PLAN


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_PLAN.replace("[1, 2, 8]", "[1, 2]"))
    return path


def test_the_printed_commands_simulate_the_winner_and_a_runner_up(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "plan", small, "--workers", 0)
    assert code == 0, err
    assert "small: the lowest cost per hour that meets the SLO at p95" in out
    commands = [
        line.split("cluster-sim ")[1] for line in out.splitlines() if "cluster-sim run" in line
    ]
    for each in (commands[0], commands[1]):
        code, out, err = call(capsys, *each.split(), "--out", "runs")
        assert code == 0, err
        assert "SLO at p95: met" in out


@pytest.mark.slow
def test_the_folder_has_the_winner_the_table_and_a_figure(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "plan", small, "--workers", 0, "--json")
    assert code == 0, err
    answer = json.loads(out)
    (variant,) = answer["variants"]
    winner = yaml.safe_load(Path("plans/small/winner.yaml").read_text())
    assert winner["cluster"]["pools"][0]["nodes"] == 1
    assert variant["winner"]["values"]["cluster.pools.gpu.nodes"] == 1
    assert variant["winner"]["slo_met"]
    rows = pq.read_table("plans/small/plan.parquet").to_pylist()
    assert len(rows) == 1 + len(variant["others"])
    assert sum(row["answer"] for row in rows) == 1
    assert call(capsys, "plot", "plan", "plans/small", "-o", "plan.svg")[0] == 0
    assert "within the SLO" in Path("plan.svg").read_text()
    assert call(capsys, "report", "plans/small")[0] == 0
    assert "Plan: small" in Path("report.html").read_text()


def test_a_limit_that_nothing_reaches_is_named_with_what_would_meet_it(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "plan", small, "--workers", 0, "--set", "slo.tpot=3.2 ms")
    assert code == 0
    assert "no deployment meets the SLO" in out
    text = " ".join(out.split())
    assert "it misses first tpot: got" in text
    assert "limit 3.2 ms" in text
    assert "what would meet it: limits of tpot" in text


def test_a_file_without_objectives_is_refused(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "plan", small, "--set", "slo=null")
    assert code == 2
    assert "'slo' is missing; expected the objectives" in err


def test_the_winner_is_emitted_and_an_unknown_target_is_refused_before_the_search(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "plan", small, "--workers", 0, "--emit", "vllm")
    assert code == 0, err
    script = Path("plans/small/winner.vllm").read_text()
    ranks = yaml.safe_load(Path("plans/small/winner.yaml").read_text())
    replica = ranks["cluster"]["pools"][0]["replica"]
    assert f"--tensor-parallel-size {replica['tensor_parallel']}" in script
    code, _, err = call(capsys, "plan", small, "--emit", "vlm", "--out", "none")
    assert code == 2
    assert "did you mean 'vllm'?" in err
    assert not Path("none").exists()
