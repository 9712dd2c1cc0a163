"""Traffic files for other tools: a table, or a trace in Mooncake's format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.analysis.demand import Demand
from cluster_sim.errors import ScenarioError, cannot_write
from cluster_sim.whole_files import whole_file
from cluster_sim.workload.traces.block_numbers import BlockNumbers

BLOCK_TOKENS = 512
"""Length of a block in Mooncake's format [tokens]."""
FORMATS = (".parquet", ".jsonl")
"""Suffixes of the files that can be written."""


def write(demand: Demand, path: Path) -> None:
    """Write the requests in the format of the suffix.

    Parameters
    ----------
    demand
        Requests to write.
    path
        File with the suffix .parquet, or .jsonl for Mooncake's format (milliseconds with
        microseconds as decimals, identities of blocks of 512 tokens).

    Raises
    ------
    ScenarioError
        The suffix is unknown, or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise ScenarioError.at(
            str(path),
            f"'{path.suffix}' is not a format of requests; expected {' or '.join(FORMATS)}",
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


def losses(demand: Demand, path: Path) -> Iterator[str]:
    """Yield the information that a file of the requests does not contain."""
    if demand.output_piece is not None or (demand.reading and demand.reading.sessions):
        yield "requests are written with their times, without the fact that turns of sessions wait for answers"
    if path.suffix == ".jsonl" and demand.pieces is not None:
        inside = (own for own in _ends_inside(demand) if own % BLOCK_TOKENS)
        if next(inside, None) is not None:
            yield f"prefixes are written as Mooncake's blocks of {BLOCK_TOKENS} tokens: prompts share whole blocks only, and no part below {BLOCK_TOKENS} tokens. A .parquet file keeps all pieces"


def _ends_inside(demand: Demand) -> Iterator[int]:
    """Yield the length up to the end of each piece that ends before the prompt [tokens]."""
    for prompt, own in zip(demand.prompt_tokens.tolist(), demand.pieces or (), strict=False):
        end = 0
        for _, tokens in own:
            end += tokens
            if end < prompt:
                yield end


def _table(demand: Demand) -> pa.Table:
    columns = {
        "arrival_s": demand.arrival_s,
        "prompt_tokens": demand.prompt_tokens,
        "output_tokens": demand.output_tokens,
    }
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    if demand.pieces is None:
        return table
    # Identities may exceed 64 bits.
    kind = pa.list_(pa.struct([("identity", pa.string()), ("tokens", pa.int64())]))
    rows = [
        [{"identity": str(identity), "tokens": tokens} for identity, tokens in own]
        for own in demand.pieces
    ]
    return table.append_column("pieces", pa.array(rows, type=kind))


def _mooncake(demand: Demand) -> Iterator[dict[str, Any]]:
    """Yield the rows of Mooncake's format."""
    blocks = BlockNumbers(BLOCK_TOKENS)
    pieces = demand.pieces if demand.pieces is not None else repeat(())
    for arrival_s, prompt, output, own in zip(
        demand.arrival_s.tolist(),
        demand.prompt_tokens.tolist(),
        demand.output_tokens.tolist(),
        pieces,
        strict=False,
    ):
        yield {
            "timestamp": _ms(arrival_s),
            "input_length": prompt,
            "output_length": output,
            "hash_ids": blocks.of(prompt, own),
        }


def _ms(time_s: float) -> float:
    """Return a time in milliseconds, to the microsecond; an integer if it is a whole number."""
    time_ms = round(1e3 * time_s, 3)
    return int(time_ms) if time_ms.is_integer() else time_ms
