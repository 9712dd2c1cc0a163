"""Whole prompts of rows that say what a turn adds, for replay at recorded times."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from cluster_sim.workload.traces.rows import UNKNOWN, Batch, Blocks
from cluster_sim.workload.traces.source import TraceSource

_BLOCK_TOKENS = 16
"""Length of the blocks by which a history is known [tokens]."""


class _History(NamedTuple):
    """A conversation so far."""

    tokens: int
    """Its length [tokens]."""
    first: tuple[Sequence[int], int]
    """Blocks of its first prompt that are whole, and the length of all its blocks."""


class Histories:
    """Conversations whose prompts grow from turn to turn.

    Parameters
    ----------
    source
        Trace.
    """

    def __init__(self, source: TraceSource) -> None:
        self._tally = source.tally
        self._histories: dict[int, _History] = {}

    def whole(self, batch: Batch) -> Batch:
        """Return the rows with whole prompts where they say what a turn adds to its conversation.

        A conversation only grows, so a block of it is known by its place. The first prompt's blocks
        are those of the file.
        """
        links = batch.links
        if links is None or not links.adds:
            return batch
        prompts = batch.prompt.copy()
        blocks = [UNKNOWN] * len(prompts) if batch.blocks is None else list(batch.blocks)
        rows = zip(
            links.session.tolist(), batch.prompt.tolist(), batch.output.tolist(), strict=True
        )
        for place, (session, added, output) in enumerate(rows):
            if session < 0:
                continue
            history = self._histories.get(session)
            if history is None:
                prompt, first = added, _whole_blocks(blocks[place], added)
            else:
                prompt, first = added + history.tokens, history.first
                self._tally.note(
                    "prompts hold the turns before; of these the prompts are found by prefix caching, the answers with the next turn"
                )
            if history is not None or not blocks[place][0]:
                blocks[place] = _blocks(session, first, prompt)
            prompts[place] = prompt
            self._histories[session] = _History(prompt + output, first)
        return batch._replace(prompt=prompts, blocks=blocks)


def _whole_blocks(blocks: Blocks, prompt: int) -> tuple[Sequence[int], int]:
    """Return the blocks of a first prompt that a longer prompt holds too."""
    ids, block_tokens = blocks
    if not ids or not isinstance(block_tokens, int):
        return (), _BLOCK_TOKENS
    return ids[: prompt // block_tokens], block_tokens


def _blocks(session: int, first: tuple[Sequence[int], int], prompt: int) -> Blocks:
    """Return the whole blocks of a prompt; identities of a history are below zero."""
    ids, block_tokens = first
    base = (session + 1) << 32
    later = range(-base - len(ids), -base - prompt // block_tokens, -1)
    return (later if not ids else tuple(chain(ids, later))), block_tokens
