"""Measured blocks of sparse attention: projections, indexer, choice of keys and attention.

A table has one block per row, in the columns of aiconfigurator's dsa_*_module_perf and
msa_*_module_perf. A block is a layer with `num_heads` query heads on the device. Each of
`batch_size` sequences has `isl` new tokens after `step` cached ones. In decode a query reads
`isl + step` keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.columns import numbers
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.layers import FullLayers, Indexer, LatentLayers
from cluster_sim.llm.layers.kind import MatrixShape
from cluster_sim.physics.sparse_attention import SparseShape, sparse_shape
from cluster_sim.typing import Array

COLUMNS = (
    "op_name",
    "kernel_source",
    "architecture",
    "kv_cache_dtype",
    "gemm_type",
    "num_heads",
    "batch_size",
    "isl",
    "step",
    "latency_ms",
)
"""Columns that a table of these blocks must have."""
PRECISIONS: dict[str, Precision] = {
    "bfloat16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "nvfp4": "fp4",
}
"""Precisions of caches and products, by the names in the tables."""
TOP_K = 2048
"""Number of keys that a query of the measured models reads."""
LONG = 131_072
"""Number of keys per sequence above which SGLang takes additional steps on the host."""

_KV_GROUP = 16
"""Number of query heads per key and value head of MiniMax-M3."""
_WIDTHS = {
    "DeepseekV32ForCausalLM": (1536, 128, 128, 64),
    "GlmMoeDsaForCausalLM": (2048, 192, 256, 32),
}
"""Widths of latent queries, of a head's key without rotary embedding and of its value, and number
of index heads, by architecture."""
_HIDDEN = {
    "DeepseekV32ForCausalLM": 7168,
    "GlmMoeDsaForCausalLM": 6144,
    "MiniMaxM3ForCausalLM": 6144,
}


class Layer(NamedTuple):
    """A measured layer."""

    architecture: str
    heads: int
    """Number of query heads on the device."""
    is_indexed: bool
    """Whether the layer chooses keys itself instead of reusing the choice of an earlier layer."""

    @property
    def kind(self) -> LatentLayers | FullLayers:
        """Layer as part of a model."""
        if self.architecture not in _WIDTHS:
            index = {"heads": 4, "head_dim": 128} if self.is_indexed else {}
            indexer = Indexer(top_k=TOP_K, head_weights=False, **index)
            kv_heads = max(self.heads // _KV_GROUP, 1)
            shape = {"heads": self.heads, "kv_heads": kv_heads, "head_dim": 128}
            return FullLayers(layers=1, indexer=indexer, **shape)
        q_rank, nope_dim, v_dim, index_heads = _WIDTHS[self.architecture]
        index = {"heads": index_heads, "head_dim": 128} if self.is_indexed else {}
        widths = {"kv_rank": 512, "rope_dim": 64, "nope_dim": nope_dim, "v_dim": v_dim}
        indexer = Indexer(top_k=TOP_K, **index)
        return LatentLayers(layers=1, heads=self.heads, indexer=indexer, q_rank=q_rank, **widths)

    def shape(self, kv_cache: Precision) -> SparseShape:
        """Return the shape of the layer's attention over a cache of this precision."""
        return sparse_shape(self.kind, 1, kv_cache)

    def products(self) -> list[MatrixShape]:
        """Return the projections of the layer."""
        return self.kind.products(_HIDDEN[self.architecture], 1)


