"""Requests that no replica of a cluster can serve, counted without a simulation.

A request is too long if no replica that must hold it can do so, see `sim.router`: its tokens exceed
the model's context, the KV cache of every replica, or, without chunked prefill, a step. Such a
request is rejected when it arrives, with the reason `too_long`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

import numpy as np

from cluster_sim.deployment.size_limits import SizeLimits, size_limits
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.end_of_arrivals import all_in_warmup, late_requests
from cluster_sim.workload.traces import RecordedSession, Tally, Trace
from cluster_sim.workload.traces.trace import Seen


class Oversized:
    """Counts of the requests that are too long, among the requests so far."""

    def __init__(self, limits: SizeLimits, *, may_end_early: bool = False) -> None:
        """Start with no requests.

        may_end_early: whether a run may end before it has sent all turns of its sessions.
        """
        self._limits, self._may_end_early = limits, may_end_early
        self.requests = 0
        """Number of requests."""
        self.beyond_context = 0
        """Number of requests that exceed the model's context."""
        self.beyond_replicas = 0
        """Number of requests that are within the context and fit on no replica."""
        self.cut_sessions = 0
        """Number of sessions that end with a request that is too long."""
        self.unsent = 0
        """Number of later requests in these sessions, which are never sent."""
        self._longest = (0, 0)

    @property
    def too_long(self) -> int:
        """Number of requests that no replica can hold."""
        return self.beyond_context + self.beyond_replicas

    @property
    def rejected(self) -> int:
        """Number of requests that are rejected for their length: one per session."""
        return self.cut_sessions or self.too_long

    def add(self, prompt: np.ndarray, output: np.ndarray) -> np.ndarray:
        """Count requests of these lengths [tokens]. Return which of them are too long."""
        prompt = prompt + self._limits.prefix_tokens
        fits = self._limits.fits(prompt, output)
        self.requests += len(prompt)
        if np.all(fits):
            return ~fits
        total = prompt + output
        is_beyond = total > self._limits.context
        self.beyond_context += int(np.sum(~fits & is_beyond))
        self.beyond_replicas += int(np.sum(~fits & ~is_beyond))
        longest = int(np.argmax(np.where(fits, 0, total)))
        if total[longest] > sum(self._longest):
            self._longest = int(prompt[longest]), int(output[longest])
        return ~fits

    def add_session(self, prompt: np.ndarray, output: np.ndarray) -> None:
        """Count the turns of one session, given whole prompts and answers [tokens].

        A session ends with the first turn that is rejected.
        """
        is_too_long = self.add(prompt, output)
        if np.any(is_too_long):
            self.cut_sessions += 1
            self.unsent += len(prompt) - 1 - int(np.argmax(is_too_long))

    def sentence(self) -> str | None:
        """Return how many requests exceed which limits, and the consequences; None if none do."""
        if not self.too_long:
            return None
        return f"{self._counts('')}; {self._outcome()}; {self._longest_request()}"

    def sentence_of_first(self) -> str | None:
        """Return how many of the first requests exceed which limits; None if none do."""
        if not self.too_long:
            return None
        return f"{self._counts('the first ')}; {self._longest_request()}"

    def _counts(self, of: str) -> str:
        limits = self._limits
        context = f"the context of {limits.model}, {limits.context:,} tokens"
        exceeded = ((self.beyond_context, context), (self.beyond_replicas, limits.exceeded()))
        return " and ".join(
            f"{count:,} of {of}{self.requests:,} requests ({100 * count / self.requests:.2f} %) exceed {what}"
            for count, what in exceeded
            if count
        )

    def _longest_request(self) -> str:
        prompt, output = self._longest
        return f"the longest has {prompt:,} prompt and {output:,} output tokens"

    def _outcome(self) -> str:
        """Return the consequences for requests that are too long."""
        if not self.cut_sessions:
            return "they are rejected"
        of_run = ", if the run gets that far" if self._may_end_early else ""
        return f"a session ends with the first of its own that is rejected (sessions that end early: {self.cut_sessions:,}; later requests that are not sent: {self.unsent:,}{of_run})"


@dataclass(frozen=True)
class TraceUse:
    """A trace with the scenarios of one file that replay it."""

    trace: Trace
    """The trace."""
    tally: Tally
    """Counts of omitted rows, and of the way in which the trace was read."""
    oversized: dict[str, Oversized]
    """Requests that are too long, by the title of the scenario."""
    excluded: tuple[str, ...]
    """Sentences on requests that arrive after `duration`, and on a warm-up that all arrive in."""


