"""Sweeps: which points there are, and that none is lost or simulated twice whatever happens."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import open_scenarios
from cluster_sim.studies import sweep as sweeps
from cluster_sim.studies.grid import key_of, point, resolved, swept
from cluster_sim.studies.store import SweepFolder
from cluster_sim.studies.sweep import sweep
from cluster_sim.studies.sweep_count import SweepCount
from cluster_sim.studies.workers import ProcessDied, called
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

BASE: dict[str, Any] = {
    "name": "small",
    "seed": 5,
    "duration": "60 s",
    "model": TINY_MODEL,
    "workload": {
        "arrivals": {"process": "poisson", "rate": "1 /s"},
        "prompt_tokens": 50,
        "output_tokens": 10,
    },
    "cluster": {
        "pools": [{"name": "p", "node": node(SMALL_GPU, 2), "replica": {"engine": engine()}}]
    },
}
AXES = [
    {"workload.arrivals.rate": ["1 /s", "2 /s"]},
    {"workload.prompt_tokens": [50, 100], "workload.output_tokens": [10, 20]},
]


def write(folder: Path, asked: dict[str, Any], **changes: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(json.dumps(BASE | changes | {"sweep": asked}))
    return path


def counted(path: Path, out: Path, **options: Any) -> tuple[int, int, int]:
    """(known before, done, failed) of one sweep."""
    counts: list[SweepCount] = []
    sweep(path, out, workers=0, progress=counts.append, **options)
    return counts[-1].known, counts[-1].done, counts[-1].failed


def test_axes_multiply_and_keys_of_one_axis_move_together(tmp_path: Path) -> None:
    file = open_scenarios(write(tmp_path, {"axes": AXES, "replications": 2}))
    points = list(swept(file))
    assert len(points) == 2 * 2 * 2
    assert [point.values["workload.arrivals.rate"] for point in points] == ["1 /s"] * 4 + [
        "2 /s"
    ] * 4
    lengths = {
        (point.values["workload.prompt_tokens"], point.values["workload.output_tokens"])
        for point in points
    }
    assert lengths == {(50, 10), (100, 20)}
    assert [point.scenario.seed for point in points if point.scenario] == [5, 6] * 4
    assert len({point.key for point in points}) == len(points)


def test_ranges_hold_both_ends_and_are_even_or_each_the_same_multiple(tmp_path: Path) -> None:
    axes = [
        {"workload.arrivals.rate": {"low": "1 /s", "high": "64 /s", "points": 4, "scale": "log"}},
        {"cluster.pools[0].kv.memory_fraction": {"low": 0.1, "high": 0.3, "points": 3}},
    ]
    rates, fractions = (
        next(iter(axis.values()))
        for axis in open_scenarios(write(tmp_path, {"axes": axes})).sweep.axes
    )  # type: ignore[union-attr]
    assert rates == ("1 /s", "4 /s", "16 /s", "64 /s")
    assert fractions == (0.1, 0.2, 0.3)


def test_excluded_points_are_left_out_and_variants_are_an_axis_of_their_own(tmp_path: Path) -> None:
    asked = {
        "axes": AXES,
        "exclude": [
            {"variant": "b", "workload.arrivals.rate": ["1 /s", "3 /s"]},
            {"workload.prompt_tokens": 100},
        ],
    }
    points = list(
        swept(open_scenarios(write(tmp_path, asked, variants={"a": {}, "b": {"seed": 9}})))
    )
    assert [
        (point.values["variant"], point.values["workload.arrivals.rate"]) for point in points
    ] == [("a", "1 /s"), ("a", "2 /s"), ("b", "2 /s")]
    assert [point.scenario.seed for point in points if point.scenario] == [5, 5, 9]


@pytest.mark.slow
def test_the_table_has_a_row_a_point_with_its_axes_as_numbers_and_its_summary(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path,
        {
            "axes": [*AXES, {"cluster.router": [{"policy": "random"}, {"policy": "round_robin"}]}],
            "keep": "runs",
        },
    )
    table = sweep(path, tmp_path / "out", workers=0)
    assert pq.read_table(tmp_path / "out" / "sweep.parquet").equals(table)
    rows = table.to_pylist()
    assert [row["workload.arrivals.rate_per_s"] for row in rows] == [1.0] * 4 + [2.0] * 4
    assert rows[0]["cluster.router"] == '{"policy": "random"}'
    assert {row["status"] for row in rows} == {"done"}
    for row in rows:
        summary = json.loads((tmp_path / "out" / "runs" / row["key"] / "summary.json").read_text())
        assert (row["completed"], row["p99_ttft_ms"]) == (
            summary["completed"],
            summary["p99_ttft_ms"],
        )
    assert "wall_s" not in table.column_names


def test_columns_carry_the_unit_that_the_scenario_keeps() -> None:
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.schema import describe, parse_yaml

    scenario = describe(Scenario, parse_yaml(json.dumps(BASE), "x.yaml"))
    assert resolved(scenario, "duration", "1 min") == ("duration_s", 60.0)
    assert resolved(scenario, "cluster.pools[0].nodes", 1) == ("cluster.pools[0].nodes", 1)
    assert resolved(scenario, "cluster.pools[0]", {"name": "q"}) == (
        "cluster.pools[0]",
        '{"name": "q"}',
    )
    assert resolved(scenario, "variant", "b") == ("variant", "b")


def test_what_is_done_is_never_simulated_again_and_more_points_join_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert counted(write(tmp_path, {"axes": AXES[:1]}), out) == (0, 2, 0)
    before = (out / "sweep.parquet").read_bytes()
    assert counted(write(tmp_path, {"axes": AXES[:1]}), out) == (2, 0, 0)
    assert (out / "sweep.parquet").read_bytes() == before
    assert counted(
        write(tmp_path, {"axes": [{"workload.arrivals.rate": ["1 /s", "2 /s", "3 /s"]}]}), out
    ) == (2, 1, 0)
    assert pq.read_table(out / "sweep.parquet").num_rows == 3


def test_a_point_is_another_one_when_a_file_that_it_reads_has_changed(tmp_path: Path) -> None:
    lengths = tmp_path / "lengths.csv"
    lengths.write_text("1\n2\n")
    workload = BASE["workload"] | {
        "output_tokens": {"distribution": "empirical", "path": str(lengths)}
    }
    file = open_scenarios(write(tmp_path, {"axes": AXES[:1]}, workload=workload))
    before = point(file, {}).key
    assert point(file, {}).key == before
    lengths.write_text("1\n2\n3\n")
    assert point(file, {}).key != before


def test_a_point_is_another_one_in_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = open_scenarios(write(tmp_path, {"axes": AXES})).scenario()
    before = key_of(scenario)
    monkeypatch.setattr("cluster_sim.studies.grid.program_version", lambda: "another")
    assert key_of(scenario) != before


def test_points_that_fail_are_recorded_with_their_reasons_and_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(scenario: Any, *_: Any, **__: Any) -> Any:
        if scenario.workload.arrivals.rate_per_s == 2.0:
            raise ZeroDivisionError("a bug")
        return simulate(scenario)

    from cluster_sim.sim.simulate import simulate

    monkeypatch.setattr("cluster_sim.sim.simulate.simulate", broken)
    out, path = (
        tmp_path / "out",
        write(tmp_path, {"axes": [{"workload.arrivals.rate": ["1 /s", "2 /s", "3 kg"]}]}),
    )
    assert counted(path, out) == (0, 1, 2)
    rows = pq.read_table(out / "sweep.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["done", "failed", "failed"]
    assert rows[1]["reason"] == "ZeroDivisionError: a bug"
    assert "'kg' is a mass, not a rate" in rows[2]["reason"]
    assert json.loads(rows[2]["point"]) == {"workload.arrivals.rate": "3 kg"}
    monkeypatch.undo()
    assert counted(path, out) == (2, 0, 1)
    assert counted(path, out, retry_failed=True) == (1, 1, 1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"axes": [{"workload.arrivals.rate": ["1 kg"]}]},
            "no point gives a valid scenario; the first: axis: workload.arrivals.rate",
        ),
        (
            {"axes": AXES[:1], "exclude": [{"workload.arrivals.rate": ["1 /s", "2 /s"]}]},
            "'exclude' removes every point",
        ),
        (
            {"axes": [{"seed": [1], "duration": ["1 s", "2 s"]}]},
            "keys of one axis change together: expected the same number of values for each, got 1 of seed, 2 of duration",
        ),
        (
            {"axes": [{"seed": [1]}, {"seed": [2]}]},
            "got seed in two axes; expected each key in one axis",
        ),
        (
            {"axes": [{"seed": {"low": "1 s", "high": "2 min", "points": 3}}]},
            "sweep.axes[0].seed: low is in 's' and high in 'min'; expected one unit",
        ),
        (
            {"axes": AXES, "exclude": [{"seed": 1}]},
            "got 'seed' in exclude; expected the key of an axis",
        ),
    ],
)
def test_a_sweep_that_makes_no_sense_says_so(
    tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        sweep(write(tmp_path, asked), tmp_path / "out", workers=0)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'small.yaml'}:1: ")


@pytest.mark.slow
def test_a_sweep_that_is_killed_and_started_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """The kill comes as soon as some points are done and others are under way."""
    path = write(
        tmp_path, {"axes": [{"seed": {"low": 1, "high": 24, "points": 24}}]}, duration="200 s"
    )
    out, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cluster_sim.cli.app",
            "sweep",
            str(path),
            "--workers",
            "1",
            "--out",
            str(out),
        ],
        start_new_session=True,
    )
    try:
        while process.poll() is None and len(list((out / "points").glob("*.json"))) < 3:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    known = len(list((out / "points").glob("*.json")))
    assert 3 <= known < 24
    counts = counted(path, out)
    assert counts[2] == 0
    assert known <= counts[0] < 24
    sweep(path, undisturbed, workers=0)
    assert (out / "sweep.parquet").read_bytes() == (undisturbed / "sweep.parquet").read_bytes()


def test_a_full_disk_stops_the_sweep_with_a_reason_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files is what an ordinary user can set; the system refuses the write
    as a full disk does.
    """
    path, out = write(tmp_path, {"axes": AXES}), tmp_path / "out"
    write_one, limits = sweeps.SweepFolder.add, resource.getrlimit(resource.RLIMIT_FSIZE)

    def full_after_two(store: SweepFolder, key: str, record: Any) -> None:
        if len(list((out / "points").iterdir())) >= 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            write_one(store, key, record)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(sweeps.SweepFolder, "add", full_after_two)
    with pytest.raises(
        ScenarioError,
        match="out: cannot be written: File too large; finished points are kept",
    ):
        sweep(path, out, workers=0)
    assert len(list((out / "points").iterdir())) == 2  # and nothing half-written beside them
    monkeypatch.undo()
    assert counted(path, out) == (2, 2, 0)


