"""Dashboards of a run and of a sweep in progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from cluster_sim.cli.tables import Rows
from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.snapshot import OutputRate, Snapshot, SnapshotReader
from cluster_sim.scenario.scenario import Scenario

if TYPE_CHECKING:
    from cluster_sim.sim.run import Watch
    from cluster_sim.studies.store import Record
    from cluster_sim.studies.sweep import Ended
    from cluster_sim.studies.sweep_count import SweepCount

_SAY_EVERY_S = 5.0  # between two lines, if stderr is no terminal
_REPLICAS = 8  # rows: replicas with the fullest KV cache
_POINTS = 12  # rows: latest points of a sweep
POINT_ROWS: Rows = (
    ("completed", "completed", ",.0f"),
    ("output tokens/s", "output_throughput", ",.0f"),
    ("TTFT p99 [ms]", "p99_ttft_ms", ",.1f"),
    ("TPOT p99 [ms]", "p99_tpot_ms", ",.2f"),
    ("max concurrent", "max_concurrent_requests", ",.0f"),
)
"""Columns of the table of a sweep's points."""


@contextmanager
def watching(scenario: Scenario, console: Console) -> Iterator[Watch]:
    """Show a dashboard of one run; print a line every 5 s if `console` is no terminal.

    Parameters
    ----------
    scenario
        Scenario of the run.
    console
        Console to write to.

    Yields
    ------
    Watch
        Function that takes the simulated time [s] and the recorder of the run.
    """
    if not console.is_terminal:
        yield _lines(scenario, console)
        return
    board = RunBoard.of(scenario)
    reader, rate = SnapshotReader(), OutputRate()
    with Live(console=console, transient=True, refresh_per_second=8) as live:

        def show(now_s: float, recorder: Recorder) -> None:
            snapshot = reader.read(now_s, recorder)
            live.update(board.render(snapshot, rate.after(snapshot)))

        yield show


def _lines(scenario: Scenario, console: Console) -> Watch:
    """Return a function that prints a line about a run at most every 5 s."""
    reader, rate = SnapshotReader(), OutputRate()
    printed_s = time.monotonic()

    def say(now_s: float, recorder: Recorder) -> None:
        nonlocal printed_s
        if time.monotonic() - printed_s > _SAY_EVERY_S:
            printed_s = time.monotonic()
            snapshot = reader.read(now_s, recorder)
            words = _in_words(snapshot, rate.after(snapshot))
            console.print(f"{scenario.title}: {words}", highlight=False, soft_wrap=True)

    return say


def _in_words(snapshot: Snapshot, tokens_per_s: float) -> str:
    words = (
        f"{snapshot.now_s:,.0f} s simulated, "
        f"{snapshot.left:,} of {snapshot.arrived:,} requests done, "
        f"{snapshot.waiting:,} waiting, {snapshot.running:,} running, "
        f"{snapshot.rejected:,} rejected, {tokens_per_s:,.0f} output tokens/s"
    )
    if snapshot.unready is not None:
        words += f", {snapshot.unready:,} replicas not ready"
    if snapshot.hottest is None:
        return words
    device, die_c = snapshot.hottest
    return f"{words}, {device} {die_c:.0f} °C"


