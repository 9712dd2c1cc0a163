"""Times of the tokens of finished requests, computed from the engine steps of their replicas."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from cluster_sim.export.network_latency import answer_latencies_s
from cluster_sim.results.results import Results
from cluster_sim.typing import Array


class _TokenChange(NamedTuple):
    """Event after which a request starts or stops to get tokens."""

    what: str
    """Kind of the event: `preempted`, `retried` or `resumed`."""
    at_s: float
    """Time of the event [s]."""
    gap_s: float
    """Time since the last token, for a request that resumes [s]."""
    replica: int
    """Number of the replica of the event."""


class _Span(NamedTuple):
    """Engine steps of a replica at whose ends a request gets a token."""

    replica: int
    """Number of the replica."""
    start: int
    """Number of steps of the replica that ended before the span."""
    stop: int
    """Number of steps of the replica that ended until the end of the span."""
    gap_s: float
    """Gap before the first token of the span; NaN if there is no such gap [s]."""


class TokenTimes:
    """Times of the tokens of finished requests outside the warm-up.

    After its first token a request gets one token (with speculation one chunk of tokens) at the end
    of every step of its replica, until it is preempted or finishes. A request that continues after a
    preemption, a KV transfer or a loss gets its next token at the event `resumed`.
    """

    def __init__(self, results: Results) -> None:
        """Compute the steps of each finished request outside the warm-up."""
        table = results.requests
        is_shown = table["counted"].to_numpy() & (table["status"].to_numpy() == "finished")
        rows = np.nonzero(is_shown)[0]
        self._steps = {
            number: _ReplicaSteps(results, number)
            for number in np.unique(results.stretches["replica"].to_numpy()).astype(int).tolist()
        }
        self._roles = [replica.role for replica in results.fleet.replicas]
        self._spans = self._spans_of(results, rows)

    def _spans_of(self, results: Results, rows: Array) -> list[list[_Span]]:
        """Return the spans of each of these requests."""
        table = results.requests
        columns = ("request", "replica", "prefill_replica", "first_token_s", "finish_s")
        number, replica, prefill_replica, first_s, finish_s = (
            table[name].to_numpy()[rows] for name in columns
        )
        replica, prefill_replica = replica.astype(np.int64), prefill_replica.astype(float)
        latency_s = answer_latencies_s(results.scenario)
        is_moved = ~np.isnan(prefill_replica)
        prefilled_at = np.where(is_moved, prefill_replica, replica).astype(np.int64)
        first_s, finish_s = first_s - latency_s[prefilled_at], finish_s - latency_s[replica]
        begin, end = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        for replica_number, steps in self._steps.items():
            here = replica == replica_number
            begin[here], end[here] = steps.ended_by(first_s[here]), steps.ended_by(finish_s[here])
        # A request whose KV cache is transferred gets no more tokens from its prefill replica.
        begin = np.where(is_moved, end, begin)
        spans = [
            [_Span(int(replica_number), int(start), int(stop), np.nan)]
            for replica_number, start, stop in zip(replica, begin, end, strict=True)
        ]
        rows_of = {int(request): row for row, request in enumerate(number)}
        for request, changes in _changes(results).items():
            if (row := rows_of.get(request)) is not None:
                spans[row] = self._torn(spans[row][0], changes, first_s[row])
        outputs = table["output_tokens"].to_numpy()[rows]
        seen = table["first_token_s"].to_numpy()[rows] == table["finish_s"].to_numpy()[rows]
        for clipped in np.nonzero(seen & (outputs > 1))[0].tolist():
            spans[clipped] = _with_tokens(spans[clipped], int(outputs[clipped]))
        return spans

    def _torn(self, whole: _Span, changes: list[_TokenChange], first_s: float) -> list[_Span]:
        """Return the spans of a request that was preempted, lost, or whose KV cache was moved."""
        lost_at = (
            each.replica for each in changes if each.what == "retried" and each.at_s >= first_s
        )
        replica = next(lost_at, whole.replica)
        # A prefill replica gives a request only its first token.
        is_alone = self._roles[replica] != "both"
        start, gap_s, is_open = self._ended_by(replica, first_s), np.nan, True
        spans: list[_Span] = []
        for what, at_s, value, at_replica in changes:
            if what == "resumed":
                if is_open:  # after a KV transfer
                    spans.append(_Span(replica, start, start, gap_s))
                replica, gap_s, is_open = at_replica, value, True
                is_alone = self._roles[replica] == "prefill"
                start = self._ended_by(replica, at_s)
            elif at_s >= first_s and is_open:
                stop = start if is_alone else self._ended_by(replica, at_s)
                spans.append(_Span(replica, start, stop, gap_s))
                is_open = False
        return [*spans, _Span(replica, start, start if is_alone else whole.stop, gap_s)]

    def _ended_by(self, replica: int, at_s: float) -> int:
        """Return the number of steps of a replica that have ended at a time [s]."""
        return int(self._steps[replica].ended_by(np.array([at_s]))[0])

    @cached_property
    def chunks(self) -> Array:
        """Number of chunks of each answer: its tokens, or fewer with speculation."""
        counts = [
            len(spans) + sum(span.stop - span.start for span in spans) for spans in self._spans
        ]
        return np.array(counts, dtype=np.int64)

    def gaps_s(self, row: int) -> Array:
        """Return the gaps [s] between the chunks of a finished request, in order."""
        parts: list[Array] = []
        for replica, start, stop, gap_s in self._spans[row]:
            if gap_s == gap_s:
                parts.append(np.array([gap_s]))
            parts.append(self._steps[replica].lengths_s[start:stop])
        return np.concatenate(parts)


def _with_tokens(spans: list[_Span], tokens: int) -> list[_Span]:
    """Return the spans of an answer that completely reached the front door with its first token.

    The path from the decode replica is shorter, so the table of requests does not have the time at
    which decode ended.
    """
    *before, last = spans
    made = len(spans) + sum(span.stop - span.start for span in before)
    return [*before, last._replace(stop=min(last.stop, last.start + tokens - made))]


def _changes(results: Results) -> dict[int, list[_TokenChange]]:
    """Return the preemptions and resumptions of each request, in order of time."""
    columns = ("request", "what", "at_s", "value", "replica")
    rows = zip(*(results.events[name].to_pylist() for name in columns), strict=True)
    changes: dict[int, list[_TokenChange]] = {}
    for request, what, at_s, value, replica in rows:
        if what in ("preempted", "retried", "resumed"):
            changes.setdefault(request, []).append(_TokenChange(what, at_s, value, replica))
    return changes


class _ReplicaSteps:
    """Engine steps of one replica, in order of time."""

    def __init__(self, results: Results, replica: int) -> None:
        """Read the steps from the table of stretches."""
        table = results.stretches
        here = table["replica"].to_numpy() == replica
        self._first_s, self._slope_s, self._count, ended_s = (
            table[name].to_numpy()[here] for name in ("first_s", "slope_s", "steps", "ended_s")
        )
        # A given time is the end of a stretch, except for rounding: the nearest end is meant.
        self._middles_s = 0.5 * (ended_s[1:] + ended_s[:-1])
        self._done = np.cumsum(self._count)

    def ended_by(self, times_s: Array) -> Array:
        """Return the number of steps that have ended at each of these ends of stretches [s]."""
        ended: Array = self._done[np.searchsorted(self._middles_s, times_s)]
        return ended

    @cached_property
    def lengths_s(self) -> Array:
        """Length of every step [s]."""
        inside = np.arange(int(self._done[-1])) - np.repeat(self._done - self._count, self._count)
        lengths_s: Array = (
            np.repeat(self._first_s, self._count) + np.repeat(self._slope_s, self._count) * inside
        )
        return lengths_s
