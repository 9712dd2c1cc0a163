"""A folder that must not be written to keeps what it has, and every command says so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import call

COMMANDS = [
    "run {file} --variant b200 --out closed/run",
    "run {file} --variant b200 --out closed/new",
    "sweep {file} --workers 0 --out closed/sweep",
    "sweep {file} --workers 0 --set seed=8 --out closed/sweep",
    "sweep {file} --workers 0 --out closed/new",
    "capacity {file} --variant b200 --workers 0 --out closed/table.parquet",
    "plot latency_cdf closed/run -o closed/figure.svg",
    "report closed/run -o closed/page.html",
    "trace closed/run/b200 -o closed/trace.pftrace",
    "export closed/run/b200 --format vllm",
    "workload {file} --variant b200 --out closed/requests.parquet",
    "schema -o closed/schema.json",
]
DRIVER = """
import json, sys
from cluster_sim.cli import app
for command in json.loads(sys.argv[1]):
    sys.argv = ["cluster-sim", *command.split()]
    try:
        app.main()
        code = 0
    except SystemExit as end:
        code = end.code
    print("ended", code, file=sys.stderr)
"""


def as_anybody() -> list[str]:
    """What begins a command that has to keep to the rights of files, as root need not."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to give that up")
    return ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.slow
def test_a_read_only_folder_loses_nothing(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = "sweep: {axes: [{workload.arrivals.rate: [1 /s, 2 /s]}]}\ncapacity: {tolerance: 0.9}\n"
    scenario.write_text(scenario.read_text() + study)
    commands = [command.format(file=scenario) for command in COMMANDS]
    for command in commands:
        assert call(capsys, *command.split())[0] == 0, command
    closed = Path("closed")
    shutil.rmtree(closed / "new")
    paths = [closed, *closed.rglob("*")]
    before = contents(closed)
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        driver = [*as_anybody(), sys.executable, "-c", DRIVER, json.dumps(commands)]
        ended = subprocess.run(driver, capture_output=True, text=True)
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)
    codes = [line for line in ended.stderr.splitlines() if line.startswith("ended ")]
    assert len(codes) == len(commands), ended.stderr
    assert set(codes) <= {"ended 1", "ended 2"}, list(zip(commands, codes, strict=True))
    assert ended.stderr.count("cannot be written: ") == len(commands)
    assert ended.stderr.count("Permission denied") == len(commands)
    assert "Traceback" not in ended.stderr
    assert contents(closed) == before
