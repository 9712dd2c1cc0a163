"""Reader of this project's tables: requests.parquet of a run, and Parquet of `workload --out`."""

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
    Pieces,
    batch_of_columns,
    numbers,
    tokens,
)
from cluster_sim.workload.traces.source import Beginning, TraceSource

_COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens")
_HITS = "prefix_hit_tokens"
_PIECES = "pieces"


def is_own_table(begun: Beginning) -> bool:
    """Return whether a Parquet file is a table of this project."""
    return begun.kind == "parquet" and begun.has(*_COLUMNS)


def own_table_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield all requests, whether they finished or not.

    Raises ScenarioError if the file cannot be read, or a row is not a request.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    source.place.name_rows(lambda row: f"{source.path}, row {row}")
    row = 0
    try:
        with pq.ParquetFile(source.path) as file:
            names = file.schema_arrow.names
            selected = [name for name in (*_COLUMNS, _HITS) if name in names]
            pieces = [_PIECES] if _PIECES in names else []
            known = _KnownPieces(source)
            for part in file.iter_batches(batch_size=AT_A_TIME, columns=[*selected, *pieces]):
                columns = {
                    name: part.column(name).to_numpy(zero_copy_only=False) for name in selected
                }
                batch = _batch(columns, row, source)
                if pieces:
                    batch = known.of(batch, part.column(_PIECES).to_pylist())
                yield batch
                row += part.num_rows
    except (pa.ArrowException, OSError) as fault:
        raise ScenarioError.at(source.path, f"cannot be read: {fault}") from fault


def _batch(columns: dict[str, Any], before: int, source: TraceSource) -> Batch:
    """Return these rows. Raises ScenarioError if a row is not a request."""
    lines = np.arange(before + 1, before + 1 + len(columns["arrival_s"]))
    if _HITS in columns and np.any(columns[_HITS] > 0):
        source.tally.note(
            "the run reused prefixes (prefix_hit_tokens), but its table does not identify them, so prompts of the replay share no prefixes"
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


class _KnownPieces:
    """Reader of the column with the pieces at the beginnings of prompts."""

    def __init__(self, source: TraceSource) -> None:
        self._place, self._block_tokens = source.place, source.block_tokens
        self._blocks = BlockNumbers(source.block_tokens or 1)
        self._numbers: dict[int, int] = {}

    def of(self, batch: Batch, pieces: list[Any]) -> Batch:
        """Return the rows with their pieces, or with blocks if the scenario gives `block_tokens`."""
        rows: list[Blocks] = []
        for prompt, own, line in zip(
            batch.prompt.tolist(), pieces, batch.line.tolist(), strict=True
        ):
            try:
                known = tuple(_piece(each) for each in own or ())
            except MALFORMED:
                self._place.refuse_text(
                    str(own)[:200], '[{"identity": number as text, "tokens": tokens}]', line
                )
            rows.append(self._row(prompt, known) if known else UNKNOWN)
        return batch._replace(blocks=rows)

    def _row(self, prompt: int, known: Pieces) -> Blocks:
        if self._block_tokens is not None:
            return self._blocks.of(prompt, known), self._block_tokens
        numbers = self._numbers
        identities, lengths = zip(*known, strict=True)
        return [numbers.setdefault(each, len(numbers)) for each in identities], lengths


def _piece(row: Any) -> tuple[int, int]:
    """Return identity and tokens of a piece. Raises ValueError for a piece without tokens."""
    if (tokens := int(row["tokens"])) < 1:
        raise ValueError
    return int(row["identity"]), tokens
