"""Blocks of sequences that decode, counted without looking at each sequence at each step.

All decoding sequences grow by one token per step. At step t of the scheduler's clock a sequence
with `offset` has `offset + t` tokens, so how many blocks all of them take follows from how many
sequences there are at each phase within a block.
"""

from __future__ import annotations


class DecodingBlocks:
    """Tokens and blocks of the sequences that decode on one replica, one token per step each."""

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
        """Number of tokens of a block."""
        self.sequences = 0
        """Number of sequences."""
        self.tokens: float = 0
        """Number of their tokens in the cache as the next step begins."""
        self.step_tokens = 1
        """Number of tokens of each sequence that a step works on."""
        self.spare_tokens = 0
        """Number of tokens for which each sequence takes blocks beyond its own."""
        self.slack_blocks = 1
        """Number of blocks of each sequence that `most` adds for rounding."""
        self._phases = [0] * block_tokens  # sequences by offset modulo block
        self._whole = 0  # sum of offset // block

    def join(self, offset: int, rate: int) -> None:
        """Add a sequence with `offset`; its `rate` is a token per step, the only one."""
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
        """Return the blocks of all sequences at step `clock`: sum of ceil((offset + clock) / block).

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
        """Return at least the blocks that `steps` steps need, without counting them."""
        sequences = self.sequences
        grown = self.tokens + sequences * self.step_tokens * steps
        return grown // self.block_tokens + sequences * self.slack_blocks


class SpeculativeBlocks(DecodingBlocks):
    """Tokens and blocks of sequences that each grow at a rate of their own.

    With speculative decoding blocks follow from tokens. A sequence takes its tokens, those that a
    step may add to them, and half a block for the last one, which is in part empty: the mean over
    sequences. At many sequences that is exact but for some blocks (a twelfth of a block's variance
    each).
    """

    __slots__ = ("_places", "_rates", "_spare")

    ONE = 1 << 32
    """One token. Parts of a token are whole numbers of `1 / ONE`, so that sums are exact."""

    def __init__(self, block_tokens: int, draft_tokens: int) -> None:
        super().__init__(block_tokens)
        self.spare_tokens = draft_tokens + -(-block_tokens // 2)
        self.step_tokens = 1 + draft_tokens
        self.slack_blocks = 3 + (draft_tokens + self.spare_tokens) // block_tokens
        self._spare = self.spare_tokens * self.ONE
        self._rates = self._places = 0

    @property
    def growth(self) -> float:
        """Number of tokens that a step adds to all sequences, in the mean."""
        return self._rates / self.ONE

    def join(self, offset: int, rate: int) -> None:
        """Add a sequence that has offset + rate·t tokens at step t, in units of 1/ONE."""
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
        """Set `tokens` to those of all sequences at step `clock`, parts of one included."""
        self.tokens = (self._places + self._rates * clock) / self.ONE

    def taken(self, clock: int) -> int:
        """Return the blocks of all sequences at step `clock`."""
        stored = self._places + self._rates * clock + self._spare * self.sequences
        return -(-stored // (self.ONE * self.block_tokens))
