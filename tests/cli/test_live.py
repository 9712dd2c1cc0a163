"""What is shown while a run or a sweep goes on: figures from rows as they are recorded, and no
other run than without them.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

import cluster_sim
from cluster_sim.cli import live
from cluster_sim.cli.literal_console import LiteralConsole
from cluster_sim.results.snapshot import Snapshot, SnapshotReader
from cluster_sim.sim.simulate import simulate
from cluster_sim.studies.sweep import sweep
from cluster_sim.studies.sweep_count import SweepCount
from tests.commands import BURST, call

ROOT = Path(__file__).resolve().parents[2]
SWEPT = (
    BURST.split("variants:")[0].replace("duration: 20 s", "duration: 2 s")
    + "sweep:\n  axes:\n    - {workload.prompt_tokens: [10, 20]}\n"
)


def loaded(folder: Path, text: str = BURST) -> cluster_sim.Scenario:
    (folder / "small.yaml").write_text(text)
    return cluster_sim.load_scenario(folder / "small.yaml", variant="b200")


def test_who_is_watched_runs_as_who_is_not(tmp_path: Path) -> None:
    alone, seen = loaded(tmp_path), []
    first, second = (
        simulate(alone),
        simulate(alone, watch=lambda now_s, recorder: seen.append(now_s)),
    )
    assert seen and seen == sorted(seen)
    assert first.info.events == second.info.events
    for name in ("requests", "stretches", "events"):
        assert getattr(first, name).equals(getattr(second, name))


def test_a_terminal_shows_the_run_and_its_fullest_replicas() -> None:
    snapshot = Snapshot(
        12.5,
        100,
        60,
        5,
        15,
        20,
        9000.0,
        {number: (10 + number, number, 100.0 * number) for number in range(10)},
    )
    text = StringIO()
    replicas = [(f"b200/{number}", 1000) for number in range(10)]
    board = live.RunBoard("small/b200", replicas)
    LiteralConsole(file=text, width=120).print(board.render(snapshot, 1234.0))
    shown = text.getvalue()
    for words in (
        "small/b200",
        "simulated [s]",
        "12.5",
        "100",
        "1,234",
        "queue",
        "b200/9",
        "90.0%",
        "the 8 replicas with the fullest KV cache, of 10",
    ):
        assert words in shown
    assert "b200/0" not in shown and shown.index("b200/9") < shown.index("b200/8")


def test_without_a_terminal_run_says_a_line_now_and_then(
    scenario: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "_SAY_EVERY_S", 0.0)
    code, out, err = call(capsys, "run", scenario, "--variant", "cs3", "--live")
    assert code == 0 and "TTFT p99 [ms]" in out
    (first, *_) = [line for line in err.splitlines() if "simulated" in line]
    assert first.startswith("small/cs3: ") and "waiting" in first and "output tokens/s" in first
    assert "\x1b" not in err


def test_in_a_terminal_the_dashboard_comes_and_goes(tmp_path: Path) -> None:
    text = StringIO()
    with live.watching(
        loaded(tmp_path), LiteralConsole(file=text, force_terminal=True, width=120)
    ) as watch:
        simulate(loaded(tmp_path), watch=watch)
    assert "output tokens/s" in text.getvalue()


def test_a_sweep_shows_points_as_they_end(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEPT)
    board = live.SweepBoard()
    sweep(
        tmp_path / "sweep.yaml",
        tmp_path / "out",
        workers=0,
        progress=board.counted,
        ended=board.ended,
    )
    text = StringIO()
    LiteralConsole(file=text, width=160).print(board)
    for words in (
        "2 done, 0 failed",
        '"workload.prompt_tokens": 10',
        '"workload.prompt_tokens": 20',
        "TTFT p99 [ms]",
    ):
        assert words in text.getvalue()


def test_a_point_that_failed_says_so() -> None:
    board = live.SweepBoard()
    board.counted(SweepCount(failed=1, total=3))
    board.ended("a=1", {"status": "failed", "reason": "why", "summary": {}})
    text = StringIO()
    LiteralConsole(file=text, width=160).print(board)
    assert "failed" in text.getvalue() and "a=1" in text.getvalue() and "of 3" in text.getvalue()


def test_without_a_terminal_a_sweep_goes_on_as_without_live(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario.write_text(SWEPT)
    code, out, err = call(capsys, "sweep", scenario, "--workers", "0", "--live", "--out", "swept")
    assert code == 0 and "2 points, 2 done" in out and "\x1b" not in err


def test_the_hottest_device_is_shown_where_one_could_reach_a_limit() -> None:
    asked = cluster_sim.load_scenario(
        ROOT / "scenarios" / "thermal_burst.yaml",
        variant="h100-30C",
        overrides={"duration": "3 min", "drain": "10 s"},
    )
    reader, seen, console = SnapshotReader(), [], LiteralConsole(file=StringIO(), width=200)
    results = simulate(
        asked, watch=lambda now_s, recorder: seen.append(reader.read(now_s, recorder))
    )
    device, die_c = max(
        (snapshot.hottest for snapshot in seen if snapshot.hottest is not None),
        key=lambda hottest: hottest[1],
    )
    assert device in results.devices["device"].to_pylist()
    assert 35.0 < die_c <= results.summary()["max_die_c"] + 1e-6
    board = live.RunBoard(asked.title, [("h100/0", 1000), ("h100/1", 1000)])
    console.print(board.render(seen[-1], 1.0))
    assert "hottest device" in console.file.getvalue()  # type: ignore[attr-defined]
