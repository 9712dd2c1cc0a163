"""Reader of Mooncake's traces: JSON lines with identities of blocks (Qin et al., FAST 2025)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.workload.traces.clock import mooncake_unit
from cluster_sim.workload.traces.json_rows import KeyedRow, KeyedRows, keyed_batches
from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.rows import Batch, Blocks, Links, batch_of_columns, numbers, tokens
from cluster_sim.workload.traces.source import TraceSource
from cluster_sim.workload.traces.stamps import Stamps

BLOCK_TOKENS = 512
"""Length of a block in the published traces [tokens]."""
_KEYS = ("timestamp", "input_length", "output_length", "hash_ids")
_EXPECTED = (
    '{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [numbers]}'
)


def mooncake_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the rows in the order of the file.

    The identity of a block covers its content and all blocks before it. Raises ScenarioError with
    the line of a row that is malformed, or whose blocks do not cover its prompt.
    """
    block_tokens = source.block_tokens or BLOCK_TOKENS
    stamps = Stamps(source, "timestamp", "ms")

    def batch_of(keyed: KeyedRows) -> Batch:
        columns = MooncakeColumns.of(keyed.rows, block_tokens)
        unit = partial(mooncake_unit, has_blocks=columns.blocks is not None)
        return columns.batch(
            stamps.seconds(numbers(columns.stamps), keyed.lines, unit), keyed.lines
        )

    keys: dict[str, None] = {}
    for batch in keyed_batches(source.path, source.place, batch_of, _EXPECTED, keys):
        refuse_gaps(batch, source.place, block_tokens)
        source.tally.note_unused(key for key in keys if key not in _KEYS)
        note_conversations(keys, source.tally)
        yield batch


def note_conversations(keys: Iterable[str], tally: Tally) -> None:
    """Note keys of AIPerf's conversations in rows that are read as another format."""
    own = [key for key in ("session_id", "delay") if key in keys]
    if own:
        tally.note(
            f"rows have {' and '.join(own)}, like AIPerf's, and are read as single requests; for conversations, write format: aiperf"
        )


class MooncakeColumns(NamedTuple):
    """Columns of rows with Mooncake's keys, before conversion."""

    stamps: list[Any]
    """Timestamps in the unit of the file; None for a row without a timestamp."""
    prompts: list[Any]
    """Lengths of the prompts [tokens]."""
    outputs: list[Any]
    """Lengths of the answers [tokens]."""
    blocks: list[Blocks] | None
    """Blocks of the prompts; None if no row has blocks."""

    @classmethod
    def of(cls, rows: Iterable[KeyedRow], block_tokens: int) -> MooncakeColumns:
        """Return the columns of rows, which are read once.

        Raises one of MALFORMED if a row lacks a length.
        """
        stamps, prompts, outputs, known = [], [], [], False
        blocks: list[Blocks] = []
        # One row at a time, so that parsed rows are freed before the CPU cache is full.
        for row in rows:
            stamps.append(row.get("timestamp"))
            prompts.append(row["input_length"])
            outputs.append(row["output_length"])
            ids = row.get("hash_ids") or ()
            known |= len(ids) > 0
            blocks.append((_compact(ids), block_tokens))
        return cls(stamps, prompts, outputs, blocks if known else None)

    def batch(self, time_s: np.ndarray, lines: np.ndarray, links: Links | None = None) -> Batch:
        """Return the rows as a batch, given their times [s] and lines.

        Raises ValueError if a length is not a whole number, or is negative or too large.
        """
        prompt, output = tokens(self.prompts), tokens(self.outputs)
        return batch_of_columns(time_s, prompt, output, self.blocks, lines, links)


def _compact(ids: Sequence[int]) -> Sequence[int]:
    """Return the identities in a fifth of the memory if they fit into 64 bits, else unchanged.

    Raises TypeError if an identity is not a whole number.
    """
    try:
        return array("q", ids)
    except OverflowError:
        return tuple(ids)


def refuse_gaps(batch: Batch, place: Place, block_tokens: int) -> None:
    """Raise ScenarioError at the first row whose number of blocks does not fit its prompt."""
    if batch.blocks is None:
        return
    blocks = np.array([len(own) for own, _ in batch.blocks])
    wrong = np.nonzero((blocks > 0) & (blocks != -(-batch.prompt // block_tokens)))[0]
    if len(wrong):
        row = wrong[0]
        place.refuse_at(
            int(batch.line[row]),
            f"got {blocks[row]} blocks for {batch.prompt[row]} tokens; expected blocks of {block_tokens} tokens, or another block_tokens",
        )