def test_sweeps_that_fill_one_folder_at_once_leave_it_whole(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = (
        write(tmp_path, {"axes": AXES}),
        write(tmp_path / "other", {"axes": [{"seed": [7, 8, 9]}]}, name="other"),
    )
    with ThreadPoolExecutor(3) as pool:
        for done in [
            pool.submit(sweep, path, tmp_path / "out", workers=0) for path in (one, other, one)
        ]:
            done.result()
    rows = pq.read_table(tmp_path / "out" / "sweep.parquet").to_pylist()
    assert [row["sweep"] for row in rows] == ["other"] * 3 + ["small"] * 4
    assert {row["status"] for row in rows} == {"done"}


def end_process(marker: Path, times: int) -> str:
    """Dies so many times as a process that ran out of memory does, then answers."""
    starts = len(marker.read_text()) if marker.exists() else 0
    marker.write_text("x" * (starts + 1))
    if starts < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "answered"


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_work_done_once_more(tmp_path: Path) -> None:
    work = [
        ("dies once", (end_process, (tmp_path / "once", 1))),
        ("always dies", (end_process, (tmp_path / "always", 9))),
        ("raises", (int, ("x",))),
        ("well", (abs, (-3,))),
    ]
    outcomes = dict(called(work, workers=2))
    assert outcomes["dies once"] == "answered"
    assert isinstance(outcomes["always dies"], ProcessDied)
    assert isinstance(outcomes["raises"], ValueError)
    assert outcomes["well"] == 3


def test_a_point_whose_process_dies_twice_is_recorded_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcomes(work: Any, *_: Any) -> Any:
        for place, (key, (function, arguments)) in enumerate(work):
            yield (
                key,
                ProcessDied("the process that ran it died") if place == 1 else function(*arguments),
            )

    monkeypatch.setattr(sweeps, "called", outcomes)
    assert counted(write(tmp_path, {"axes": AXES}), tmp_path / "out") == (0, 3, 1)
    rows = pq.read_table(tmp_path / "out" / "sweep.parquet").to_pylist()
    assert [row["reason"] for row in rows if row["status"] == "failed"] == [
        "the process that ran it died"
    ]


def test_workers_of_another_version_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sweeps,
        "called",
        lambda work, *_: ((key, {"status": "done", "version": "old"}) for key, _ in work),
    )
    with pytest.raises(Exception, match="a worker runs another version than this process"):
        sweep(write(tmp_path, {"axes": AXES}), tmp_path / "out")


