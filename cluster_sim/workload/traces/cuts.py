"""What is wanted of a trace: from when on, how many, which share, and how fast."""

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
    """The part of a trace that is replayed; what is kept begins at time zero."""

    path: str
    """The trace, for messages."""
    start_s: float
    """Time of the trace before which it is left out [s]."""
    sample: float
    """Share that is kept, each by chance."""
    speedup: float
    """Number by which times are divided."""
    limit: int | None
    """Number of requests, from the first; None for all."""
    begins_at_zero: bool
    """Whether times count from the beginning of the trace rather than from its first row."""
    begin_at: Callable[[float], None]
    """Function that is called with the time that becomes zero [s]."""
    tally: Tally
    """Counts of what is left out."""

    def batches(self, ordered: Iterator[Batch], rng: np.random.Generator) -> Iterator[Batch]:
        """Yield the requests that are kept; `ordered` are all, in order of time.

        Raises ScenarioError where there is none, where the last comes before the start, and where
        the sample leaves none.
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
            raise ScenarioError.at(self.path, "holds no requests")
        self._refuse_late_start(last_s - zero_s)
        if is_empty and self.sample < 1.0:
            self._refuse_sample("requests")

    def sessions(
        self,
        sessions: Iterator[RecordedSession],
        rng: np.random.Generator,
        dejitter_s: float | None,
    ) -> Iterator[RecordedSession]:
        """Yield the sessions that are kept; `sessions` are all, by their starts, and not none.

        `dejitter_s` is the time after their stamps over which starts are spread [s]. The limit
        counts requests, and is left to those who send them. Raises ScenarioError where the last
        session starts before the start, and where the sample leaves none.
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
        """Return the time that becomes zero [s], given that of the first request."""
        zero_s = self.start_s + (0.0 if self.begins_at_zero else first_s)
        self.begin_at(zero_s)
        return zero_s

    def _refuse_late_start(self, left_s: float) -> None:
        """Raise ScenarioError where the last request comes before the start.

        left_s: time from the start until the last request [s].
        """
        if left_s < 0.0:
            raise ScenarioError.at(
                self.path,
                f"got a start of {self.start_s:g} s; the last request comes {self.start_s + left_s:g} s after the first",
            )

    def _refuse_sample(self, noun: str) -> None:
        """Raise ScenarioError for a sample that leaves nothing."""
        raise ScenarioError.at(
            self.path,
            f"got sample: {self.sample:g}, which leaves none of its {noun}; expected a larger share",
        )


def start_of(session: RecordedSession) -> float:
    """Return the time at which a session starts [s]."""
    return session.start_s
