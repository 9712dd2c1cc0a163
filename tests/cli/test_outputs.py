"""What commands write replaces a file whole or not at all, and a report replaces reports alone."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.commands import call


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
    command: str, run: Path, scenario: Path, capsys: pytest.CaptureFixture[str]
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
    run: Path, scenario: Path, capsys: pytest.CaptureFixture[str]
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