@dataclass(frozen=True, slots=True)
class SparseBlocks:
    """Measured blocks, one per row."""

    layer: Array
    """Index of the shape: model, heads, indexer and precision of the products."""
    group: Array
    """Index of the properties that determine the launch time of the host: products, indexer, and
    whether the number of keys exceeds `TOP_K` and `LONG`."""
    heads: Array
    key_bytes: Array
    key_flop: Array
    dense_flop: Array
    index_bytes: Array
    index_flop: Array
    sequences: Array
    tokens: Array
    """Numbers of new tokens per sequence."""
    past: Array
    """Numbers of cached tokens per sequence."""
    products_s: Array
    """Times of the projections according to this project's fits [s]."""
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> SparseBlocks:
        """Return some of the rows, by index or by mask."""
        return SparseBlocks(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def shape(self) -> SparseShape:
        """Shape of each block's attention."""
        return SparseShape(*(getattr(self, name) for name in SparseShape._fields))

    @property
    def keys(self) -> Array:
        """Number of keys from which the last query of a sequence chooses, per block."""
        keys: Array = self.tokens + self.past
        return keys

    @property
    def is_selecting(self) -> Array:
        """Whether there are more keys than a query reads, per block."""
        chosen: Array = self.keys > TOP_K
        return chosen

    @property
    def pairs(self) -> tuple[Array, Array]:
        """Numbers of causal pairs of all sequences, and of pairs that are read, per block."""
        full = self.tokens * self.past + self.tokens * (self.tokens + 1) / 2
        growing = np.clip(TOP_K - self.past, 0.0, self.tokens)
        read = growing * self.past + growing * (growing + 1) / 2
        read = read + (self.tokens - growing) * TOP_K
        return self.sequences * full, self.sequences * read


ProductsSeconds = Callable[[Layer, Precision, Array], Array]
"""Function from a layer, the precision of its products and numbers of tokens to seconds."""


def sparse_blocks(
    table: pa.Table, kv_cache: Precision, products_s: ProductsSeconds, *, decoding: bool
) -> SparseBlocks:
    """Return the blocks of one precision of the KV cache in one phase.

    Parameters
    ----------
    table
        Rows of one engine and of one kind of attention.
    kv_cache
        Precision of the KV cache.
    products_s
        Function that returns the time of a layer's projections [s].
    decoding
        Whether to return the blocks of decode instead of prefill.
    """
    cached = [name for name, precision in PRECISIONS.items() if precision == kv_cache]
    phase = "generation" if decoding else "context"
    table = table.filter(pc.is_in(table["kv_cache_dtype"], pa.array(cached)))
    table = table.filter(pc.match_substring(table["op_name"], phase))
    names = ["architecture", "num_heads", "gemm_type"]
    indexed = pc.invert(pc.match_substring(table["op_name"], "skip_indexer"))
    keys = list(zip(*(table[name].to_pylist() for name in names), indexed.to_pylist(), strict=True))
    kinds = sorted(set(keys))
    count = {name: numbers(table, name) for name in ("batch_size", "isl", "step", "latency_ms")}
    layer = np.array([kinds.index(key) for key in keys], dtype=int)
    tokens = count["batch_size"] * (1.0 if decoding else count["isl"])
    keys_each = count["isl"] + count["step"]
    length = (keys_each > TOP_K) * 1.0 + (keys_each > LONG)
    shapes = np.zeros((len(kinds), len(SparseShape._fields)))
    seconds, group = np.zeros(len(layer)), np.zeros(len(layer))
    precisions = sorted({gemm_type for _, _, gemm_type, _ in kinds})
    for number, (architecture, heads, gemm_type, is_indexed) in enumerate(kinds):
        rows, one = layer == number, Layer(architecture, heads, is_indexed)
        shapes[number] = one.shape(kv_cache)
        seconds[rows] = products_s(one, PRECISIONS[gemm_type], tokens[rows])
        group[rows] = 6 * precisions.index(gemm_type) + 3 * is_indexed + length[rows]
    heads, key_bytes, key_flop, dense_flop, index_bytes, index_flop = shapes[layer].T
    return SparseBlocks(
        layer.astype(float),
        group,
        heads,
        key_bytes,
        key_flop,
        dense_flop,
        index_bytes,
        index_flop,
        count["batch_size"],
        np.ones(len(layer)) if decoding else count["isl"],
        count["step"],
        seconds,
        1e-3 * count["latency_ms"],
    )
