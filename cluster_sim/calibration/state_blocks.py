"""Measured blocks of linear-attention layers: the kernels between their projections.

A table has one kernel per row, in the columns of aiconfigurator's gdn_perf, kda_perf and
mamba2_perf. A block is the convolution and the fastest scan, or one kernel that does both if it is
faster. For Mamba-2 only the convolution was measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.physics.linear_attention import LinearShape
from cluster_sim.typing import Array

COLUMNS = ("op_name", "kernel_source", "phase", "batch_size", "seq_len", "model_name", "latency_ms")
"""Columns that a table of these kernels must have."""
KINDS = {"gdn": "gated_delta_net", "kda": "kda", "mamba2": "mamba2"}
"""Kinds of layers by `op_name`."""
ONLY_CONVOLUTION = ("mamba2",)
"""Kinds whose scan was not measured."""

_WHOLE = ("fused_kda_decode", "kda_fused_decode")
"""Kernels that include the convolution."""


@dataclass(frozen=True, slots=True)
class StateBlocks:
    """Measured blocks, one per row."""

    model: Array
    """Index of the model that has this shape."""
    heads: Array
    key_dim: Array
    value_dim: Array
    channels: Array
    sequences: Array
    tokens: Array
    """Numbers of tokens of all sequences."""
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> StateBlocks:
        """Return some of the rows, by index or by mask."""
        return StateBlocks(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def shape(self) -> LinearShape:
        """Shape of each block; states were measured in 32 bit."""
        return LinearShape(self.heads, self.key_dim, self.value_dim, self.channels)


def state_blocks(table: pa.Table, op: str, phase: str) -> StateBlocks:
    """Return the blocks of one kind of layer in one phase, context or generation."""
    rows = table.filter(pc.and_(pc.equal(table["op_name"], op), pc.equal(table["phase"], phase)))
    kernels: dict[tuple[Any, ...], dict[str, float]] = defaultdict(dict)
    for row in rows.to_pylist():
        name = row["kernel_source"]
        part = "convolution" if name.startswith("causal_conv1d") else "scan"
        part = "whole" if name.startswith(_WHOLE) else part
        block = kernels[row["model_name"], *_shape(row), row["batch_size"], row["seq_len"]]
        block[part] = min(block.get(part, np.inf), 1e-3 * row["latency_ms"])
    blocks = [
        (*shape, sequences, sequences * each, seconds)
        for (*shape, sequences, each), parts in kernels.items()
        if np.isfinite(seconds := _block_s(parts, needs_scan=KINDS[op] not in ONLY_CONVOLUTION))
    ]
    models = sorted({block[0] for block in blocks})
    numbers = [(models.index(model), *rest) for model, *rest in blocks]
    columns = np.array(numbers, dtype=float).reshape(-1, len(StateBlocks.__dataclass_fields__))
    return StateBlocks(*columns.T)


def _shape(row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Return the heads, widths of keys and values, and channels of the convolution."""
    if row["op_name"] == "mamba2":
        heads, width, state = row["nheads"], row["head_dim"], row["d_state"]
        return heads, state, width, heads * width + 2 * row["n_groups"] * state
    keys, values = row["num_k_heads"] * row["head_k_dim"], row["num_v_heads"] * row["head_v_dim"]
    return row["num_v_heads"], row["head_k_dim"], row["head_v_dim"], 2 * keys + values


def _block_s(parts: Mapping[str, float], *, needs_scan: bool) -> float:
    apart = parts.get("convolution", np.inf) + (parts.get("scan", np.inf) if needs_scan else 0.0)
    return float(min(apart, parts.get("whole", np.inf)))
