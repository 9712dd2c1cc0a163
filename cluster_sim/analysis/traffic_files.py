"""Traffic written for other tools: as a table, or as a trace of Mooncake's format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.analysis.demand import Demand
from cluster_sim.errors import ScenarioError, cannot_write
from cluster_sim.whole_files import whole_file
from cluster_sim.workload.traces.rows import Pieces

BLOCK_TOKENS = 512
"""Length of a block of Mooncake's format [tokens]."""
FORMATS = (".parquet", ".jsonl")
"""Suffixes of the files that can be written."""


def write(demand: Demand, path: Path) -> None:
    """Write the requests as the suffix says.

    The suffix is .parquet, or .jsonl for Mooncake's format (milliseconds, identities of blocks of
    512 tokens). Raises ScenarioError for another suffix, or where the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise ScenarioError.at(
            str(path), f"'{path.suffix}' is no format of requests; wanted {' or '.join(FORMATS)}"
        )
    try:
        with whole_file(path) as making:
            if path.suffix == ".parquet":
                pq.write_table(_table(demand), making, compression="zstd")
            else:
                with making.open("w", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in _mooncake(demand))
    except OSError as fault:
        raise cannot_write(path, fault) from fault


def _table(demand: Demand) -> pa.Table:
    columns = {
        "arrival_s": demand.arrival_s,
        "prompt_tokens": demand.prompt_tokens,
        "output_tokens": demand.output_tokens,
    }
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    if demand.pieces is None:
        return table
    # Identities may be beyond 64 bits.
    kind = pa.list_(pa.struct([("identity", pa.string()), ("tokens", pa.int64())]))
    rows = [
        [{"identity": str(identity), "tokens": tokens} for identity, tokens in own]
        for own in demand.pieces
    ]
    return table.append_column("pieces", pa.array(rows, type=kind))


def _mooncake(demand: Demand) -> Iterator[dict[str, Any]]:
    """Yield the rows of Mooncake's format."""
    numbers: dict[_Block, int] = {}
    fresh = count(-1, -1)  # identities of blocks whose content nobody else has
    pieces = demand.pieces if demand.pieces is not None else repeat(())
    for arrival_s, prompt, output, own in zip(
        demand.arrival_s.tolist(),
        demand.prompt_tokens.tolist(),
        demand.output_tokens.tolist(),
        pieces,
        strict=False,
    ):
        ids = [numbers.setdefault(block, len(numbers)) for block in _blocks(prompt, own, fresh)]
        yield {
            "timestamp": round(1e3 * arrival_s),
            "input_length": prompt,
            "output_length": output,
            "hash_ids": ids,
        }


class _Block(NamedTuple):
    """What identifies a block of a prompt."""

    piece: int
    """Identity of the piece in which it ends."""
    place: int
    """Number of blocks before it."""
    tokens: int
    """Its length [tokens]."""


def _blocks(prompt: int, pieces: Pieces, fresh: Iterator[int]) -> Iterator[_Block]:
    """Yield the blocks of a prompt.

    A piece stands for its content after exactly what is before it, so the piece that holds a
    block's last token says all.
    """
    ends = iter(pieces)
    identity, reached = None, 0
    for place in range(-(-prompt // BLOCK_TOKENS)):
        last = min((place + 1) * BLOCK_TOKENS, prompt)
        while reached < last:
            piece = next(ends, None)
            if piece is None:
                identity, reached = None, prompt
                break
            identity, reached = piece[0], reached + piece[1]
        known = identity if identity is not None else next(fresh)
        yield _Block(known, place, last - place * BLOCK_TOKENS)
