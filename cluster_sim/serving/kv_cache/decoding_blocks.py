"""Blocks of decoding sequences, counted without a loop over the sequences.

All decoding sequences grow by one token per step. At step t of the scheduler's clock, a sequence
with `offset` has `offset + t` tokens. The number of blocks of all sequences follows from the number
of sequences at each phase within a block.
"""

from __future__ import annotations


class DecodingBlocks:
    """Tokens and blocks of the decoding sequences of one replica, with one token per step each."""

    __slots__ = (
        "_phases",
        "_whole",
        "block_tokens",
        "sequences",
        "slack_blocks",
        "spare_tokens",
        "step_tokens",
        "tokens",
    )

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        """Number of tokens per block."""
        self.sequences = 0
        """Number of decoding sequences."""
        self.tokens: float = 0
        """Number of tokens of all sequences in the cache when the next step begins."""
        self.step_tokens = 1
        """Number of tokens per sequence that a step processes."""
        self.spare_tokens = 0
        """Number of tokens per sequence for which blocks are taken in addition to its own
        tokens."""
        self.slack_blocks = 1
        """Number of blocks per sequence that `most` adds for rounding."""
        self._phases = [0] * block_tokens  # number of sequences by offset modulo block
        self._whole = 0  # sum of offset // block

    def join(self, offset: int, rate: int) -> None:
        """Add a sequence with `offset`; `rate` is one token per step, the only possible value."""
        block = self.block_tokens
        self._whole += offset // block
        self._phases[offset % block] += 1
        self.sequences += 1

    def leave(self, offset: int, rate: int) -> None:
        """Remove a sequence with `offset`."""
        block = self.block_tokens
        self._whole -= offset // block
        self._phases[offset % block] -= 1
        self.sequences -= 1

    def clear(self) -> None:
        """Remove all sequences."""
        self.sequences = self._whole = 0
        self.tokens = 0
        self._phases = [0] * self.block_tokens

    def taken(self, clock: int) -> int:
        """Return the number of blocks at step `clock`: sum of ceil((offset + clock) / block).

        With offset = block·a + r and clock = block·u + v each term is a + u + ceil((r + v) /
        block), and r + v < 2·block.
        """
        block = self.block_tokens
        turns, shift = divmod(clock, block)
        taken = self._whole + self.sequences * (turns + 1)
        if shift == 0:
            return taken - self._phases[0]
        return taken + sum(self._phases[block - shift + 1 :])

    def most(self, steps: int) -> float:
        """Return an upper bound of the blocks that `steps` steps need, without an exact count."""
        sequences = self.sequences
        grown = self.tokens + sequences * self.step_tokens * steps
        return grown // self.block_tokens + sequences * self.slack_blocks


class SpeculativeBlocks(DecodingBlocks):
    """Tokens and blocks of sequences with speculative decoding, each with its own growth rate.

    The number of blocks is a mean that follows from the number of tokens. A sequence takes blocks
    for its tokens, for the tokens that a step may add, and half a block for the partly empty last
    block. With many sequences this is exact except for some blocks (each contributes a variance of
    one twelfth of a block squared).
    """

    __slots__ = ("_places", "_rates", "_spare")

    ONE = 1 << 32
    """Fixed-point value of one token. Fractions of a token are multiples of `1 / ONE`, so sums are
    exact."""

    def __init__(self, block_tokens: int, draft_tokens: int) -> None:
        super().__init__(block_tokens)
        self.spare_tokens = draft_tokens + -(-block_tokens // 2)
        self.step_tokens = 1 + draft_tokens
        self.slack_blocks = 3 + (draft_tokens + self.spare_tokens) // block_tokens
        self._spare = self.spare_tokens * self.ONE
        self._rates = self._places = 0

    @property
    def growth(self) -> float:
        """Mean number of tokens that a step adds to all sequences together."""
        return self._rates / self.ONE

    def join(self, offset: int, rate: int) -> None:
        """Add a sequence with offset + rate·t tokens at step t, in units of 1/ONE."""
        self._places += offset
        self._rates += rate
        self.sequences += 1

    def leave(self, offset: int, rate: int) -> None:
        """Remove a sequence."""
        self._places -= offset
        self._rates -= rate
        self.sequences -= 1

    def clear(self) -> None:
        """Remove all sequences."""
        super().clear()
        self._rates = self._places = 0

    def count_tokens(self, clock: int) -> None:
        """Set `tokens` to the tokens of all sequences at step `clock`, fractions included."""
        self.tokens = (self._places + self._rates * clock) / self.ONE

    def advance(self, now: int) -> None:
        """Advance to step `now`, at which nothing changes but the tokens."""

    def steps_until_change(self, now: int) -> int:
        """Return the number of steps for which `taken` is valid in advance: all."""
        return 1 << 62

    def taken(self, clock: int) -> int:
        """Return the number of blocks of all sequences at step `clock`."""
        stored = self._places + self._rates * clock + self._spare * self.sequences
        return -(-stored // (self.ONE * self.block_tokens))