def trace_uses(scenarios: Sequence[Scenario]) -> Iterator[TraceUse]:
    """Read each trace of the scenarios once, and yield its counts for the scenarios.

    Requests count that arrive before the end of arrivals. All requests of a session count, although
    the last may not be sent in time. Raises ScenarioError if a trace is malformed.
    """
    users: dict[tuple[Trace, bool, int], list[Scenario]] = {}
    for scenario in scenarios:
        if (trace := scenario.workload.recorded) is not None:
            as_sessions = scenario.workload.trace is None
            users.setdefault((trace, as_sessions, scenario.seed), []).append(scenario)
    for (trace, as_sessions, seed), own in users.items():
        counts = [_count_of(scenario, trace, as_sessions=as_sessions) for scenario in own]
        tally = trace.check(seed, partial(_count_all, counts), as_sessions=as_sessions)
        titled = list(zip(own, counts, strict=True))
        yield TraceUse(
            trace,
            tally,
            {scenario.title: each.oversized for scenario, each in titled},
            tuple(text for scenario, each in titled for text in each.excluded(scenario)),
        )


def oversized_first(scenario: Scenario, prompt: np.ndarray, output: np.ndarray) -> Oversized:
    """Return the count among the first requests of a trace, with the prompts that replicas receive.

    Parameters
    ----------
    scenario
        Scenario that replays the trace.
    prompt
        Lengths of prompts, including the shared text before each [tokens].
    output
        Lengths of answers [tokens].
    """
    oversized = Oversized(size_limits(scenario)._replace(prefix_tokens=0))
    oversized.add(prompt, output)
    return oversized


@dataclass
class _Count:
    """The counts of one scenario."""

    oversized: Oversized
    until_s: float
    """Time at which arrivals end [s]."""
    warmup_s: float
    """Time before which requests do not count for the statistics [s]."""
    in_time: int = 0
    """Number of requests that arrive before the end of arrivals."""
    late: int = 0
    """Number of requests that arrive after the end of arrivals."""
    has_counted: bool = False
    """Whether a request arrives after the warm-up and before the end of arrivals."""

    def add(self, seen: Seen) -> None:
        """Count the requests of a part of the replay."""
        if isinstance(seen, RecordedSession):
            self._add_session(seen)
        else:
            is_in_time = seen.time_s < self.until_s
            self.oversized.add(seen.prompt[is_in_time], seen.output[is_in_time])
            self._add_times(seen.time_s)

    def _add_session(self, session: RecordedSession) -> None:
        """Count a session, whose requests arrive at the earliest possible times."""
        if session.start_s < self.until_s:
            self.oversized.add_session(*session.lengths())
        self._add_times(session.start_s + np.array([step.due_s for step in session.steps]))
        # the times of later turns are unknown, so they may be after the warm-up
        self.has_counted = self.has_counted or len(session.steps) > 1

    def _add_times(self, times_s: np.ndarray) -> None:
        """Count requests by their times [s]."""
        late = int(np.sum(times_s >= self.until_s))
        self.in_time += len(times_s) - late
        self.late += late
        self.has_counted = self.has_counted or bool(
            np.any((times_s >= self.warmup_s) & (times_s < self.until_s))
        )

    def excluded(self, scenario: Scenario) -> Iterator[str]:
        """Yield sentences on requests after the end of arrivals, and on a warm-up that is too long.

        `limit` counts all requests from the first one.
        """
        trace = scenario.workload.trace
        if trace is None:
            return
        limit = trace.limit or self.in_time + self.late
        requests = min(self.in_time + self.late, limit)
        if requests > self.in_time:
            yield late_requests(requests - self.in_time, requests, self.until_s)
        if self.in_time and not self.has_counted:
            ends = scenario.duration_s is not None
            yield all_in_warmup(
                min(self.in_time, limit), scenario.warmup_s, is_trace=True, ends=ends
            )


def _count_of(scenario: Scenario, trace: Trace, *, as_sessions: bool) -> _Count:
    """Return the count of a scenario at the start."""
    ends = scenario.duration_s is not None or trace.limit is not None
    until_s = inf if as_sessions or scenario.duration_s is None else scenario.duration_s
    return _Count(Oversized(size_limits(scenario), may_end_early=ends), until_s, scenario.warmup_s)


def _count_all(counts: Sequence[_Count], seen: Seen) -> None:
    """Count the requests of a part of the replay for each scenario."""
    for count in counts:
        count.add(seen)
