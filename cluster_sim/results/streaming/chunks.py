"""Chunks of answers as clients receive them, and the gaps between chunks, pooled exactly."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cluster_sim.results.metrics.gaps import Gaps
from cluster_sim.results.run_data import RunData
from cluster_sim.results.streaming.boundaries import RULES, Boundaries
from cluster_sim.results.streaming.token_times import TickSpans, TokenTimes
from cluster_sim.typing import Array


class ChunkArrivals(NamedTuple):
    """Times at which chunks after the first arrive."""

    times_s: Array
    """Times at the front door [s]."""
    weight: Array
    """Number of chunks at each time."""


class _Chains(NamedTuple):
    """Runs of chunks of one answer at equal numbers of steps of one replica."""

    row: Array
    """Index of the answer."""
    replica: Array
    """Number of the replica."""
    start: Array
    """Number of steps of the replica that have ended at the first chunk."""
    gaps: Array
    """Number of gaps between chunks."""
    interval: Array
    """Number of steps per gap."""

    def among(self, is_selected: Array) -> _Chains:
        """Return the chains for which `is_selected` is true."""
        return _Chains(*(column[is_selected] for column in self))


class _Joints(NamedTuple):
    """Gaps between two chunks of an answer that belong to no chain."""

    row: Array
    """Index of the answer."""
    begin: Array
    """Tick of the earlier chunk."""
    end: Array
    """Tick of the later chunk."""


def seen_chunks(run: RunData) -> Chunks | None:
    """Return the chunks of a run; None if every engine sends one chunk per step."""
    pools = run.scenario.cluster.pools
    return Chunks(run) if any(pool.sends_chunks for pool in pools) else None


class Chunks:
    """Chunks of the finished requests outside the warm-up, in the order of the table of requests.

    Gaps are counted per step of a replica, not per chunk: each answer adds its first and last chunk
    to a sum that runs over the steps at the stream interval. The effort grows with steps and
    requests, not with tokens; only with speculation and a rule for tokens it grows with chunks.
    """

    def __init__(self, run: RunData) -> None:
        """Compute the ticks of all chunks of a run."""
        self.times = TokenTimes(run)
        table = run.requests
        is_shown = table["counted"].to_numpy() & (table["status"].to_numpy() == "finished")
        replica, tokens, self._first_s, self._finish_s = (
            table[name].to_numpy()[is_shown]
            for name in ("replica", "output_tokens", "first_token_s", "finish_s")
        )
        self._latency_s = self.times.latencies_s
        engines = [spec.deployment.pool.replica.engine for spec in run.fleet.replicas]
        rules = np.array(
            [
                (
                    engine.stream_interval,
                    RULES.index(engine.stream_rule),
                    engine.first_chunk_delay,
                )
                for engine in engines
            ]
        )
        interval, rule, delay = rules[replica.astype(np.int64)].T
        last = self.times.chunks - 1
        self.boundaries = Boundaries(last, tokens, interval, rule, delay, run.scenario.seed)

    @cached_property
    def chunks(self) -> Array:
        """Number of chunks of each answer."""
        return self.boundaries.count

    @property
    def first_tokens(self) -> Array:
        """Number of tokens in the first chunk of each answer."""
        return self.boundaries.tokens_until(self.boundaries.first)

    @cached_property
    def first_s(self) -> Array:
        """Time at which the first chunk of each answer is at the front door [s]."""
        return self._seen_s(np.arange(len(self._first_s)), self.boundaries.first)

    def seen_s(self, token: Array) -> Array:
        """Return the time at which a token of each answer is at the front door [s].

        Parameters
        ----------
        token
            Number of the token of each answer; the first is 1.
        """
        bounds = self.boundaries
        tick = -(-(token - 1) * bounds.last // np.maximum(bounds.tokens - 1, 1))
        ends = [bounds.of(row) for row in range(len(tick))]
        at = np.array([ends[row][np.searchsorted(ends[row], end)] for row, end in enumerate(tick)])
        return self._seen_s(np.arange(len(tick)), at.astype(np.int64))

    def _seen_s(self, row: Array, tick: Array) -> Array:
        """Return the time at which the tokens of a tick are at the front door [s]."""
        ended_s, replica = self.times.ended_s(row, tick)
        seen_s = ended_s + self._latency_s[replica]
        seen_s = np.where(tick == 0, self._first_s[row], seen_s)
        is_last = tick == self.boundaries.last[row]
        limited_s: Array = np.where(
            is_last, self._finish_s[row], np.clip(seen_s, self._first_s[row], self._finish_s[row])
        )
        return limited_s

    def gaps_s(self, row: int) -> Array:
        """Return the gaps [s] between the chunks of a finished request, in order."""
        so_far_s = np.append(0.0, np.cumsum(self.times.gaps_s(row)))
        gaps_s: Array = np.diff(so_far_s[self.boundaries.of(row)])
        return gaps_s

    def gaps(self, is_selected: Array | None = None) -> Gaps:
        """Return the gaps between chunks of all answers, or of those selected, exactly.

        Paths of answers from different replicas to the front door are taken as equal.
        """
        chains, joints = self._selected(is_selected)
        weighted = [(ends_s[1] - ends_s[0], weight) for _, ends_s, weight in self._steps(chains)]
        begin_s, end_s = (self.times.ended_s(joints.row, tick)[0] for tick in joints[1:])
        weighted.append((end_s - begin_s, np.ones(len(end_s), dtype=np.int64)))
        gaps_s, weight = (np.concatenate(part) for part in zip(*weighted, strict=True))
        return Gaps(gaps_s, 0.0 * gaps_s, np.ones(len(gaps_s), dtype=np.int64), weight)

    def arrivals(self) -> ChunkArrivals:
        """Return the arrivals of all chunks after the first."""
        found = [
            (ends_s[1] + self._latency_s[replica], weight)
            for replica, ends_s, weight in self._steps(self._chains)
        ]
        ended_s, replica = self.times.ended_s(self._joints.row, self._joints.end)
        found.append((ended_s + self._latency_s[replica], np.ones(len(ended_s), dtype=np.int64)))
        return ChunkArrivals(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def _selected(self, is_selected: Array | None) -> tuple[_Chains, _Joints]:
        chains, joints = self._chains, self._joints
        if is_selected is None:
            return chains, joints
        inside = is_selected[joints.row]
        return chains.among(is_selected[chains.row]), _Joints(*(part[inside] for part in joints))

    def _steps(self, chains: _Chains) -> Iterator[tuple[int, tuple[Array, Array], Array]]:
        """Yield replica, begin and end of gaps [s], and the number of answers with each gap."""
        kinds = np.unique(np.stack([chains.replica, chains.interval]), axis=1)
        for replica, interval in kinds.T.tolist():
            mine = chains.among((chains.replica == replica) & (chains.interval == interval))
            ends_s = self.times.ends_s(replica)
            rows = -(-len(ends_s) // interval) + 1
            change = np.zeros(rows * interval, dtype=np.int64)
            np.add.at(change, mine.start, 1)
            np.add.at(change, mine.start + mine.gaps * interval, -1)
            weight = np.cumsum(change.reshape(rows, interval), axis=0).ravel()
            at = np.nonzero(weight)[0]
            yield replica, (ends_s[at], ends_s[at + interval]), weight[at]

    @cached_property
    def _chains(self) -> _Chains:
        spans, begin, end = self._regular
        size = self.boundaries.interval[spans.row]
        begin = _after_first(begin, spans, size)
        gaps = (end - begin) // size
        start = spans.start + begin - spans.first
        return _Chains(spans.row, spans.replica, start, gaps, size).among(gaps > 0)

    @cached_property
    def _regular(self) -> tuple[TickSpans, Array, Array]:
        """Spans of regular answers with a chunk of a chain, and the first and last such chunk."""
        bounds, spans = self.boundaries, self.times.spans
        second, size = bounds.second[spans.row], bounds.interval[spans.row]
        begin = second + np.maximum(-(-(spans.first - second) // size), 0) * size
        end = second + (spans.last - second) // size * size
        is_in = bounds.is_regular[spans.row] & (begin <= spans.last)
        return TickSpans(*(column[is_in] for column in spans)), begin[is_in], end[is_in]

    @cached_property
    def _joints(self) -> _Joints:
        """Gaps of regular answers around their chains, and all gaps of irregular answers."""
        bounds = self.boundaries
        spans, begin, end = self._regular
        rows = np.nonzero(bounds.is_regular)[0]
        after = np.minimum(_after_first(begin, spans, bounds.interval[spans.row]), end)
        row = np.concatenate([rows, spans.row, spans.row, rows])
        first = np.concatenate([bounds.first[rows], begin, after, bounds.last[rows]])
        last = np.concatenate([bounds.first[rows], begin, end, bounds.last[rows]])
        order = np.lexsort((last, first, row))
        row, first, last = row[order], first[order], last[order]
        is_gap = (row[1:] == row[:-1]) & (first[1:] > last[:-1])
        of_regular = (row[1:][is_gap], last[:-1][is_gap], first[1:][is_gap])
        joined = zip(of_regular, bounds.irregular, strict=True)
        return _Joints(*(np.concatenate(part) for part in joined))


def _after_first(begin: Array, spans: TickSpans, size: Array) -> Array:
    """Return `begin`, or the chunk after it where it is the first tick of a span.

    A span may begin while others hold still, so its first gap may be shorter than theirs.
    """
    after: Array = np.where(begin == spans.first, begin + size, begin)
    return after