@dataclass(frozen=True)
class RunBoard:
    """Dashboard of one run."""

    title: str
    """Name of the scenario."""
    replicas: list[tuple[str, int]]
    """Name and KV cache capacity [tokens] of each replica."""

    @classmethod
    def of(cls, scenario: Scenario) -> RunBoard:
        """Return the dashboard of a scenario."""
        replicas = [
            (replica.label, replica.deployment.placement.kv_tokens)
            for replica in resolve(scenario).replicas
        ]
        return cls(scenario.title, replicas)

    def render(self, snapshot: Snapshot, tokens_per_s: float) -> Group:
        """Return two tables: totals of the run, and the replicas with the fullest KV cache."""
        return Group(self._totals(snapshot, tokens_per_s), self._fullest(snapshot))

    def _totals(self, snapshot: Snapshot, tokens_per_s: float) -> Table:
        columns = {
            "simulated [s]": f"{snapshot.now_s:,.1f}",
            "arrived": f"{snapshot.arrived:,}",
            "done": f"{snapshot.left:,}",
            "rejected": f"{snapshot.rejected:,}",
            "queue": f"{snapshot.waiting:,}",
            "running": f"{snapshot.running:,}",
            "output tokens/s": f"{tokens_per_s:,.0f}",
        }
        if snapshot.unready is not None:
            count = len(self.replicas)
            columns["replicas ready"] = f"{count - snapshot.unready:,} of {count:,}"
        if snapshot.hottest is not None:
            device, die_c = snapshot.hottest
            columns["hottest device"] = f"{device}, {die_c:.0f} °C"
        table = Table(title=self.title, title_justify="left")
        for heading in columns:
            table.add_column(heading, justify="right")
        table.add_row(*columns.values())
        return table

    def _fullest(self, snapshot: Snapshot) -> Table:
        table = Table()
        for heading in ("replica", "sequences", "queue", "KV cache used"):
            table.add_column(heading, justify="left" if heading == "replica" else "right")
        used = {
            number: tokens / self.replicas[number][1]
            for number, (_, _, tokens) in snapshot.sequences.items()
        }
        fullest = sorted(used, key=lambda number: (-used[number], number))
        for number in fullest[:_REPLICAS]:
            running, waiting, _ = snapshot.sequences[number]
            name = self.replicas[number][0]
            table.add_row(name, f"{running:,}", f"{waiting:,}", f"{used[number]:.1%}")
        if len(fullest) > _REPLICAS:
            table.caption = (
                f"the {_REPLICAS} replicas with the fullest KV cache, of {len(fullest):,}"
            )
        return table


class SweepBoard:
    """Dashboard of a sweep: progress, and a table of the points that ended last."""

    def __init__(self) -> None:
        self._last: deque[tuple[str, Record]] = deque(maxlen=_POINTS)
        self._began_s = time.monotonic()
        self._count: SweepCount | None = None

    def counted(self, count: SweepCount) -> None:
        """Store the progress of the sweep."""
        self._count = count

    def ended(self, point: str, record: Record) -> None:
        """Store the outcome of a point."""
        self._last.append((point, record))

    def __rich__(self) -> Group:
        if self._count is None:
            return Group("reading")
        passed_s = max(time.monotonic() - self._began_s, 1e-9)
        table = Table()
        for heading in ("point", *(label for label, _, _ in POINT_ROWS)):
            table.add_column(
                heading, justify="left" if heading == "point" else "right", overflow="fold"
            )
        for point, record in self._last:
            table.add_row(point, *_point_cells(record))
        return Group(_sweep_words(self._count, passed_s), table)


def _sweep_words(count: SweepCount, passed_s: float) -> str:
    """Return the progress of a sweep after `passed_s` [s], with the estimated time left."""
    total = "?" if count.total is None else f"{count.total:,}"
    words = (
        f"{count.done:,} done, {count.failed:,} failed, {count.known:,} known before, of {total} points; "
        f"{count.per_s(passed_s):,.1f} points/s"
    )
    left_s = count.left_s(passed_s)
    return words if left_s is None else f"{words}, {left_s:,.0f} s left"


def _point_cells(record: Record) -> Iterator[str]:
    """Yield the metrics of a point; a point that failed has its status in the first column."""
    for _, key, form in POINT_ROWS:
        if key in record["summary"]:
            yield format(record["summary"][key], form)
        else:
            yield record["status"] if key == "completed" else "-"


@contextmanager
def watching_sweep(console: Console) -> Iterator[tuple[Callable[[SweepCount], None], Ended]]:
    """Show a dashboard of a sweep; yield the functions that take its progress and its points."""
    board = SweepBoard()
    with Live(board, console=console, transient=True, refresh_per_second=4):
        yield board.counted, board.ended
