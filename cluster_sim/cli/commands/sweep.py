"""`cluster-sim sweep`: simulations of every point of a file's axes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, say_next, say_wrote, stderr, stdout, warn
from cluster_sim.cli.options import Dask, File, MemoryLimit, Sets, TimeLimit, Workers, run_limits
from cluster_sim.cli.progress import is_watched, sweep_progress

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.studies.sweep import Ended, SweepProgress
    from cluster_sim.studies.sweep_count import SweepCount

_MOST_FAILURES = 10  # that are printed


def sweep(  # noqa: PLR0913 - a parameter is an option of the command
    file: File,
    *,
    set_: Sets = None,
    workers: Workers = None,
    dask: Dask = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write results here; default: sweeps/NAME.",
            show_default=False,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Simulate points again that failed before.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Show each point's metrics when it ends.")
    ] = False,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
) -> None:
    """Simulate every point of the file's `sweep`.

    A sweep may be killed at any moment. The same command continues it: points that are done are
    not simulated again.
    """
    from cluster_sim.loading.files import open_scenarios
    from cluster_sim.studies.sweep import folder_of, progress_of
    from cluster_sim.studies.sweep import sweep as run

    limits = run_limits(time_limit, memory_limit)
    opened = open_scenarios(file, set_ or ())
    folder = out or folder_of(opened)
    before = progress_of(opened, folder, warn, retry_failed=retry_failed)
    points = before.total or 0
    if before.known:
        _say_resumed(before.known, points, points - before.known - before.failed)
    with _listeners(points, is_live=live) as (progress, ended):
        counted: list[SweepCount] = []

        def count(now: SweepCount) -> None:
            counted[:] = [now]
            progress(now)

        table = run(
            file,
            folder,
            sets=set_ or (),
            workers=workers,
            dask=dask,
            retry_failed=retry_failed,
            limits=limits,
            progress=count,
            ended=ended,
            warned=warn,
        )
    say_wrote(folder / "sweep.parquet")
    failed = _print_outcome(table, counted[0].done if counted and before.known else None)
    if table.num_rows > failed:
        from cluster_sim.cli.best_table import print_best

        print_best(folder, table)
    _say_how_to_look(table, folder)
    if failed:
        raise typer.Exit(1)


def _say_resumed(before: int, points: int, left: int) -> None:
    """Print on stderr how many points a sweep need not simulate again, and how many are left."""
    stderr().print(
        f"{before:,} of {points:,} points were done before; simulating {left:,}", highlight=False
    )


def _say_how_to_look(table: pa.Table, folder: Path) -> None:
    """Print the table's file and the commands that draw it."""
    from cluster_sim.figures import study_table
    from cluster_sim.figures.rate_axes import rate_axis

    place = quote(str(folder))
    print_line(f"table: {folder / 'sweep.parquet'}, one row per simulation")
    figures = []
    if "done" in table["status"].to_pylist():
        rows = study_table.points(table)
        names = study_table.varied(rows)
        if rate_axis(rows, names) is not None:
            figures.append(("plot", f"rate_latency {place}", "latency over the rate"))
        elif len(names) > 1:
            figures.append(("plot", f"heatmap {place}", "a metric over two axes"))
    best = ("best", f"{place} --by p99_ttft_ms", "best points by another column")
    say_next(best, *figures, ("report", place, "one HTML page"))


@contextmanager
def _listeners(points: int, *, is_live: bool) -> Iterator[tuple[SweepProgress, Ended | None]]:
    """Show the progress of a sweep; on a terminal also the metrics of its points (live)."""
    if is_live and is_watched():
        from cluster_sim.cli.live import watching_sweep

        with watching_sweep(stderr()) as (progress, ended):
            yield progress, ended
    else:
        with sweep_progress(points) as progress:
            yield progress, None


def _print_outcome(table: pa.Table, done_now: int | None) -> int:
    """Print the numbers of points done and failed, and the reasons of the first failures.

    `done_now` is the number of points done since the start; None if all are.

    Returns
    -------
    int
        Number of points that failed.
    """
    rows = table.select(["status", "reason", "point"]).to_pylist()
    failures = [row for row in rows if row["status"] == "failed"]
    done = table.num_rows - len(failures)
    console = stdout()
    now = f"{done:,} done"
    if done_now is not None:
        now = f"{done_now:,} done now, {done - done_now:,} before"
    console.print(f"{table.num_rows:,} points, {now}, {len(failures):,} failed", highlight=False)
    for row in failures[:_MOST_FAILURES]:
        print_line(f"failed: {row['point']}: {row['reason']}")
    if len(failures) > _MOST_FAILURES:
        more = len(failures) - _MOST_FAILURES
        console.print(f"and {more:,} more; see column `reason` of the table", highlight=False)
    if failures:
        print_line("--retry-failed simulates the failed points again")
    return len(failures)
