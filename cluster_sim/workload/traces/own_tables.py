"""Our own tables: requests.parquet of a run, and what `workload --out` writes as Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.block_numbers import BlockNumbers
from cluster_sim.workload.traces.csv_rows import read_or_fault
from cluster_sim.workload.traces.json_rows import MALFORMED
from cluster_sim.workload.traces.progress import Place
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

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens")
_HITS = "prefix_hit_tokens"
_PIECES = "pieces"
_BLOCK_TOKENS = 512
"""Length of the blocks into which pieces of a prompt's beginning are cut that have no length in
common [tokens]."""
_SHORTEST_BLOCK = 16
"""Shortest block into which pieces are cut: shorter ones would take much memory [tokens]."""


def is_own_table(begun: Beginning) -> bool:
    """Return whether a Parquet file is such a table."""
    return begun.kind == "parquet" and begun.has(*_COLUMNS)


def own_table_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield all requests, whatever became of them.

    Raises ScenarioError where the file cannot be read, or holds what is no request.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    source.place.name_rows(lambda row: f"{source.path}, row {row}")
    row = 0
    try:
        with pq.ParquetFile(source.path) as file:
            names = file.schema_arrow.names
            wanted = [name for name in (*_COLUMNS, _HITS) if name in names]
            pieces = [_PIECES] if _PIECES in names else []
            block_tokens = source.block_tokens or (
                _block_tokens(file, source) if pieces else _BLOCK_TOKENS
            )
            blocks = BlockNumbers(block_tokens)
            for part in file.iter_batches(batch_size=AT_A_TIME, columns=[*wanted, *pieces]):
                columns = {
                    name: part.column(name).to_numpy(zero_copy_only=False) for name in wanted
                }
                batch = _batch(columns, row, source)
                if pieces:
                    batch = _with_blocks(
                        batch, part.column(_PIECES).to_pylist(), blocks, source.place
                    )
                yield batch
                row += part.num_rows
    except (pa.ArrowException, OSError) as fault:
        raise ScenarioError.at(source.path, f"cannot be read: {fault}") from fault


def _block_tokens(file: pq.ParquetFile, source: TraceSource) -> int:
    """Return the greatest length of blocks that keeps every end of a piece [tokens].

    The end of a prompt is kept by blocks of any length. It is 512, with a note, where that length
    is below 16.
    """
    import pyarrow as pa

    kind = file.schema_arrow.field(_PIECES).type
    if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
        return _BLOCK_TOKENS
    place = kind.value_type.get_field_index("tokens")
    if place < 0 or not pa.types.is_integer(kind.value_type.field(place).type):
        return _BLOCK_TOKENS
    common = 0
    for part in file.iter_batches(batch_size=AT_A_TIME, columns=["prompt_tokens", _PIECES]):
        lists = part.column(_PIECES)
        lengths = lists.flatten().field(place).fill_null(0).to_numpy(zero_copy_only=False)
        counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        prompts = part.column("prompt_tokens").to_numpy(zero_copy_only=False)
        ends = np.cumsum(lengths)
        starts = np.append(0, ends)[np.cumsum(counts) - counts]
        is_inside = ends - np.repeat(starts, counts) != np.repeat(prompts, counts)
        common = int(np.gcd.reduce(lengths[is_inside], initial=common))
    if common >= _SHORTEST_BLOCK:
        return common
    if common:
        source.tally.note(
            f"the pieces of prompts have no length in common of {_SHORTEST_BLOCK} tokens or more and are cut into blocks of {_BLOCK_TOKENS}: prompts share whole blocks only; trace.block_tokens sets another length"
        )
    return _BLOCK_TOKENS


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


def _with_blocks(batch: Batch, pieces: list[Any], blocks: BlockNumbers, place: Place) -> Batch:
    """Return the rows with the pieces of their beginnings cut into blocks of equal length."""
    rows: list[Blocks] = []
    for prompt, own, line in zip(batch.prompt.tolist(), pieces, batch.line.tolist(), strict=True):
        try:
            known = tuple((int(piece["identity"]), int(piece["tokens"])) for piece in own or ())
        except MALFORMED:
            place.refuse_text(
                str(own)[:200], '[{"identity": number as text, "tokens": tokens}]', line
            )
        rows.append((blocks.of(prompt, known), blocks.block_tokens) if known else UNKNOWN)
    return batch._replace(blocks=rows)
