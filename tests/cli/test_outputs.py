"""What commands write replaces a file whole or not at all, and a report replaces reports alone."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest

from tests.commands import BURST, call


@pytest.fixture
def run(scenario: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of one run."""
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "runs")[0] == 0
    return Path("runs") / "b200"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "plot latency_cdf {run} -o out.svg",
        "plot latency_cdf {run} -o out.png",
        "trace {run} -o out.pftrace",
        "workload {file} --variant b200 --out out.parquet",
        "workload {file} --variant b200 --out out.jsonl",
        "workload {file} --variant b200 --plot out.pdf",
        "report {run} -o out.html",
        "schema -o out.json",
        "capacity {file} --variant b200 --workers 0 --out out.parquet",
    ],
)
def test_a_disk_that_fills_up_leaves_the_file_that_was_there_and_nothing_else(
    command: str,
    run: Path,
    scenario: Path,
    without_pictures: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A limit on the size of files is what an ordinary user can set; the system refuses the write
    as a full disk does.
    """
    scenario.write_text(scenario.read_text() + "capacity: {tolerance: 0.9}\n")
    arguments = command.format(run=run, file=scenario).split()
    path = Path(next(word for word in arguments if word.startswith("out.")))
    page = '<meta name="generator" content="cluster-sim 0">'
    path.write_text(page)
    before = sorted(Path().iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        code, _, err = call(capsys, *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, path.read_text()) == (1, page), err
    assert f"{path}: cannot be written: " in err
    assert "File too large" in err
    assert sorted(Path().iterdir()) == before
    assert call(capsys, *arguments)[0] == 0
    assert path.stat().st_size > 100
    assert sorted(Path().iterdir()) == before


@pytest.mark.slow
def test_a_report_replaces_a_report_and_nothing_else(
    run: Path, scenario: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    page, text = Path("page.html"), scenario.read_text()
    code, _, err = call(capsys, "report", run, "-o", scenario)
    assert code == 2
    assert err.startswith(f"{scenario}: exists and is no report of cluster-sim; choose another")
    assert scenario.read_text() == text
    page.touch()
    for _ in range(2):  # over an empty file, and over the report
        assert call(capsys, "report", run, "-o", page)[0] == 0
        assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_run_says_which_other_run_it_replaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "x.yaml", tmp_path / "runs"
    path.write_text(BURST)
    run = ("run", path, "--variant", "b200", "--set", "duration=2 s", "--out", out)
    assert "replaced" not in call(capsys, *run)[2]
    assert "replaced" not in call(capsys, *run)[2]  # the same run
    _, _, err = call(capsys, *run, "--seed", "8")
    assert re.search(
        rf"^replaced {out}/b200 \(was small/b200, seed 7, \d{{4}}-\d\d-\d\d \d\d:\d\d\)$", err, re.M
    )
    assert "wrote" not in err
    assert f"replaced {out}/b200 (was small/b200, seed 8" in call(capsys, *run)[2]


@pytest.mark.slow
def test_report_says_which_report_it_replaces(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out, page = tmp_path / "x.yaml", tmp_path / "runs", tmp_path / "report.html"
    path.write_text(BURST)
    call(capsys, "run", path, "--variant", "b200", "--set", "duration=2 s", "--out", out)
    report = ("report", out, "-o", page)
    for _ in range(2):  # the second page has the same bytes
        code, text, err = call(capsys, *report, "--title", "A & B")
        assert (code, text.strip(), "replaced" in err) == (0, str(page), False)
    code, text, err = call(capsys, *report, "--title", "C")
    assert (code, text.strip()) == (0, str(page))
    assert f"replaced {page} (was the report of A & B, " in err
