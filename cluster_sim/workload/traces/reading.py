"""Requests in order of time, or sessions, from the readers of a format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.traces.histories import Histories
from cluster_sim.workload.traces.linked import NO_PREFIXES, linked_sessions
from cluster_sim.workload.traces.ordering import GapWatch, RowOrder
from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch
from cluster_sim.workload.traces.source import TraceFormat, TraceSource
from cluster_sim.workload.traces.texts import timed


class TraceReader(NamedTuple):
    """Reader of one trace."""

    format: TraceFormat
    """Format of the trace."""
    source: TraceSource
    """Trace, with its counts and notes."""

    def in_order(
        self,
        rng: np.random.Generator,
        dejitter_s: float | None,
        starts_s: Iterator[float] | None,
    ) -> Iterator[Batch]:
        """Yield the requests in order of time.

        Parameters
        ----------
        rng
            Generator of the times after the timestamps, and of the rows of ServeGen's clients.
        dejitter_s
            Time after their timestamps over which requests are spread [s]; None for no spreading.
        starts_s
            Times for the requests of a file without times [s]; None if the file has times.
        """
        place, tally = self.source.place, self.source.tally
        histories = Histories(self.source)
        order = RowOrder(self.source, is_spread=dejitter_s is not None)
        for rows in self.format.batches(self.source, rng):
            if starts_s is not None:
                kept = rows.take(self._are_requests(rows))
                tally.rows += len(rows.line) - len(kept.line)
                rows = timed(kept, starts_s, tally)
            _refuse_untimed(rows, place)
            order.read(rows)
            batch = histories.whole(rows.take(self._are_requests(rows)))
            if dejitter_s is not None:
                late_s = dejitter_s * rng.random(len(batch.time_s))
                batch = batch._replace(time_s=batch.time_s + late_s)
            if (due := order.put(batch)) is not None:
                yield due
        yield order.rest()

    def sessions(self) -> Iterator[RecordedSession]:
        """Yield the sessions: of linked rows in order of start, else in the order of the file.

        Requests without tokens are omitted and counted. Raises ScenarioError for a trace without
        requests.
        """
        read = self.format.sessions
        found = self._linked() if read is None else self._written(read(self.source))
        is_empty = True
        for session in found:
            is_empty = False
            yield session
        if is_empty:
            raise ScenarioError.at(self.source.path, "has no requests")

    def _linked(self) -> Iterator[RecordedSession]:
        """Yield the sessions of rows with links."""

        def requests() -> Iterator[Batch]:
            for rows in self.format.batches(self.source, stream(0, "trace")):
                self.source.tally.rows += len(rows.line)
                yield rows.take(self._are_requests(rows))

        gaps = GapWatch(self.source.tally)
        for session in linked_sessions(requests(), self.source):
            gaps.see_one(session.start_s)
            yield session

    def _written(self, sessions: Iterator[RecordedSession]) -> Iterator[RecordedSession]:
        """Yield the sessions of a file of sessions, without requests that have no tokens."""
        tally = self.source.tally
        has_turns = has_blocks = False
        for recorded in sessions:
            tally.rows += len(recorded.steps)
            steps = tuple(
                step for step in recorded.steps if step.prompt_tokens and step.output_tokens
            )
            tally.empty += len(recorded.steps) - len(steps)
            has_turns |= len(steps) > 1
            has_blocks |= recorded.adds or any(step.blocks for step in steps)
            if steps:
                yield recorded._replace(steps=steps)
        if has_turns and not has_blocks:
            tally.note(NO_PREFIXES)

    def _are_requests(self, batch: Batch) -> np.ndarray:
        """Return whether each row is a request, and count the omitted rows."""
        tally: Tally = self.source.tally
        unanswered = batch.output < 1
        empty = (batch.prompt < 1) | unanswered
        failed = int(np.sum(unanswered)) if self.format.records_failures else 0
        tally.failed += failed
        tally.empty += int(np.sum(empty)) - failed
        return ~empty


def _refuse_untimed(rows: Batch, place: Place) -> None:
    """Raise ScenarioError at the first turn that has a pause after an answer, but no time."""
    untimed = np.nonzero(np.isnan(rows.time_s))[0]
    if len(untimed):
        place.refuse_at(
            int(rows.line[untimed[0]]),
            "has a delay after the previous answer, but no timestamp; expected replay: sessions",
        )
