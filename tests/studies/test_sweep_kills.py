"""A sweep that is killed at any moment, again and again, ends with the bytes of one that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from cluster_sim.studies.sweep import sweep
from tests.studies.test_sweep import write

KILLS = 20
POINTS = 80


class Moment(NamedTuple):
    """When a sweep is killed."""

    points: int
    """Number of points that it has done before."""
    wait_s: float
    """Time after that [s]."""
    workers_too: bool
    """Whether its workers are killed with it."""


def start(path: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cluster_sim.cli", "sweep", str(path), "--workers", "2"]
    return subprocess.Popen(
        [*command, "--out", str(out)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def points_of(out: Path) -> int:
    return len(list((out / "points").glob("[0-9a-f]*.json")))


def kill_after(path: Path, out: Path, moment: Moment) -> bool:
    """Kill a sweep at a moment; whether it was alive then.

    Workers that are left alone end when they have done their points.
    """
    known, process = points_of(out), start(path, out)
    while process.poll() is None and points_of(out) < known + moment.points:
        time.sleep(0.001)
    time.sleep(moment.wait_s)
    alive = process.poll() is None
    if alive and moment.workers_too:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    return alive


@pytest.mark.slow
@pytest.mark.long
def test_twenty_kills_at_random_moments_leave_the_same_bytes(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    axes = [{"seed": {"low": 1, "high": POINTS, "points": POINTS}}]
    path = write(tmp_path, {"axes": axes, "keep": "runs"}, duration="2000 s")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    rng = np.random.default_rng(17)
    alive, left = 0, []
    for _ in range(KILLS):
        moment = Moment(
            int(rng.integers(0, 5)), float(rng.exponential(0.1)), bool(rng.random() < 0.5)
        )
        alive += kill_after(path, killed, moment)
        left.append(points_of(killed))
    record_property("killed in mid-sweep", f"{alive} of {KILLS}")
    record_property("points after each kill", left)
    sweep(path, killed, workers=2)
    sweep(path, undisturbed, workers=2)
    assert (killed / "sweep.parquet").read_bytes() == (undisturbed / "sweep.parquet").read_bytes()
    for run in sorted((undisturbed / "runs").iterdir()):
        for file in ("requests.parquet", "stretches.parquet", "scenario.yaml"):
            assert (killed / "runs" / run.name / file).read_bytes() == (run / file).read_bytes()
    assert alive > 0
