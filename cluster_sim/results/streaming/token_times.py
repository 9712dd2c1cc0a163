"""Times of the tokens of finished requests, computed from the engine steps of their replicas."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from cluster_sim.results.run_data import RunData
from cluster_sim.results.streaming.rank_steps import RankSteps
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
    """Decode steps of a replica at whose ends a request gets a token."""

    replica: int
    """Number of the replica."""
    start: int
    """Number of decode steps of the replica that ended before the span."""
    stop: int
    """Number of decode steps of the replica that ended until the end of the span."""
    gap_s: float
    """Gap before the first token of the span; NaN if there is no such gap [s]."""
    at_s: float
    """Time of the first token of the span [s]."""


class TickSpans(NamedTuple):
    """Spans of finished requests as columns.

    A tick is a step at whose end a request gets tokens.
    """

    row: Array
    """Index of the request among the finished ones."""
    replica: Array
    """Number of the replica, or of the rank whose steps these are, see RankSteps."""
    start: Array
    """Number of decode steps of the replica that have ended at the first tick of the span."""
    first: Array
    """Number of the first tick; 0 is that of the request's first token."""
    last: Array
    """Number of the last tick."""
    at_s: Array
    """Time of the first tick [s]."""


class TokenTimes:
    """Times of the tokens of finished requests outside the warm-up.

    After its first token a request gets one token (with speculation one chunk of tokens) at the end
    of every decode step of its replica, until it is preempted or finishes. A request that continues
    after a preemption, a KV transfer or a loss gets its next token at the event `resumed`.
    """

    def __init__(self, results: RunData) -> None:
        """Compute the steps of each finished request outside the warm-up."""
        table = results.requests
        is_shown = table["counted"].to_numpy() & (table["status"].to_numpy() == "finished")
        rows = np.nonzero(is_shown)[0]
        self._ranks = ranks = RankSteps(results)
        self._steps = ranks.steps()
        self._roles = [replica.role for replica in results.fleet.replicas]
        self.latencies_s = ranks.latencies_s
        """Time of an answer's way to the front door, by the number in `TickSpans.replica` [s]."""
        self._spans = self._spans_of(results, rows)

    def _spans_of(self, results: RunData, rows: Array) -> list[list[_Span]]:
        """Return the spans of each of these requests."""
        table = results.requests
        columns = ("replica", "prefill_replica", "first_token_s", "finish_s")
        replica, prefill_replica, first_s, finish_s = (
            table[name].to_numpy()[rows] for name in columns
        )
        replica, prefill_replica = replica.astype(np.int64), prefill_replica.astype(float)
        latency_s = self.latencies_s
        is_moved = ~np.isnan(prefill_replica)
        prefilled_at = np.where(is_moved, prefill_replica, replica).astype(np.int64)
        first_s, finish_s = first_s - latency_s[prefilled_at], finish_s - latency_s[replica]
        numbers = results.served_numbers[rows]
        replica = self._keys(numbers, replica)
        begin, end = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        for replica_number, steps in self._steps.items():
            here = replica == replica_number
            begin[here], end[here] = steps.ended_by(first_s[here]), steps.ended_by(finish_s[here])
        # A request whose KV cache is transferred gets no more tokens from its prefill replica.
        begin = np.where(is_moved, end, begin)
        spans = [
            [_Span(int(replica_number), int(start), int(stop), np.nan, float(at_s))]
            for replica_number, start, stop, at_s in zip(replica, begin, end, first_s, strict=True)
        ]
        rows_of = {int(request): row for row, request in enumerate(numbers)}
        for request, changes in _changes(results, self._ranks).items():
            if (row := rows_of.get(request)) is not None:
                spans[row] = self._torn(spans[row][0], changes, first_s[row])
        outputs = table["output_tokens"].to_numpy()[rows]
        seen = table["first_token_s"].to_numpy()[rows] == table["finish_s"].to_numpy()[rows]
        for clipped in np.nonzero(seen & (outputs > 1))[0].tolist():
            spans[clipped] = _with_tokens(spans[clipped], int(outputs[clipped]))
        return spans

    def _keys(self, requests: Array, replicas: Array) -> Array:
        """Return the keys of the steps of requests on these replicas, see RankSteps."""
        if len(self.latencies_s) == self._ranks.replicas:  # no rank prefills apart
            return replicas
        pairs = zip(requests.tolist(), replicas.tolist(), strict=True)
        return np.array([self._ranks.key(*pair) for pair in pairs], dtype=np.int64)

    def _torn(self, whole: _Span, changes: list[_TokenChange], first_s: float) -> list[_Span]:
        """Return the spans of a request that was preempted, lost, or whose KV cache was moved."""
        lost_at = (
            each.replica for each in changes if each.what == "retried" and each.at_s >= first_s
        )
        replica = next(lost_at, whole.replica)
        # A prefill replica gives a request only its first token.
        is_alone = self._role(replica) != "both"
        start, gap_s, is_open = self._ended_by(replica, first_s), np.nan, True
        began_s = first_s
        spans: list[_Span] = []
        for what, at_s, value, at_replica in changes:
            if what == "resumed":
                if is_open:  # after a KV transfer
                    spans.append(_Span(replica, start, start, gap_s, began_s))
                replica, gap_s, began_s, is_open = at_replica, value, at_s, True
                is_alone = self._role(replica) == "prefill"
                start = self._ended_by(replica, at_s)
            elif at_s >= first_s and is_open:
                stop = start if is_alone else self._ended_by(replica, at_s)
                spans.append(_Span(replica, start, stop, gap_s, began_s))
                is_open = False
        stop = start if is_alone else whole.stop
        return [*spans, _Span(replica, start, stop, gap_s, began_s)]

    def _role(self, replica: int) -> str:
        """Return the role of a replica, given the key of its steps."""
        return self._roles[replica % self._ranks.replicas]

    def _ended_by(self, replica: int, at_s: float) -> int:
        """Return the number of steps of a replica that have ended at a time [s].

        A replica that is lost in its first step has ended none.
        """
        steps = self._steps.get(replica)
        return 0 if steps is None else int(steps.ended_by(np.array([at_s]))[0])

    @cached_property
    def chunks(self) -> Array:
        """Number of chunks of each answer: its tokens, or fewer with speculation."""
        counts = [
            len(spans) + sum(span.stop - span.start for span in spans) for spans in self._spans
        ]
        return np.array(counts, dtype=np.int64)

    @cached_property
    def spans(self) -> TickSpans:
        """Spans of all requests, in order of request and time."""
        rows = [row for row, spans in enumerate(self._spans) for _ in spans]
        every = [span for spans in self._spans for span in spans]
        replica, start, stop, _, at_s = np.array(every, dtype=float).reshape(-1, 5).T
        row, last = np.array(rows, dtype=np.int64), (stop - start).astype(np.int64)
        so_far = np.cumsum(last + 1) - (last + 1)
        is_first = np.diff(row, prepend=-1) > 0
        first = so_far - np.repeat(so_far[is_first], np.bincount(row))
        replica, start = replica.astype(np.int64), start.astype(np.int64)
        return TickSpans(row, replica, start, first, first + last, at_s)

    def ended_s(self, row: Array, tick: Array) -> tuple[Array, Array]:
        """Return the times at which ticks of finished requests end [s], and their replicas.

        Parameters
        ----------
        row
            Finished requests, by index.
        tick
            Number of a step at whose end each request gets tokens; 0 is that of its first token.
        """
        spans, size = self.spans, int(np.max(self.spans.last, initial=0)) + 1
        place = np.searchsorted(spans.row * size + spans.first, row * size + tick, "right") - 1
        replica, times_s = spans.replica[place], spans.at_s[place]
        ended = spans.start[place] + tick - spans.first[place]
        is_later = tick > spans.first[place]
        for number, steps in self._steps.items():
            here = is_later & (replica == number)
            times_s[here] = steps.ends_s[ended[here]]
        return times_s, replica

    def ends_s(self, replica: int) -> Array:
        """Return the end of every decode step of a replica [s], after the start of the first."""
        return self._steps[replica].ends_s

    def gaps_s(self, row: int) -> Array:
        """Return the gaps [s] between the chunks of a finished request, in order."""
        parts: list[Array] = []
        for replica, start, stop, gap_s, at_s in self._spans[row]:
            if gap_s == gap_s:
                parts.append(np.array([gap_s]))
            if stop > start:
                parts.append(self._steps[replica].gaps_s(start, stop, at_s))
        return np.concatenate([np.zeros(0), *parts])


def _with_tokens(spans: list[_Span], tokens: int) -> list[_Span]:
    """Return the spans of an answer that completely reached the front door with its first token.

    The path from the decode replica is shorter, so the table of requests does not have the time at
    which decode ended.
    """
    *before, last = spans
    made = len(spans) + sum(span.stop - span.start for span in before)
    return [*before, last._replace(stop=min(last.stop, last.start + tokens - made))]


def _changes(results: RunData, ranks: RankSteps) -> dict[int, list[_TokenChange]]:
    """Return the preemptions and resumptions of each request, in order of time."""
    columns = ("request", "what", "at_s", "value", "replica")
    rows = zip(*(results.events[name].to_pylist() for name in columns), strict=True)
    changes: dict[int, list[_TokenChange]] = {}
    for request, what, at_s, value, replica in rows:
        if what in ("preempted", "retried", "resumed"):
            change = _TokenChange(what, at_s, value, ranks.key(request, replica))
            changes.setdefault(request, []).append(change)
    return changes
