"""The requests of a run as a client saw them, and when their tokens came."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster_sim.export.network_latency import ways_s
from cluster_sim.results.metrics.finished import Finished, finished, within_slo
from cluster_sim.results.results import Results

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """Every request outside the warm-up, in order of arrival."""

    results: Results
    number: Array
    """As in the run's tables."""
    done: Array
    """Whether it finished; the fields of `of_done` have one value for each that did."""
    rejected: Array
    arrival_s: Array
    first_token_s: Array
    """At the front door; NaN where none came."""
    finish_s: Array
    """NaN where it did not finish."""
    prompt_tokens: Array
    output_tokens: Array
    """That were asked for; the answer is as long where it finished."""
    prefix_hit_tokens: Array
    of_done: Finished

    @cached_property
    def good(self) -> Array | None:
        """Which of those that finished meet the objectives; None where there are none."""
        return within_slo(self.results, self.of_done)

    @cached_property
    def times(self) -> TokenTimes:
        """When the tokens of those that finished came."""
        return TokenTimes(self)

    @property
    def duration_s(self) -> float:
        """From the first that was sent until the last answer's end; 0 where there is none."""
        return (
            float(np.max(self.of_done.finish_s) - np.min(self.arrival_s))
            if self.done.any()
            else 0.0
        )

    @property
    def end_s(self) -> float:
        """When the run had ended for those that had no answer by then."""
        return self.results.info.simulated_s

    def per_second(self, amount: float) -> float:
        """Over the duration."""
        return amount / self.duration_s if self.duration_s else 0.0


def answers(results: Results) -> Answers:
    """The requests of `results` that count."""
    table = results.requests
    counted = table["counted"].to_numpy()
    status = table["status"].to_numpy()[counted]
    names = (
        "arrival_s",
        "first_token_s",
        "finish_s",
        "prompt_tokens",
        "output_tokens",
        "prefix_hit_tokens",
    )
    columns: dict[str, Array] = {name: table[name].to_numpy()[counted] for name in names}
    number = table["request"].to_numpy()[counted]
    return Answers(
        results,
        number=number,
        done=status == "finished",
        rejected=status == "rejected",
        of_done=finished(results),
        **columns,
    )


class TokenTimes:
    """When the tokens of finished requests came, from the steps of their replicas.

    After its first token a request gets one at the end of every step of its replica (with
    speculation one chunk of them) until it is preempted or finished; one that goes on after a
    preemption or a hand-over gets the next where the events say `resumed`.
    """

    def __init__(self, answers: Answers) -> None:
        results = answers.results
        table = results.requests
        rows = np.nonzero(table["counted"].to_numpy() & (table["status"].to_numpy() == "finished"))[
            0
        ]
        self._steps = {
            number: _Steps(results, number)
            for number in np.unique(table["replica"].to_numpy()[rows]).astype(int).tolist()
        }
        self._spans = self._spans_of(results, rows)

    def _spans_of(self, results: Results, rows: Array) -> list[list[tuple[int, int, int, float]]]:
        """Of each request (replica, steps that had ended before, by its end, the gap before [s] or
        NaN), span by span.
        """
        table, events = results.requests, results.events
        number, replica = (
            table["request"].to_numpy()[rows],
            table["replica"].to_numpy()[rows].astype(np.int64),
        )
        ways = ways_s(results.scenario)
        entry = table["prefill_replica"].to_numpy()[rows].astype(float)
        read_at = np.where(np.isnan(entry), replica, entry).astype(np.int64)
        first_s, finish_s = (
            table["first_token_s"].to_numpy()[rows] - ways[read_at],
            table["finish_s"].to_numpy()[rows] - ways[replica],
        )
        begin, end = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        for one, steps in self._steps.items():
            mine = replica == one
            begin[mine], end[mine] = steps.ended_by(first_s[mine]), steps.ended_by(finish_s[mine])
        begin = np.where(
            np.isnan(entry), begin, end
        )  # one that was handed over gets no more where it was read
        spans = [
            [(int(one), int(start), int(stop), np.nan)]
            for one, start, stop in zip(replica, begin, end, strict=True)
        ]
        happened: dict[int, list[tuple[str, float, float]]] = {}
        for at_s, what, request, value in zip(
            *(events[name].to_pylist() for name in ("at_s", "what", "request", "value")),
            strict=True,
        ):
            if what in ("preempted", "resumed"):
                happened.setdefault(request, []).append((what, at_s, value))
        place = {int(one): row for row, one in enumerate(number)}
        for request, changes in happened.items():
            if (row := place.get(request)) is not None:
                spans[row] = self._torn(spans[row][0], changes, first_s[row])
        return spans

    def _torn(
        self,
        whole: tuple[int, int, int, float],
        changes: list[tuple[str, float, float]],
        first_s: float,
    ) -> list[tuple[int, int, int, float]]:
        """The spans of one that was preempted or handed over."""
        replica, start, stop, gap_s = whole
        steps = self._steps[replica]
        spans: list[tuple[int, int, int, float]] = []
        open_ = True
        for what, at_s, value in changes:
            if what == "resumed":
                start, gap_s, open_ = int(steps.ended_by(np.array([at_s]))[0]), value, True
                if not spans:  # after a hand-over: the span of its first token
                    spans.append((replica, start, start, np.nan))
            elif at_s >= first_s and open_:
                spans.append((replica, start, int(steps.ended_by(np.array([at_s]))[0]), gap_s))
                open_ = False
        return [*spans, (replica, start, stop, gap_s)]

    @cached_property
    def chunks(self) -> Array:
        """In how many pieces each answer came: as many as it has tokens, fewer with speculation."""
        return np.array(
            [
                len(spans) + sum(stop - start for _, start, stop, _ in spans)
                for spans in self._spans
            ],
            dtype=np.int64,
        )

    def gaps_s(self, row: int) -> Array:
        """Between the chunks of one of those that finished, in order."""
        parts: list[Array] = []
        for replica, start, stop, gap_s in self._spans[row]:
            if gap_s == gap_s:
                parts.append(np.array([gap_s]))
            parts.append(self._steps[replica].lengths_s[start:stop])
        return np.concatenate(parts)


class _Steps:
    """The engine steps of one replica, in order."""

    def __init__(self, results: Results, replica: int) -> None:
        table = results.stretches
        mine = table["replica"].to_numpy() == replica
        self._first_s, self._slope_s, self._count, ended_s = (
            table[name].to_numpy()[mine] for name in ("first_s", "slope_s", "steps", "ended_s")
        )
        # what is looked for is the end of a stretch, but for a rounding: the nearest
        self._middles_s = 0.5 * (ended_s[1:] + ended_s[:-1])
        self._done = np.cumsum(self._count)

    def ended_by(self, times_s: Array) -> Array:
        """How many had ended at each of these times, at which stretches end."""
        found: Array = self._done[np.searchsorted(self._middles_s, times_s)]
        return found

    @cached_property
    def lengths_s(self) -> Array:
        """Of every step."""
        inside = np.arange(int(self._done[-1])) - np.repeat(self._done - self._count, self._count)
        lengths_s: Array = (
            np.repeat(self._first_s, self._count) + np.repeat(self._slope_s, self._count) * inside
        )
        return lengths_s
