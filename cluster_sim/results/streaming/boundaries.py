"""Steps of an answer after which a chunk is sent, by the rules of the engines.

vLLM sends the first token at once, then whenever as many tokens are unsent as the interval says,
and at the end (v1/engine/output_processor.py, 0.11 and later). SGLang sends if the answer has
exactly 1, N + 1, 2N + 1, … tokens (srt/managers/scheduler_output_processor_mixin.py, 0.5); a step
that yields several tokens may jump over such a number, as pull request 39270 describes for its
other interval. TensorRT-LLM counts steps of the answer: the first, multiples of N and the last
(_torch/pyexecutor/py_executor.py, 1.0). Without drafts the first two rules are the same.

A tick is a step at whose end a request gets tokens. Tick 0 is that of the first token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cluster_sim.typing import Array
from cluster_sim.workload.random_streams import stream

RULES = ("unsent", "tokens", "steps")
"""Rules of `stream_rule` of an engine, in the order of their numbers."""
UNSENT, TOKENS, STEPS = range(3)


@dataclass(frozen=True)
class Boundaries:
    """Ticks after which chunks of answers are sent; one row per answer.

    The tokens of an answer are spread evenly over its ticks, as everywhere in the results. A step of
    `a` tokens on average meets a given number with probability 1/a, far from the last one met
    (renewal theorem), so the number of intervals per chunk of the rule `tokens` is drawn from a
    geometric distribution.

    Examples
    --------
    >>> one = np.array([1])
    >>> answer = Boundaries(6 * one, 7 * one, 3 * one, one * UNSENT, 0 * one)  # 7 tokens, N = 3
    >>> answer.of(0).tolist(), answer.count.tolist()
    ([0, 3, 6], [3])
    """

    last: Array
    """Last tick of each answer."""
    tokens: Array
    """Number of tokens of each answer."""
    interval: Array
    """Stream interval of each answer."""
    rule: Array
    """Rule of each answer: the index in RULES."""
    delay: Array
    """Delay of the first chunk [ticks]."""
    seed: int = 0
    """Seed of the draws of the rule `tokens`."""

    @cached_property
    def first(self) -> Array:
        """Tick of the first chunk."""
        return np.minimum(self.delay, self.last)

    @cached_property
    def second(self) -> Array:
        """Tick of the second chunk of a regular answer, if the answer is long enough."""
        multiple = -(-(self.first + 2) // self.interval) * self.interval - 1
        return np.where(self.rule == STEPS, multiple, self.first + self.interval)

    @cached_property
    def is_regular(self) -> Array:
        """Whether chunks after the second follow each other after equal numbers of ticks."""
        has_one_each = self.tokens == self.last + 1
        is_regular: Array = (self.rule == STEPS) | has_one_each | (self.interval == 1)
        return is_regular

    def tokens_until(self, tick: Array) -> Array:
        """Return the number of tokens of each answer that exist after a tick."""
        until: Array = 1 + tick * (self.tokens - 1) // np.maximum(self.last, 1)
        return until

    @cached_property
    def irregular(self) -> tuple[Array, Array, Array]:
        """Return answer, begin and end of all gaps between chunks of irregular answers [ticks]."""
        row = np.nonzero(~self.is_regular & (self.first < self.last))[0]
        begin, found = self.first[row], []
        rng = stream(self.seed, "chunks")
        while len(row):
            end = self._next(row, begin, rng)
            found.append((row, begin, end))
            is_open = end < self.last[row]
            row, begin = row[is_open], end[is_open]
        none = (np.empty(0, dtype=np.int64),) * 3
        rows, begins, ends = (np.concatenate(part) for part in zip(none, *found, strict=True))
        return rows, begins, ends

    def _next(self, row: Array, tick: Array, rng: np.random.Generator) -> Array:
        """Return the tick of the chunk after that of `tick`, if steps yield several tokens."""
        last, later, interval = self.last[row], self.tokens[row] - 1, self.interval[row]
        sent = tick * later // last
        drawn = (sent // interval + rng.geometric(last / later)) * interval
        wanted = np.where(self.rule[row] == TOKENS, drawn, sent + interval)
        end: Array = np.minimum(np.maximum(-(-wanted * last // later), tick + 1), last)
        return end

    def of(self, row: int) -> Array:
        """Return the ticks of all chunks of one answer."""
        first, last = int(self.first[row]), int(self.last[row])
        if self.is_regular[row]:
            later = np.arange(int(self.second[row]), last, int(self.interval[row]))
            return np.unique(np.concatenate([[first], later, [last]]))
        begin, end = np.searchsorted(self._sorted[0], [row, row + 1])
        return np.append(first, self._sorted[1][begin:end])

    @cached_property
    def _sorted(self) -> tuple[Array, Array]:
        """Answer and end of all gaps between chunks of irregular answers, in order of both."""
        row, _, end = self.irregular
        order = np.lexsort((end, row))
        return row[order], end[order]

    @property
    def count(self) -> Array:
        """Number of chunks of each answer."""
        inside = np.maximum(-(-(self.last - self.second) // self.interval), 0)
        counts = 1 + np.where(self.first < self.last, inside + 1, 0)
        row = self.irregular[0]
        irregular = 1 + np.bincount(row, minlength=len(counts))
        counted: Array = np.where(self.is_regular, counts, irregular)
        return counted