def test_a_dask_cluster_that_loses_a_worker_gives_the_same_results(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    path = write(
        tmp_path, {"axes": [{"seed": {"low": 1, "high": 60, "points": 60}}]}, duration="600 s"
    )
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        killed: list[int] = []

        def kill_half_way(count: SweepCount) -> None:
            if count.done == 20:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        sweep(path, tmp_path / "dask", dask=cluster.scheduler_address, progress=kill_half_way)
        assert killed
    sweep(path, tmp_path / "here", workers=0)
    assert (tmp_path / "dask" / "sweep.parquet").read_bytes() == (
        tmp_path / "here" / "sweep.parquet"
    ).read_bytes()


def test_without_a_dask_scheduler_the_command_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError, match=r"--dask: (needs the package dask|no Dask scheduler answers)"
    ):
        sweep(write(tmp_path, {"axes": AXES}), tmp_path / "out", dask="nowhere")


def test_a_point_whose_summary_fails_keeps_its_tables_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> dict[str, Any]:
        raise IndexError("index 3 is out of bounds")

    monkeypatch.setattr("cluster_sim.results.results.summary", broken)
    path, out = write(tmp_path, {"axes": AXES, "keep": "runs"}), tmp_path / "out"
    table = sweep(path, out, workers=0)
    assert set(table["status"].to_pylist()) == {"failed"}
    folders = sorted(str(path) for path in (out / "runs").iterdir())
    assert sorted(table["reason"].to_pylist()) == [
        f"SummaryError: {folder}: all tables are saved, but the summary failed: IndexError: index 3 is out of bounds"
        for folder in folders
    ]
    assert all((Path(folder) / "requests.parquet").is_file() for folder in folders)
