"""A run or a sweep while it goes on: what is recorded, summed up and shown in the terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario

if TYPE_CHECKING:
    from cluster_sim.sim.simulate import Watch
    from cluster_sim.studies.store import Record
    from cluster_sim.studies.sweep import Count, Ended

_SAY_EVERY_S = 5.0  # where nobody is watching
_WINDOW = 10  # looks over which a rate is taken
_REPLICAS = 8  # fullest ones that are shown
_POINTS = 12  # of a sweep, the last that are shown

_COLUMN = {name: place for place, name in enumerate(STRETCH_COLUMNS)}


@dataclass(frozen=True)
class Moment:
    """A run at one moment, as far as it has been recorded: a replica is as its last stretch began."""

    now_s: float
    arrived: int
    left: int
    rejected: int
    waiting: int
    running: int
    output_tokens: float
    """Made so far, those of warm-up included."""
    sequences: dict[int, tuple[int, int, float]]
    """By replica: running, waiting, tokens in its KV cache."""
    hottest: tuple[str, float] | None = None
    """Of the devices that could ever reach a limit the one with the hottest die, and its
    temperature [degC]; None where none could."""


class Pulse:
    """Reads what has been recorded since it last looked."""

    def __init__(self) -> None:
        self._seen = 0
        self._tokens = 0.0
        self._replicas: dict[int, tuple[int, int, float]] = {}

    def look(self, now_s: float, recorder: Recorder) -> Moment:
        """The run as of now."""
        rows = np.frombuffer(bytes(recorder.stretches[self._seen :])).reshape(
            -1, len(STRETCH_COLUMNS)
        )  # a copy, since a view would hinder what records
        self._seen = len(recorder.stretches)
        steps, batch, growth, sampled, running = (
            rows[:, _COLUMN[name]] for name in ("steps", "batch", "growth", "sampled", "running")
        )
        # places of a static batch whose answers have ended go on without making tokens
        alive = np.divide(
            np.minimum(running, batch), batch, out=np.zeros(len(rows)), where=batch > 0
        )
        self._tokens += float(np.sum(steps * (growth * alive + sampled - batch)))
        last, index = np.unique(rows[::-1, _COLUMN["replica"]], return_index=True)
        for replica, place in zip(last.astype(int).tolist(), index.tolist(), strict=True):
            row = rows[len(rows) - 1 - place]
            self._replicas[replica] = (
                int(row[_COLUMN["running"]]),
                int(row[_COLUMN["waiting"]]),
                float(row[_COLUMN["kv_tokens"]]),
            )
        waiting = min(sum(one for _, one, _ in self._replicas.values()), recorder.inside)
        rejected = len(recorder.rejected)
        hottest = max(recorder.die_c.items(), key=lambda item: item[1], default=None)
        counts = (
            len(recorder.requests),
            recorder.left - rejected,
            rejected,
            waiting,
            recorder.inside - waiting,
        )
        return Moment(now_s, *counts, self._tokens, dict(self._replicas), hottest)


class _Rate:
    """Output tokens a simulated second, over the last looks."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, float]] = deque([(0.0, 0.0)], maxlen=_WINDOW)

    def at(self, moment: Moment) -> float:
        self._past.append((moment.now_s, moment.output_tokens))
        (from_s, before), (to_s, after) = self._past[0], self._past[-1]
        return (after - before) / (to_s - from_s) if to_s > from_s else 0.0


@contextmanager
def watching(scenario: Scenario, console: Console) -> Iterator[Watch]:
    """A dashboard of one run, or a line now and then where `console` is no terminal."""
    pulse, rate = Pulse(), _Rate()
    if not console.is_terminal:
        said_s = time.monotonic()

        def say(now_s: float, recorder: Recorder) -> None:
            nonlocal said_s
            if time.monotonic() - said_s > _SAY_EVERY_S:
                said_s = time.monotonic()
                moment = pulse.look(now_s, recorder)
                console.print(
                    f"{scenario.title}: {_in_words(moment, rate.at(moment))}",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )

        yield say
        return
    names = [
        (f"{pool.name}/{number}", pool.placement(scenario.model).kv_tokens)
        for pool in scenario.cluster.pools
        for number in range(pool.replica_count(scenario.model))
    ]
    with Live(console=console, transient=True, refresh_per_second=8) as live:

        def show(now_s: float, recorder: Recorder) -> None:
            moment = pulse.look(now_s, recorder)
            live.update(dashboard(scenario, names, moment, rate.at(moment)))

        yield show


