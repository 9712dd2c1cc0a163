"""`cluster-sim sweep`: simulations of every point of a file's axes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, say_wrote, stderr, stdout, warn
from cluster_sim.cli.options import File, MemoryLimit, Sets, TimeLimit, Workers, run_limits
from cluster_sim.cli.progress import is_watched, sweep_progress

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.studies.sweep import Ended, SweepProgress

_MOST_FAILURES = 10  # that are printed


def sweep(  # noqa: PLR0913 - a parameter is an option of the command
    file: File,
    *,
    set_: Sets = None,
    workers: Workers = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="Run on this Dask scheduler, such as tcp://head:8786.",
            show_default=False,
        ),
    ] = None,
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
    from cluster_sim.studies.sweep import folder_of
    from cluster_sim.studies.sweep import sweep as run

    limits = run_limits(time_limit, memory_limit)
    folder = out or folder_of(open_scenarios(file, set_ or ()))
    with _listeners(is_live=live) as (progress, ended):
        table = run(
            file,
            folder,
            sets=set_ or (),
            workers=workers,
            dask=dask,
            retry_failed=retry_failed,
            limits=limits,
            progress=progress,
            ended=ended,
            warned=warn,
        )
    say_wrote(folder / "sweep.parquet")
    if _print_outcome(table):
        raise typer.Exit(1)


@contextmanager
def _listeners(*, is_live: bool) -> Iterator[tuple[SweepProgress, Ended | None]]:
    """Show the progress of a sweep; on a terminal also the metrics of its points (live)."""
    if is_live and is_watched():
        from cluster_sim.cli.live import watching_sweep

        with watching_sweep(stderr()) as (progress, ended):
            yield progress, ended
    else:
        with sweep_progress() as progress:
            yield progress, None


def _print_outcome(table: pa.Table) -> int:
    """Print the numbers of points done and failed, and the reasons of the first failures.

    Returns
    -------
    int
        Number of points that failed.
    """
    rows = table.select(["status", "reason", "point"]).to_pylist()
    failures = [row for row in rows if row["status"] == "failed"]
    done = table.num_rows - len(failures)
    console = stdout()
    console.print(
        f"{table.num_rows:,} points, {done:,} done, {len(failures):,} failed", highlight=False
    )
    for row in failures[:_MOST_FAILURES]:
        print_line(f"failed: {row['point']}: {row['reason']}")
    if len(failures) > _MOST_FAILURES:
        more = len(failures) - _MOST_FAILURES
        console.print(f"and {more:,} more; see column `reason` of the table", highlight=False)
    if failures:
        print_line("--retry-failed simulates the failed points again")
    return len(failures)
