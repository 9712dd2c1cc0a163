"""A sweep says what it knows already, how far it is, and how its table is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.studies import grid
from tests.cli.test_trace_notes import study
from tests.commands import call


def test_a_sweep_that_goes_on_says_what_was_done_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    few = study(tmp_path, sweep={"axes": [{"workload.trace.speedup": [1]}]})
    code, text, err = call(capsys, "sweep", few, "--out", out, "--workers", 0)
    assert code == 0
    assert "2 points, 2 done, 0 failed" in text and "before;" not in err
    more = study(tmp_path, sweep={"axes": [{"workload.trace.speedup": [1, 2, 3]}]})
    _, text, err = call(capsys, "sweep", more, "--out", out, "--workers", 0)
    assert "2 of 6 points were done before; simulating 4\n" in err
    assert "6 points, 4 done now, 2 before, 0 failed" in text
    assert f"table: {out}/sweep.parquet, one row per simulation" in text
    assert f"cluster-sim report {out} " in text


def test_points_of_another_version_of_the_program_are_not_done_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = study(tmp_path, sweep={"axes": [{"seed": [1, 2]}]}), tmp_path / "out"
    call(capsys, "sweep", path, "--out", out, "--workers", 0)
    monkeypatch.setattr(grid, "program_version", lambda: "0.0.0+another")
    _, text, err = call(capsys, "sweep", path, "--out", out, "--workers", 0)
    assert "done before" not in err
    assert "4 points, 4 done, 0 failed" in text


def test_points_of_a_sweep_that_was_killed_before_its_plan_was_written_are_done_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = study(tmp_path, sweep={"axes": [{"seed": [1, 2]}]}), tmp_path / "out"
    call(capsys, "sweep", path, "--out", out, "--workers", 0)
    next(out.glob("plans/*.json")).unlink()
    next(out.glob("points/*.json")).unlink()
    err = call(capsys, "sweep", path, "--out", out, "--workers", 0)[2]
    assert "3 of 4 points were done before; simulating 1\n" in err


def test_points_without_a_valid_scenario_are_neither_done_before_nor_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = [{"seed": [1, 2, -3]}]
    path, out = study(tmp_path, sweep={"axes": axes}), tmp_path / "out"
    assert call(capsys, "sweep", path, "--out", out, "--workers", 0)[0] == 1
    err = call(capsys, "sweep", path, "--out", out, "--workers", 0)[2]
    assert "4 of 6 points were done before; simulating 0\n" in err


def test_a_log_gets_a_line_for_every_tenth_of_the_points(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path, sweep={"axes": [{"seed": list(range(10))}]})
    err = call(capsys, "sweep", path, "--out", tmp_path / "out", "--workers", 0)[2]
    lines = [line for line in err.splitlines() if " done, " in line]
    assert [line.split()[0] for line in lines] == [f"{2 * tenth}" for tenth in range(1, 11)]


def test_a_sweep_over_rates_names_the_figure_of_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrivals = {"process": "poisson", "rate": "5 /s", "requests": 3}
    workload = {"arrivals": arrivals, "prompt_tokens": 10, "output_tokens": 2}
    axes = [{"workload.arrivals.rate": ["5 /s", "6 /s"]}]
    path = study(tmp_path, workload=workload, sweep={"axes": axes})
    out = tmp_path / "out"
    text = call(capsys, "sweep", path, "--out", out, "--workers", 0)[1]
    assert f"cluster-sim plot rate_latency {out} " in text
    assert "4 of 4 points meet the SLO at p99" in text
    assert f"cluster-sim best {out} --by p99_ttft_ms " in text
    assert call(capsys, "plot", "rate_latency", out, "-o", tmp_path / "x.svg")[0] == 0


def test_a_second_file_is_answered_with_the_commands_that_take_several(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(capsys, "compare", "runs/a", "runs/b")
    words = " ".join(err.replace("│", " ").split())
    assert code == 2
    assert "compare takes one scenario file; plot and report take several run folders" in words
    words = " ".join(call(capsys, "run", "a.yaml", "b.yaml")[2].replace("│", " ").split())
    assert "run takes one scenario file" in words
