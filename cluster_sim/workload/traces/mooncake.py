"""Mooncake's traces: JSON lines with the identities of a prompt's blocks (Qin et al., FAST 2025)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from typing import IO

from cluster_sim.workload.traces.rows import MOST_TOKENS, Place, Row

BLOCK_TOKENS = 512
_WANTED = '{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [numbers]}'


def mooncake_rows(text: IO[str], place: Place, block_tokens: int) -> Iterator[Row]:
    """Rows in the file's order. Each block's identity stands for what it holds after exactly the blocks before it.

    Raises ScenarioError with the line of a row that is malformed, or whose blocks do not cover its prompt.
    """
    number = 0
    place.line = lambda: number
    for number, line in enumerate(text, start=1):  # noqa: B007 - `place.line` reads it
        try:
            row = json.loads(line)
            time_s, prompt, output, ids = row["timestamp"] / 1e3, row["input_length"], row["output_length"], row.get("hash_ids", ())
            if (
                time_s - time_s != 0.0
                or type(prompt) is not int
                or type(output) is not int
                or not 0 <= min(prompt, output) <= max(prompt, output) <= MOST_TOKENS
            ):
                raise ValueError
            whole = len(ids) - 1
            last = prompt - whole * block_tokens
            pieces = (*zip(ids, repeat(block_tokens, whole), strict=False), (ids[-1], last)) if ids else ()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if not line.strip():
                continue
            place.wanted(line, _WANTED)
        if ids and not 0 < last <= block_tokens:
            place.refuse(f"{len(ids)} blocks do not hold {prompt} tokens; wanted blocks of {block_tokens}, or another block_tokens")
        yield time_s, prompt, output, pieces
