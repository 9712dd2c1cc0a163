"""Progress bars on a terminal; elsewhere nothing, or a line every 30 s."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cluster_sim.cli.console import stderr
from cluster_sim.errors import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.sim.run import Progress
    from cluster_sim.studies.sweep_count import SweepCount

_SAY_EVERY_S = 30.0  # between two lines, if stderr is no terminal


def is_watched() -> bool:
    """Return whether stderr is a terminal, so that a progress bar is visible."""
    return sys.stderr.isatty()


def _bar(*columns: ProgressColumn) -> Bar:
    from rich.progress import Progress, TimeRemainingColumn

    return Progress(*columns, TimeRemainingColumn(), console=stderr(), transient=True)


def _text(field: str) -> ProgressColumn:
    """Return a column that shows a field of a task without interpreting markup."""
    from rich.progress import TextColumn

    return TextColumn(f"{{task.{field}}}", markup=False)


@contextmanager
def counter(what: str, total: int | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar that counts `what`; yield the function that takes (done, total)."""
    if not is_watched():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn

    with _bar(_text("description"), BarColumn(), MofNCompleteColumn()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def simulation_bar(scenario: Scenario, title: str = "") -> Iterator[Progress | None]:
    """Show a progress bar of one simulation; yield the function that takes its progress.

    Parameters
    ----------
    scenario
        Scenario that is simulated.
    title
        Text beside the bar. Default: the title of the scenario.
    """
    if not is_watched():
        yield None
        return
    from rich.progress import BarColumn

    with _bar(_text("description"), BarColumn(), _text("fields[left]")) as bar:
        task = bar.add_task(visible(title or scenario.title), total=1.0, left="")

        def report(now_s: float, finished: int) -> None:
            bar.update(
                task,
                completed=_share_done(scenario, now_s, finished),
                left=f"{now_s:,.0f} s simulated, {finished:,} requests done",
            )

        yield report


def _share_done(scenario: Scenario, now_s: float, finished: int) -> float:
    expected, duration_s = scenario.requests_wanted, scenario.duration_s
    by_count = finished / expected if expected else 0.0
    by_time = min(now_s / duration_s, 1.0) if duration_s else 0.0
    return max(by_count, by_time)


@contextmanager
def sweep_progress(points: int) -> Iterator[Callable[[SweepCount], None]]:
    """Show the progress of a sweep: points done and failed, points/s, time left [s].

    Without a terminal, a line is printed after every tenth of the `points`, and every 30 s.
    """
    began_s = time.monotonic()
    if not is_watched():
        yield _say_now_and_then(began_s, points)
        return
    from rich.progress import BarColumn

    with _bar(BarColumn(), _text("fields[words]")) as bar:
        task = bar.add_task("", total=None, words="")
        yield lambda count: bar.update(
            task,
            total=count.total,
            completed=count.known + count.done + count.failed,
            words=_words(count, began_s),
        )


def _say_now_and_then(began_s: float, points: int) -> Callable[[SweepCount], None]:
    printed_s, tenths = began_s, 0

    def say(count: SweepCount) -> None:
        nonlocal printed_s, tenths
        ended = 10 * (count.known + count.ended) // max(points, 1)
        is_tenth = count.ended > 0 and ended > tenths
        if (now_s := time.monotonic()) - printed_s > _SAY_EVERY_S or is_tenth:
            printed_s, tenths = now_s, ended
            words, left_s = _words(count, began_s), count.left_s(now_s - began_s)
            stderr().print(
                words if left_s is None else f"{words}, {left_s:,.0f} s left", highlight=False
            )

    return say


def _words(count: SweepCount, began_s: float) -> str:
    per_s = count.per_s(time.monotonic() - began_s)
    return (
        f"{count.done:,} done, {count.failed:,} failed, "
        f"{count.known:,} before, {per_s:,.1f} points/s"
    )
