"""Mooncake's traces: JSON lines with the identities of prompt blocks (Qin et al., FAST 2025)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from cluster_sim.workload.traces.clock import mooncake_unit
from cluster_sim.workload.traces.json_rows import KeyedRows, keyed_batches
from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.rows import Batch, batch_of_columns, numbers, tokens
from cluster_sim.workload.traces.source import TraceSource
from cluster_sim.workload.traces.stamps import Stamps

BLOCK_TOKENS = 512
"""Length of a block in the published traces [tokens]."""
_KEYS = ("timestamp", "input_length", "output_length", "hash_ids")
_EXPECTED = (
    '{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [numbers]}'
)


def mooncake_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield rows in the file's order.

    Each block's identity stands for what it holds after exactly the blocks before it. Raises
    ScenarioError with the line of a row that is malformed, or whose blocks do not cover its prompt.
    """
    block_tokens = source.block_tokens or BLOCK_TOKENS
    stamps = Stamps(source, "timestamp", "ms")

    def batch_of(rows: KeyedRows) -> Batch:
        return _batch(rows, block_tokens, stamps)

    keys: dict[str, None] = {}
    for batch in keyed_batches(source.path, source.place, batch_of, _EXPECTED, keys):
        refuse_gaps(batch, source.place, block_tokens)
        source.tally.note_unused(key for key in keys if key not in _KEYS)
        note_conversations(keys, source.tally)
        yield batch


def note_conversations(keys: Iterable[str], tally: Tally) -> None:
    """Note keys of AIPerf's conversations in rows that are read as another format's."""
    own = [key for key in ("session_id", "delay") if key in keys]
    if own:
        tally.note(
            f"rows have {' and '.join(own)}, as AIPerf's do, and are read as lone requests; for conversations, write format: aiperf"
        )


def _batch(keyed: KeyedRows, block_tokens: int, times: Stamps) -> Batch:
    """Return all rows at once. Raises one of MALFORMED where one row is malformed."""
    stamps, prompts, outputs, blocks, known = [], [], [], [], False
    # One row at a time: what is parsed is gone again before the processor's cache is full.
    for row in keyed.rows:
        stamps.append(row["timestamp"])
        prompts.append(row["input_length"])
        outputs.append(row["output_length"])
        ids = row.get("hash_ids") or ()
        known |= len(ids) > 0
        blocks.append((compact(ids), block_tokens))
    unit = partial(mooncake_unit, has_blocks=known)
    time_s = times.seconds(numbers(stamps), keyed.lines, unit)
    return batch_of_columns(
        time_s, tokens(prompts), tokens(outputs), blocks if known else None, keyed.lines
    )


def compact(ids: Sequence[int]) -> Sequence[int]:
    """Return the identities in a fifth of the memory where none needs 64 bits, else as they are.

    Raises TypeError where one is no whole number.
    """
    try:
        return array("q", ids)
    except OverflowError:
        return tuple(ids)


def refuse_gaps(batch: Batch, place: Place, block_tokens: int) -> None:
    """Raise ScenarioError at the first row whose blocks are not as many as its prompt fills."""
    if batch.blocks is None:
        return
    blocks = np.array([len(own) for own, _ in batch.blocks])
    wrong = np.nonzero((blocks > 0) & (blocks != -(-batch.prompt // block_tokens)))[0]
    if len(wrong):
        row = wrong[0]
        place.refuse_at(
            int(batch.line[row]),
            f"{blocks[row]} blocks do not hold {batch.prompt[row]} tokens; expected blocks of {block_tokens}, or another block_tokens",
        )
