"""Whole prompts of rows that hold only the new tokens of a turn, for replay at recorded times."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from cluster_sim.workload.traces.rows import UNKNOWN, Batch, Blocks
from cluster_sim.workload.traces.source import TraceSource

_BLOCK_TOKENS = 16
"""Length of the blocks that identify a history [tokens]."""


class _History(NamedTuple):
    """Conversation up to its last row."""

    tokens: int
    """Length of the conversation [tokens]."""
    first: tuple[Sequence[int], int]
    """Complete blocks of the first prompt, and the length of a block [tokens]."""


class Histories:
    """Conversations whose prompts grow with each turn.

    Parameters
    ----------
    source
        Trace that is read.
    """

    def __init__(self, source: TraceSource) -> None:
        self._tally = source.tally
        self._histories: dict[int, _History] = {}

    def whole(self, batch: Batch) -> Batch:
        """Return the rows with whole prompts if they hold only the new tokens of a turn.

        A conversation only grows, so its blocks are identified by their position. The blocks of the
        first prompt are those of the file.
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
                    "prompts contain the earlier turns; prefix caching reuses earlier prompts, but an answer only from the second turn after it on"
                )
            if history is not None or not blocks[place][0]:
                blocks[place] = _blocks(session, first, prompt)
            prompts[place] = prompt
            self._histories[session] = _History(prompt + output, first)
        return batch._replace(prompt=prompts, blocks=blocks)


def _whole_blocks(blocks: Blocks, prompt: int) -> tuple[Sequence[int], int]:
    """Return the blocks of a first prompt that a longer prompt also contains, and their length."""
    ids, block_tokens = blocks
    if not ids or not isinstance(block_tokens, int):
        return (), _BLOCK_TOKENS
    return ids[: prompt // block_tokens], block_tokens


def _blocks(session: int, first: tuple[Sequence[int], int], prompt: int) -> Blocks:
    """Return the complete blocks of a prompt; identities of a history are negative."""
    ids, block_tokens = first
    base = (session + 1) << 32
    later = range(-base - len(ids), -base - prompt // block_tokens, -1)
    return (later if not ids else tuple(chain(ids, later))), block_tokens
