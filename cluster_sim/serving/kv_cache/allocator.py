"""Room of a replica's KV cache, counted in blocks, without looking at each sequence at each step.

All decoding sequences grow by one token a step. On the batch's step clock t a sequence with
`offset` has `offset + t` tokens, so how many blocks all of them take follows from how many there
are at each phase within a block.
"""

from __future__ import annotations


class KvRoom:
    """Blocks of `block_tokens` tokens each; `blocks` of them in all."""

    __slots__ = ("_phases", "_sequences", "_whole", "block_tokens", "blocks")

    ahead = 0
    """Tokens that a sequence takes beyond its own."""

    def __init__(self, tokens: int, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.blocks = tokens // block_tokens
        self._phases = [0] * block_tokens  # sequences by offset modulo block
        self._whole = 0  # sum of offset // block
        self._sequences = 0

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold `tokens` tokens of one sequence."""
        return -(-tokens // self.block_tokens)

    def join(self, offset: int, rate: int) -> None:
        """A sequence with this offset begins to decode; a token a step is the only rate."""
        whole, phase = divmod(offset, self.block_tokens)
        self._whole += whole
        self._phases[phase] += 1
        self._sequences += 1

    def leave(self, offset: int, rate: int) -> None:
        """A sequence with this offset gives its blocks back."""
        whole, phase = divmod(offset, self.block_tokens)
        self._whole -= whole
        self._phases[phase] -= 1
        self._sequences -= 1

    def taken(self, clock: int) -> int:
        """Blocks of all decoding sequences at `clock`: the sum of ceil((offset + clock) / block),
        exactly.

        With offset = block·a + r and clock = block·u + v each term is a + u + ceil((r + v) /
        block), and r + v < 2·block.
        """
        block = self.block_tokens
        turns, shift = divmod(clock, block)
        taken = self._whole + self._sequences * (turns + 1)
        if shift == 0:
            return taken - self._phases[0]
        return taken + sum(self._phases[block - shift + 1 :])


class GrowingRoom:
    """The same where each sequence grows at a rate of its own, as with speculative decoding: blocks
    follow from the tokens.

    A sequence takes its tokens, those that a step may add to them, and half a block for the last
    one, which is in part empty:
    the mean over sequences. At many sequences that is exact but for some blocks (a twelfth of a
    block's variance each).
    """

    __slots__ = ("_ahead", "_places", "_rates", "_sequences", "block_tokens", "blocks")

    ONE = 1 << 32  # of a token: whole numbers, so that sums of them are exact whatever their order

    def __init__(self, tokens: int, block_tokens: int, drafted: int) -> None:
        self.block_tokens = block_tokens
        self.blocks = tokens // block_tokens
        self._ahead = (drafted + -(-block_tokens // 2)) * self.ONE
        self._rates = self._places = self._sequences = 0

    @property
    def ahead(self) -> int:
        """Tokens that a sequence takes beyond its own."""
        return self._ahead // self.ONE

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold `tokens` tokens of one sequence while its prompt is read."""
        return -(-tokens // self.block_tokens)

    def join(self, place: int, rate: int) -> None:
        """A sequence begins to decode: at step clock t it has place + rate·t, in units of 1/ONE."""
        self._places += place
        self._rates += rate
        self._sequences += 1

    def leave(self, place: int, rate: int) -> None:
        """A sequence gives its blocks back."""
        self._places -= place
        self._rates -= rate
        self._sequences -= 1

    @property
    def growth(self) -> float:
        """Tokens a step of all sequences."""
        return self._rates / self.ONE

    def tokens(self, clock: int) -> float:
        """Of all sequences at `clock`, parts of one included: it grows by `growth` a step."""
        return (self._places + self._rates * clock) / self.ONE

    def taken(self, clock: int) -> int:
        """Blocks of all sequences at `clock`."""
        return -(
            -(self._places + self._rates * clock + self._ahead * self._sequences)
            // (self.ONE * self.block_tokens)
        )
