"""Conversion of the pieces of prompts into numbered blocks of equal length, as Mooncake has them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from cluster_sim.workload.traces.rows import Pieces


class _Block(NamedTuple):
    """Identity of a block of a prompt."""

    piece: int
    """Identity of the piece in which the block ends."""
    place: int
    """Number of blocks before the block."""
    tokens: int
    """Length of the block [tokens]."""


class BlockNumbers:
    """Numbers of blocks; two blocks have the same number if the prompts up to them are equal."""

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        """Length of a block [tokens]."""
        self._numbers: dict[_Block, int] = {}
        self._fresh = count(-1, -1)  # identities of blocks with unique content

    def of(self, prompt: int, pieces: Pieces) -> list[int]:
        """Return the numbers of a prompt's blocks.

        Parameters
        ----------
        prompt
            Length of the prompt [tokens].
        pieces
            Pieces at the beginning of the prompt.
        """
        numbers = self._numbers
        return [numbers.setdefault(block, len(numbers)) for block in self._blocks(prompt, pieces)]

    def _blocks(self, prompt: int, pieces: Pieces) -> Iterator[_Block]:
        """Yield the blocks of a prompt.

        The identity of a piece covers all content before the piece, so the piece with the last token
        of a block identifies the block.
        """
        ends = iter(pieces)
        identity, reached = None, 0
        for place in range(-(-prompt // self.block_tokens)):
            last = min((place + 1) * self.block_tokens, prompt)
            while reached < last:
                piece = next(ends, None)
                if piece is None:
                    identity, reached = None, prompt
                    break
                identity, reached = piece[0], reached + piece[1]
            known = identity if identity is not None else next(self._fresh)
            yield _Block(known, place, last - place * self.block_tokens)
