"""MiniMax-M3: attention to the blocks of the context that an indexer chooses.

Keys are those of `sparse_attention_config` in the files on the hub.
`configuration_minimax_m3_vl.py` of transformers 5.24 spells them `index_…` and adds `layer_types`.
A query reads a fixed number of blocks of keys, its own block included. Queries do not weight the
index heads.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of, flags_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    heads_of,
    listed_kinds,
    with_layers,
)

KEYS = frozenset({
    "sparse_attention_config", "index_n_heads", "index_head_dim", "index_block_size", "index_topk_blocks", "index_local_blocks",
})  # fmt: skip
"""Keys of sparse attention."""
_NESTED = "sparse_attention_config"
_SPARSE = "minimax_m3_sparse"
_INDEXER = (
    ("index_n_heads", "sparse_num_index_heads"),
    ("index_head_dim", "sparse_index_dim"),
    ("index_topk_blocks", "sparse_topk_blocks"),
    ("index_block_size", "sparse_block_size"),
)
"""Spellings of a key since transformers 5, and inside `sparse_attention_config`."""
_NO_SIZES = frozenset({"sparse_score_type", "sparse_init_block", "sparse_local_block"})
"""Keys of blocks that every query reads."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    nested = reader.mapping(_NESTED)
    if reader.truth("attention_output_gate", default=False):
        reader.fault("attention_output_gate: got true; expected false")
    reader.value("index_local_blocks")
    heads, width, blocks, tokens = (
        reader.count(name, default=reader.count(key), among=nested) for key, name in _INDEXER
    )
    indexer = {"top_k": blocks * tokens, "heads": heads, "head_dim": width, "head_weights": False}
    of_kind = {
        FULL: heads_of(reader, "full", shape),
        _SPARSE: heads_of(reader, "full", shape, indexer=indexer),
    }
    keys = with_layers(reader, shape, _kinds(reader, nested), of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def _kinds(reader: ConfigKeys, nested: dict[str, Any]) -> list[str]:
    """Return the kind of each layer."""
    known = {name for _, name in _INDEXER} | _NO_SIZES
    known |= {"use_sparse_attention", "sparse_attention_freq", "sparse_disable_index_value"}
    if strange := sorted(nested.keys() - known):
        reader.fault(
            f"{_NESTED}.{strange[0]}: got {shown(nested[strange[0]])}; expected a known key: the effect of this one is not simulated yet"
        )
    listed = listed_kinds(reader, "layer_types", (FULL, _SPARSE))
    flags = flags_of(reader, "sparse_attention_freq", among=nested)
    without = flags_of(reader, "sparse_disable_index_value", among=nested)
    if any(has and not no for has, no in zip(flags, without, strict=False)):
        reader.fault(
            f"{_NESTED}.sparse_disable_index_value: got a layer whose index has values; expected 1 for each layer of sparse_attention_freq"
        )
    if not reader.truth("use_sparse_attention", default=True, among=nested):
        flags = []
    written = [_SPARSE if flag else FULL for flag in flags]
    return listed or written or [FULL] * reader.layers
