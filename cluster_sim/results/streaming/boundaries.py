"""Steps of an answer after which a chunk is sent, by the rules of the engines.

vLLM sends the first token at once, then whenever as many tokens are unsent as the interval says,
and at the end (v1/engine/output_processor.py, 0.11 and later). SGLang sends at tokens 1, N + 1,
2N + 1, … (srt/managers/scheduler_output_processor_mixin.py, 0.5), which is the same without
speculation. TensorRT-LLM counts steps of the answer: the first, multiples of N and the last
(_torch/pyexecutor/py_executor.py, 1.0).

A tick is a step at whose end a request gets tokens. Tick 0 is that of the first token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cluster_sim.typing import Array


@dataclass(frozen=True)
class Boundaries:
    """Ticks after which chunks of answers are sent; one row per answer.

    The tokens of an answer are spread evenly over its ticks, as everywhere in the results.

    Examples
    --------
    >>> one = np.array([1])
    >>> answer = Boundaries(6 * one, 7 * one, 3 * one, one < 0, 0 * one)  # 7 tokens, N = 3
    >>> answer.of(0).tolist(), answer.count.tolist()
    ([0, 3, 6], [3])
    """

    last: Array
    """Last tick of each answer."""
    tokens: Array
    """Number of tokens of each answer."""
    interval: Array
    """Stream interval of each answer."""
    counts_steps: Array
    """Whether the interval of each answer counts steps and not tokens."""
    delay: Array
    """Delay of the first chunk [ticks]."""

    @cached_property
    def first(self) -> Array:
        """Tick of the first chunk."""
        return np.minimum(self.delay, self.last)

    @cached_property
    def second(self) -> Array:
        """Tick of the second chunk of a regular answer, if the answer is long enough."""
        multiple = -(-(self.first + 2) // self.interval) * self.interval - 1
        return np.where(self.counts_steps, multiple, self.first + self.interval)

    @cached_property
    def is_regular(self) -> Array:
        """Whether chunks after the second follow each other after equal numbers of ticks."""
        has_one_each = self.tokens == self.last + 1
        is_regular: Array = self.counts_steps | has_one_each | (self.interval == 1)
        return is_regular

    def tokens_until(self, tick: Array) -> Array:
        """Return the number of tokens of each answer that exist after a tick."""
        until: Array = 1 + tick * (self.tokens - 1) // np.maximum(self.last, 1)
        return until

    def irregular(self) -> tuple[Array, Array, Array]:
        """Return answer, begin and end of all gaps between chunks of irregular answers [ticks]."""
        row = np.nonzero(~self.is_regular & (self.first < self.last))[0]
        begin, found = self.first[row], []
        while len(row):
            end = self._next(row, begin)
            found.append((row, begin, end))
            is_open = end < self.last[row]
            row, begin = row[is_open], end[is_open]
        none = (np.empty(0, dtype=np.int64),) * 3
        rows, begins, ends = (np.concatenate(part) for part in zip(none, *found, strict=True))
        return rows, begins, ends

    def _next(self, row: Array, tick: Array) -> Array:
        """Return the tick of the chunk after that of `tick`, if chunks hold whole intervals."""
        last, later = self.last[row], self.tokens[row] - 1
        wanted = tick * later // last + self.interval[row]
        end: Array = np.minimum(np.maximum(-(-wanted * last // later), tick + 1), last)
        return end

    def of(self, row: int) -> Array:
        """Return the ticks of all chunks of one answer."""
        first, last = int(self.first[row]), int(self.last[row])
        if self.is_regular[row]:
            later = np.arange(int(self.second[row]), last, int(self.interval[row]))
            return np.unique(np.concatenate([[first], later, [last]]))
        ticks, one = [first], np.array([row])
        while ticks[-1] < last:
            ticks.append(int(self._next(one, np.array(ticks[-1:]))[0]))
        return np.array(ticks)

    @property
    def count(self) -> Array:
        """Number of chunks of each answer."""
        inside = np.maximum(-(-(self.last - self.second) // self.interval), 0)
        counts = 1 + np.where(self.first < self.last, inside + 1, 0)
        row = self.irregular()[0]
        irregular = 1 + np.bincount(row, minlength=len(counts))
        counted: Array = np.where(self.is_regular, counts, irregular)
        return counted
