"""Mooncake's traces: JSON lines with the identities of prompt blocks (Qin et al., FAST 2025)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import IO

import numpy as np
from orjson import loads

from cluster_sim.workload.traces.progress import Place
from cluster_sim.workload.traces.rows import AT_A_TIME, NONE, Batch, batch_of_columns

BLOCK_TOKENS = 512
"""Length of a block in the published traces [tokens]."""
_EXPECTED = (
    '{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [numbers]}'
)
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


def mooncake_batches(text: IO[str], place: Place, block_tokens: int) -> Iterator[Batch]:
    """Yield rows in the file's order.

    Each block's identity stands for what it holds after exactly the blocks before it. Raises
    ScenarioError with the line of a row that is malformed, or whose blocks do not cover its prompt.
    """
    before = 0
    while lines := list(islice(text, AT_A_TIME)):
        try:
            batch = _batch(lines, np.arange(before + 1, before + 1 + len(lines)), block_tokens)
        except _MALFORMED:
            batch = _row_by_row(lines, before, place, block_tokens)
        _refuse_gaps(batch, place, block_tokens)
        yield batch
        before += len(lines)


def _batch(lines: list[str], numbers: np.ndarray, block_tokens: int) -> Batch:
    """Return all rows at once. Raises one of _MALFORMED where one row is malformed."""
    stamps, prompts, outputs, blocks, known = [], [], [], [], False
    # One row at a time: what is parsed is gone again before the processor's cache is full.
    for line in lines:
        row = loads(line)
        stamps.append(row["timestamp"])
        prompts.append(row["input_length"])
        outputs.append(row["output_length"])
        ids = row.get("hash_ids", ())
        known |= len(ids) > 0
        blocks.append((_compact(ids), block_tokens))
    if set(map(type, chain(prompts, outputs))) != {int}:
        raise ValueError
    time_s = np.array(stamps) / 1e3
    prompt, output = (np.array(column, dtype=np.int64) for column in (prompts, outputs))
    return batch_of_columns(time_s, prompt, output, blocks if known else None, numbers)


def _compact(ids: list[int]) -> Sequence[int]:
    """Return the identities in a fifth of the memory where none needs 64 bits, else as they are.

    Raises TypeError where one is no whole number.
    """
    try:
        return array("q", ids)
    except OverflowError:
        return tuple(ids)


def _row_by_row(lines: list[str], before: int, place: Place, block_tokens: int) -> Batch:
    """Return the rows, with blank lines left out.

    Raises ScenarioError with the line of the row that is malformed.
    """
    whole = NONE
    for number, line in enumerate(lines, start=before + 1):
        if not line.strip():
            continue
        try:
            whole = whole.then(_batch([line], np.array([number]), block_tokens))
        except _MALFORMED:
            place.refuse_text(line, _EXPECTED, number)
    return whole


def _refuse_gaps(batch: Batch, place: Place, block_tokens: int) -> None:
    """Raise ScenarioError at the first row whose blocks are not as many as its prompt fills."""
    if batch.blocks is None:
        return
    blocks = np.array([len(own) for own, _ in batch.blocks])
    wrong = np.nonzero((blocks > 0) & (blocks != -(-batch.prompt // block_tokens)))[0]
    if len(wrong):
        row = wrong[0]
        place.refuse_at(
            int(batch.line[row]),
            f"{blocks[row]} blocks do not hold {batch.prompt[row]} tokens; wanted blocks of {block_tokens}, or another block_tokens",
        )
