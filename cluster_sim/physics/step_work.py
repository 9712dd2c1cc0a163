"""StepWork: counts of one engine step, under the same names in the whole package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(slots=True)
class StepWork:
    """Work of one engine step of a replica; a scheduler writes it, physics reads it.

    In the computation of tables the counts are numpy arrays with one value per stretch of steps.
    The names are those of the columns of the table of stretches.

    NOTE: it is not frozen. A scheduler owns one object and changes it before each step, because a
    new object would cost 0.5 us of the 20 us that a stretch takes.
    """

    batch: int = 0
    """Number of sequences that decode in the step."""
    counted: int = 0
    """Number of decoding sequences that count for the statistics."""
    growth: float = 0
    """Number of tokens that the step adds to the context of all decoding sequences."""
    context: float = 0
    """Number of keys that decoding sequences read in a layer of full attention."""
    windowed: float = 0
    """Number of keys that decoding sequences read in a layer with a sliding window."""
    growing: float = 0
    """Number of keys by which `windowed` grows per step: one for each sequence that has not filled
    the window yet, or with drafts the tokens of a step."""
    longest: int = 0
    """Number of keys that the longest decoding sequence reads in a layer of full attention; 0 if it
    is not counted. It is no column of the table."""
    prompt_tokens: int = 0
    """Number of prompt tokens that the step prefills."""
    sampled: int = 0
    """Number of sequences for which the step samples one token."""
    pairs: int = 0
    """Number of (query, key) pairs of the prompt tokens in a layer of full attention."""
    window_pairs: int = 0
    """Number of (query, key) pairs of the prompt tokens in a layer with a sliding window."""
    pairs_growth: int = 0
    """Growth of `pairs` from one step to the next of a stretch."""
    rank_tokens: int = 0
    """Number of decoding sequences and prompt tokens of the rank with the most of them; 0 without
    `ranks`."""
    ranks: Sequence[StepWork] = ()
    """Work of each attention data-parallel rank that has work; the counts above are their sums, and
    `longest` is their maximum. Empty: the work is spread evenly over the ranks."""

    def later(self, steps: int) -> StepWork:
        """Return a new object with the counts of the step that is `steps` steps later.

        >>> StepWork(batch=2, growth=2, context=100).later(3).context
        106
        """
        longest = self.longest + steps if self.longest else 0
        return StepWork(
            self.batch, self.counted, self.growth, self.context + steps * self.growth,
            self.windowed + steps * self.growing, self.growing, longest, self.prompt_tokens,
            self.sampled, self.pairs + steps * self.pairs_growth, self.window_pairs,
            self.pairs_growth, self.rank_tokens, tuple(rank.later(steps) for rank in self.ranks),
        )  # fmt: skip

    def spread(self, ranks: int) -> StepWork:
        """Return a new object with the same work in equal parts on so many ranks.

        Prompts are shared by all ranks, as if each of them completed at least one.

        >>> StepWork(batch=8, prompt_tokens=400, sampled=9).spread(4).sampled
        12
        """
        sampled = max(self.sampled, self.batch + ranks) if self.prompt_tokens else self.sampled
        return replace(self, sampled=sampled, rank_tokens=0, ranks=())

    def without_prompts(self) -> StepWork:
        """Return a new object with the decode part of the step.

        >>> StepWork(batch=2, context=100, prompt_tokens=50, sampled=3).without_prompts().sampled
        2
        """
        ranks = tuple(rank.without_prompts() for rank in self.ranks if rank.batch)
        return replace(
            self, prompt_tokens=0, sampled=self.batch, pairs=0, window_pairs=0, pairs_growth=0,
            rank_tokens=max((rank.batch for rank in ranks), default=0), ranks=ranks,
        )  # fmt: skip
