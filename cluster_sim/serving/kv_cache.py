"""Room of a replica's KV cache, counted in blocks, without looking at each sequence at each step.

All decoding sequences grow by one token a step. On the batch's step clock t a sequence with `offset` has `offset + t` tokens,
so how many blocks all of them take follows from how many there are at each phase within a block.
"""

from __future__ import annotations


class KvRoom:
    """Blocks of `block_tokens` tokens each; `blocks` of them in all."""

    __slots__ = ("_phases", "_sequences", "_whole", "block_tokens", "blocks")

    def __init__(self, tokens: int, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.blocks = tokens // block_tokens
        self._phases = [0] * block_tokens  # sequences by offset modulo block
        self._whole = 0  # sum of offset // block
        self._sequences = 0

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold `tokens` tokens of one sequence."""
        return -(-tokens // self.block_tokens)

    def join(self, offset: int) -> None:
        """A sequence with this offset begins to decode."""
        whole, phase = divmod(offset, self.block_tokens)
        self._whole += whole
        self._phases[phase] += 1
        self._sequences += 1

    def leave(self, offset: int) -> None:
        """A sequence with this offset gives its blocks back."""
        whole, phase = divmod(offset, self.block_tokens)
        self._whole -= whole
        self._phases[phase] -= 1
        self._sequences -= 1

    def taken(self, clock: int) -> int:
        """Blocks of all decoding sequences at `clock`: the sum of ceil((offset + clock) / block), exactly.

        With offset = block·a + r and clock = block·u + v each term is a + u + ceil((r + v) / block), and r + v < 2·block.
        """
        block = self.block_tokens
        turns, shift = divmod(clock, block)
        taken = self._whole + self._sequences * (turns + 1)
        if shift == 0:
            return taken - self._phases[0]
        return taken + sum(self._phases[block - shift + 1 :])
