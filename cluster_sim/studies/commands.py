"""The commands of studies, for the command line. Imports what a command needs when it is called."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.console import File, Sets, say_wrote, stderr, stdout

if TYPE_CHECKING:
    from cluster_sim.studies.sweep import Count

Workers = Annotated[int, typer.Option("--workers", min=0, help="Processes; 0: only this one.")]
Dask = Annotated[
    str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler in place of processes here, such as tcp://head:8786.", show_default=False)
]

_SAY_EVERY_S = 30.0  # where nobody is watching


def sweep(
    file: File,
    set_: Sets = None,
    workers: Workers = 2,
    dask: Dask = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where results go; default sweeps/NAME.", show_default=False)] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Simulate points again that have failed before.")] = False,
) -> None:
    """Simulate every point of the file's `sweep`; may be killed at any moment and started again."""
    from cluster_sim.loading import open_scenarios
    from cluster_sim.studies.sweep import folder_of
    from cluster_sim.studies.sweep import sweep as run

    folder = out or folder_of(open_scenarios(file, set_ or ()))
    with _progress() as progress:
        table = run(file, folder, set_ or (), workers, dask, retry_failed, progress)
    say_wrote(folder / "sweep.parquet")
    failures = [row for row in table.select(["status", "reason", "point"]).to_pylist() if row["status"] == "failed"]
    console = stdout()
    console.print(f"{table.num_rows:,} points, {table.num_rows - len(failures):,} done, {len(failures):,} failed", highlight=False)
    for row in failures[:10]:
        console.print(f"failed: {row['point']}: {row['reason']}", highlight=False, markup=False, soft_wrap=True)
    if len(failures) > 10:
        console.print(f"and {len(failures) - 10:,} more; `reason` in the table says why", highlight=False)


@contextmanager
def _progress() -> Iterator[Callable[[Count], None]]:
    """A bar where somebody is watching, else a line now and then: done, failed, points a second, time left."""
    began_s = time.monotonic()

    def words(count: Count) -> str:
        rate = (count.done + count.failed) / max(time.monotonic() - began_s, 1e-9)
        return f"{count.done:,} done, {count.failed:,} failed, {count.known:,} known before, {rate:,.1f} points/s"

    if not sys.stderr.isatty():
        said_s = began_s

        def say(count: Count) -> None:
            nonlocal said_s
            if (now_s := time.monotonic()) - said_s > _SAY_EVERY_S:
                said_s = now_s
                left = count.left_s(now_s - began_s)
                stderr().print(f"{words(count)}, {left:,.0f} s left" if left is not None else words(count), highlight=False)

        yield say
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(BarColumn(), TextColumn("{task.fields[words]}"), TimeRemainingColumn(), console=stderr(), transient=True) as bar:
        task = bar.add_task("", total=None, words="")
        yield lambda count: bar.update(task, total=count.total, completed=count.known + count.done + count.failed, words=words(count))
