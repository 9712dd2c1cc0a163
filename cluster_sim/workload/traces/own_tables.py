"""Our own tables: requests.parquet of a run, and what `workload --out` writes as Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.block_numbers import BlockNumbers
from cluster_sim.workload.traces.csv_rows import read_or_fault
from cluster_sim.workload.traces.json_rows import MALFORMED
from cluster_sim.workload.traces.rows import (
    AT_A_TIME,
    UNKNOWN,
    Batch,
    Blocks,
    batch_of_columns,
    numbers,
    tokens,
)
from cluster_sim.workload.traces.source import Beginning, TraceSource

_COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens")
_HITS = "prefix_hit_tokens"
_PIECES = "pieces"
_BLOCK_TOKENS = 512
"""Length of the blocks into which pieces of a prompt's beginning are cut [tokens]."""


def is_own_table(begun: Beginning) -> bool:
    """Return whether a Parquet file is such a table."""
    return begun.kind == "parquet" and begun.has(*_COLUMNS)


def own_table_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield all requests, whatever became of them.

    Raises ScenarioError where the file cannot be read, or holds what is no request.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = BlockNumbers(source.block_tokens or _BLOCK_TOKENS)
    source.place.name_rows(lambda row: f"{source.path}, row {row}")
    row = 0
    try:
        with pq.ParquetFile(source.path) as file:
            names = file.schema_arrow.names
            wanted = [name for name in (*_COLUMNS, _HITS) if name in names]
            pieces = [_PIECES] if _PIECES in names else []
            for part in file.iter_batches(batch_size=AT_A_TIME, columns=[*wanted, *pieces]):
                columns = {
                    name: part.column(name).to_numpy(zero_copy_only=False) for name in wanted
                }
                batch = _batch(columns, row, source)
                if pieces:
                    batch = _with_blocks(batch, part.column(_PIECES).to_pylist(), blocks, source)
                yield batch
                row += part.num_rows
    except (pa.ArrowException, OSError) as fault:
        raise ScenarioError.at(source.path, f"cannot be read: {fault}") from fault


def _batch(columns: dict[str, Any], before: int, source: TraceSource) -> Batch:
    """Return these rows; raises ScenarioError where one is no request."""
    lines = np.arange(before + 1, before + 1 + len(columns["arrival_s"]))
    if _HITS in columns and np.any(columns[_HITS] > 0):
        source.tally.note(
            "the run found prefixes in its cache (prefix_hit_tokens); its table does not hold which, so the replay shares none"
        )

    def read(count: int) -> Batch:
        prompt, output = (tokens(columns[name][:count].tolist()) for name in _COLUMNS[1:])
        arrival_s = source.clock.of_numbers(numbers(columns["arrival_s"][:count].tolist()), "s")
        return batch_of_columns(arrival_s, prompt, output, None, lines[:count])

    batch, fault = read_or_fault(read, len(lines))
    if batch is None:
        text = ",".join(str(columns[name][fault]) for name in _COLUMNS)
        source.place.refuse_text(text, ", ".join(_COLUMNS), before + fault + 1)
    return batch


def _with_blocks(
    batch: Batch, pieces: list[Any], blocks: BlockNumbers, source: TraceSource
) -> Batch:
    """Return the rows with the pieces of their beginnings cut into blocks of equal length."""
    block_tokens = source.block_tokens or _BLOCK_TOKENS
    rows: list[Blocks] = []
    for prompt, own, line in zip(batch.prompt.tolist(), pieces, batch.line.tolist(), strict=True):
        try:
            known = tuple((int(piece["identity"]), int(piece["tokens"])) for piece in own or ())
        except MALFORMED:
            source.place.refuse_text(
                str(own)[:200], '[{"identity": number as text, "tokens": tokens}]', line
            )
        rows.append((blocks.of(prompt, known), block_tokens) if known else UNKNOWN)
    return batch._replace(blocks=rows)
