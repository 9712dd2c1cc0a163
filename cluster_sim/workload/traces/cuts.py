"""Selection of the replayed part of a trace: start, number of requests, share and speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from math import inf
from typing import NamedTuple

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch


class Cut(NamedTuple):
    """Part of a trace that is replayed; it begins at time zero."""

    path: str
    """Path of the trace, for messages."""
    start_s: float
    """Time of the trace before which requests are omitted [s]."""
    sample: float
    """Probability of keeping a request or session."""
    speedup: float
    """Factor by which times are divided."""
    limit: int | None
    """Maximum number of requests from the beginning; None for all."""
    begins_at_zero: bool
    """Whether times count from the beginning of the trace, and not from its first row."""
    begin_at: Callable[[float], None]
    """Function that is called with the time of the trace that becomes time zero [s]."""
    tally: Tally
    """Counts of the omitted requests."""

    def batches(self, ordered: Iterator[Batch], rng: np.random.Generator) -> Iterator[Batch]:
        """Yield the selected requests; `ordered` yields all requests in order of time.

        Raises ScenarioError if there are no requests, if the last request is before the start, and if
        the sample keeps no request.
        """
        zero_s: float | None = None
        is_empty = True
        last_s = -inf
        left = self.limit if self.limit is not None else 1 << 62
        for batch in ordered:
            if not len(batch.time_s):
                continue
            if zero_s is None:
                zero_s = self._zero_s(float(batch.time_s[0]))
            last_s = float(batch.time_s[-1])
            kept = batch if not self.start_s else batch.take(batch.time_s >= zero_s)
            if self.sample < 1.0:
                kept = kept.take(rng.random(len(kept.time_s)) < self.sample)
            if len(kept.time_s) >= left:
                kept = kept.take(np.arange(left))
            is_empty = is_empty and not len(kept.time_s)
            yield kept._replace(time_s=(kept.time_s - zero_s) / self.speedup)
            left -= len(kept.time_s)
            if not left:
                return
        if zero_s is None:
            raise ScenarioError.at(self.path, "has no requests")
        self._refuse_late_start(last_s - zero_s)
        if is_empty and self.sample < 1.0:
            self._refuse_sample("requests")

    def sessions(
        self,
        sessions: Iterator[RecordedSession],
        rng: np.random.Generator,
        dejitter_s: float | None,
    ) -> Iterator[RecordedSession]:
        """Yield the selected sessions; `sessions` yields all sessions by start, at least one.

        `dejitter_s` is the time after their timestamps over which starts are spread [s]. The limit
        counts requests and is applied by the sender. Raises ScenarioError if the last session starts
        before the start, and if the sample keeps no session.
        """
        if dejitter_s is not None:
            spread = (
                session._replace(start_s=session.start_s + dejitter_s * rng.random())
                for session in sessions
            )
            sessions = iter(sorted(spread, key=start_of))
        first = next(sessions)
        zero_s = self._zero_s(first.start_s)

        def kept() -> Iterator[RecordedSession]:
            last_s, is_empty = first.start_s, True
            for session in chain([first], sessions):
                last_s = session.start_s
                if session.start_s < zero_s:
                    self.tally.begun += session.count_from(zero_s)
                elif self.sample == 1.0 or rng.random() < self.sample:
                    is_empty = False
                    yield session._replace(start_s=session.start_s - zero_s)
            self._refuse_late_start(last_s - zero_s)
            if is_empty and self.sample < 1.0:
                self._refuse_sample("sessions")

        return (session.sped_up(self.speedup) for session in kept())

    def _zero_s(self, first_s: float) -> float:
        """Return the time that becomes time zero [s], given the time of the first request [s]."""
        zero_s = self.start_s + (0.0 if self.begins_at_zero else first_s)
        self.begin_at(zero_s)
        return zero_s

    def _refuse_late_start(self, left_s: float) -> None:
        """Raise ScenarioError if the last request is before the start.

        `left_s` is the time from the start until the last request [s].
        """
        if left_s < 0.0:
            raise ScenarioError.at(
                self.path,
                f"got a start of {self.start_s:g} s; expected a time before the last request, which is {self.start_s + left_s:g} s after the first",
            )

    def _refuse_sample(self, noun: str) -> None:
        """Raise ScenarioError for a sample that keeps nothing."""
        raise ScenarioError.at(
            self.path,
            f"got sample: {self.sample:g}, which keeps no {noun}; expected a larger share",
        )


def start_of(session: RecordedSession) -> float:
    """Return the time at which a session starts [s]."""
    return session.start_s
