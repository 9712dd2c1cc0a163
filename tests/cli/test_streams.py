"""Readers that leave, Ctrl-C, and terminals that do not show every sign."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import call
from tests.studies.test_sweep import write

CLI = [sys.executable, "-m", "cluster_sim.cli"]
STUDY = """
sweep: {axes: [{workload.arrivals.rate: [1 /s, 2 /s]}]}
capacity: {tolerance: 0.5}
"""


@pytest.mark.slow
def test_a_reader_that_leaves_ends_the_command_as_it_ends_other_tools() -> None:
    """Long output and tables fail while they are printed, short output when the process ends."""
    for command in (["schema"], ["catalog", "dgx-b200"], ["plot", "--list"]):
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run([*CLI, *command], stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        assert (ended.returncode, ended.stderr) == (-signal.SIGPIPE, b""), command


@pytest.mark.slow
def test_schema_into_head_prints_what_head_wants_and_nothing_else() -> None:
    line = f"{sys.executable} -m cluster_sim.cli schema | head -1"
    ended = subprocess.run(line, shell=True, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"{\n", b"")


@pytest.mark.slow
def test_an_output_that_is_full_is_told() -> None:
    for command in (["schema"], ["plot", "--list"]):
        with open("/dev/full", "wb") as full:
            ended = subprocess.run([*CLI, *command], stdout=full, stderr=subprocess.PIPE)
        assert ended.returncode == 1
        assert b"No space left on device" in ended.stderr
        assert ended.stderr.count(b"\n") == 1


class Terminal:
    """A stdout and a stderr that take ASCII alone, in place of those of the process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.out, self.err = (
            io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True) for _ in range(2)
        )
        monkeypatch.setattr(sys, "stdout", self.out)
        monkeypatch.setattr(sys, "stderr", self.err)

    def shown(self) -> str:
        return b"".join(stream.buffer.getvalue() for stream in (self.out, self.err)).decode("ascii")  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "check {file}",
        "explain {file}",
        "run {file} --out run",
        "run {file} --out again --json",
        "run {file} --out live --live",
        "compare {file} --replications 2 --workers 0",
        "sweep {file} --workers 0 --out swept",
        "capacity {file} --workers 0",
        "sensitivity {file} --variant café --workers 0 --figure dgx-b200.power",
        "workload {file}",
        "workload fit {file} --variant café",
        "workload fetch",
        "plot --list",
        "catalog",
        "catalog dgx-b200",
        "catalog llama-3.1-8b",
        "schema",
        "run nowhere-…-日本.yaml",
        "--help",
        "run --help",
    ],
)
def test_every_command_writes_to_a_stream_that_is_not_utf_8(
    command: str,
    scenario: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario.write_text(scenario.read_text().replace("b200: {}", "café: {}") + STUDY)
    terminal = Terminal(monkeypatch)
    code, _, _ = call(capsys, *command.format(file=scenario).split())
    assert code in (0, 2), terminal.shown()
    assert terminal.shown()
    assert "Unicode" not in terminal.shown()
    assert "Traceback" not in terminal.shown()


@pytest.mark.slow
def test_what_is_drawn_and_exported_is_named_on_a_stream_that_is_not_utf_8(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "läufe")[0] == 0
    terminal = Terminal(monkeypatch)
    for command in (
        "plot latency_cdf läufe/b200 -o größe.svg",
        "report läufe/b200 -o größe.html",
        "trace läufe/b200 -o größe.pftrace",
        "export läufe/b200 --format vllm",
    ):
        assert call(capsys, *command.split())[0] == 0, terminal.shown()
    assert "gr\\xf6\\xdfe.svg" in terminal.shown()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
    ],
)
def test_a_locale_that_is_not_utf_8_reads_and_writes_every_name(
    scenario: Path, settings: dict[str, str]
) -> None:
    scenario.write_text(scenario.read_text().replace("b200: {}", "café: {}"), encoding="utf-8")
    ended = subprocess.run(
        [*CLI, "run", str(scenario), "--out", "out"],
        env={**os.environ, **settings},
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"xe9" in ended.stdout or "café".encode() in ended.stdout
    assert b"Traceback" not in ended.stderr
    assert (Path("out") / "café" / "summary.json").is_file()


class CtrlC:
    """A simulation that is interrupted when it is called for the n-th time."""

    def __init__(self, call_number: int) -> None:
        from cluster_sim.sim.simulate import simulate

        self.left, self.simulate = call_number, simulate

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.simulate(*arguments, **options)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run {file} --out out", "interrupted: saved: out/b200"),
        ("compare {file} --replications 2 --workers 0", "interrupted: nothing was saved"),
        ("capacity {file} --workers 0", "interrupted: nothing was saved"),
        (
            "sweep {file} --workers 0 --out out",
            "interrupted: 1 points are kept in out; run the same command again to continue",
        ),
    ],
)
def test_ctrl_c_ends_a_command_with_130_and_says_what_is_kept(
    command: str,
    said: str,
    scenario: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario.write_text(scenario.read_text() + STUDY)
    monkeypatch.setattr("cluster_sim.sim.simulate.simulate", CtrlC(2))
    code, _, err = call(capsys, *command.format(file=scenario).split())
    assert code == 130
    assert err.splitlines()[-1] == said
    assert "Traceback" not in err


@pytest.mark.slow
def test_ctrl_c_in_a_sweep_ends_its_processes_and_the_next_one_goes_on(tmp_path: Path) -> None:
    axes = [{"seed": {"low": 1, "high": 400, "points": 400}}]
    path, out = write(tmp_path, {"axes": axes}, duration="200 s"), tmp_path / "out"
    process = subprocess.Popen(
        [*CLI, "sweep", str(path), "--workers", "2", "--out", str(out)],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while process.poll() is None and not list((out / "points").glob("*.json")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    kept = len(list((out / "points").glob("*.json")))
    assert process.returncode == 130
    assert f"interrupted: {kept} points are kept in {out}; run the same" in err.decode()
    assert b"Traceback" not in err
    assert all(json.loads(point.read_text()) for point in (out / "points").glob("*.json"))