def _in_words(moment: Moment, tokens_per_s: float) -> str:
    return (
        f"{moment.now_s:,.0f} s simulated, {moment.left:,} of {moment.arrived:,} requests done, {moment.waiting:,} waiting, {moment.running:,} running, "
        f"{moment.rejected:,} rejected, {tokens_per_s:,.0f} output tokens/s"
    ) + (f", {moment.hottest[0]} {moment.hottest[1]:.0f} °C" if moment.hottest is not None else "")


def dashboard(
    scenario: Scenario, replicas: list[tuple[str, int]], moment: Moment, tokens_per_s: float
) -> Group:
    """What the terminal shows of a run. replicas: name, and room for KV in tokens, of each."""
    head = Table(title=Text(scenario.title), title_justify="left")
    for heading in (
        "simulated [s]",
        "arrived",
        "done",
        "rejected",
        "queue",
        "running",
        "output tokens/s",
    ):
        head.add_column(Text(heading), justify="right")
    counts = (moment.arrived, moment.left, moment.rejected, moment.waiting, moment.running)
    cells = [f"{moment.now_s:,.1f}", *(f"{one:,}" for one in counts), f"{tokens_per_s:,.0f}"]
    if moment.hottest is not None:
        head.add_column(Text("hottest device"), justify="right")
        cells.append(f"{moment.hottest[0]}, {moment.hottest[1]:.0f} °C")
    head.add_row(*cells)
    table = Table()
    for heading in ("replica", "sequences", "queue", "KV room used"):
        table.add_column(heading, justify="left" if heading == "replica" else "right")
    fullest = sorted(
        moment.sequences.items(), key=lambda item: (-item[1][2] / replicas[item[0]][1], item[0])
    )
    for number, (running, waiting, tokens) in fullest[:_REPLICAS]:
        name, room = replicas[number]
        table.add_row(Text(name), f"{running:,}", f"{waiting:,}", f"{tokens / room:.1%}")
    if len(fullest) > _REPLICAS:
        table.caption = f"the fullest {_REPLICAS} of {len(fullest):,}"
    return Group(head, table)


class SweepBoard:
    """The points of a sweep as they end, the last of them with their figures."""

    def __init__(self) -> None:
        self._last: deque[tuple[str, Record]] = deque(maxlen=_POINTS)
        self._began_s = time.monotonic()
        self._count: Count | None = None

    def counted(self, count: Count) -> None:
        """How far the sweep has come."""
        self._count = count

    def ended(self, point: str, record: Record) -> None:
        """What a point has come to."""
        self._last.append((point, record))

    def __rich__(self) -> Group:
        count, passed_s = self._count, max(time.monotonic() - self._began_s, 1e-9)
        if count is None:
            return Group(Text("reading"))
        left_s = count.left_s(passed_s)
        rate = (count.done + count.failed) / passed_s
        words = f"{count.done:,} done, {count.failed:,} failed, {count.known:,} known before, of {'?' if count.total is None else f'{count.total:,}'}; {rate:,.1f} points/s"
        table = Table()
        for heading, _, _ in (("point", "", ""), *_OF_POINT):
            table.add_column(
                Text(heading), justify="left" if heading == "point" else "right", overflow="fold"
            )
        for point, record in self._last:
            summary = record["summary"]
            cells = (
                format(summary[key], form)
                if key in summary
                else record["status"]
                if key == "completed"
                else "-"
                for _, key, form in _OF_POINT
            )
            table.add_row(Text(point), *cells)
        return Group(Text(words if left_s is None else f"{words}, {left_s:,.0f} s left"), table)


_OF_POINT = (
    ("completed", "completed", ",.0f"),
    ("output tokens/s", "output_throughput", ",.0f"),
    ("TTFT p99 [ms]", "p99_ttft_ms", ",.1f"),
    ("TPOT p99 [ms]", "p99_tpot_ms", ",.2f"),
    ("most at once", "max_concurrent_requests", ",.0f"),
)


@contextmanager
def watching_sweep(console: Console) -> Iterator[tuple[Callable[[Count], None], Ended]]:
    """A dashboard of a sweep: what is to be told its count, and its points."""
    board = SweepBoard()
    with Live(board, console=console, transient=True, refresh_per_second=4):
        yield board.counted, board.ended
