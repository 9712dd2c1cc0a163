"""DeepSeek-V4: one cache entry per 4 or per 128 tokens, and a window in each layer.

Keys and defaults are those of the files on the hub and of `configuration_deepseek_v4.py` of
transformers 5.24. `compress_ratios` has one number per layer, and further ones for multi-token
prediction, which is not simulated. `layer_types` lists the layers by name, with the numbers of
tokens in `compress_rates`. Layers with 4 tokens per entry have an indexer over their entries, which
overlap. Layers with the number 0 have only the window.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import WINDOW, listed_kinds, with_layers

KEYS = frozenset({
    "compress_ratios", "compress_rates", "compress_rate_csa", "compress_rate_hca", "compress_rope_theta", "o_groups", "o_lora_rank", "hc_mult",
    "index_topk", "index_n_heads", "index_head_dim",
})  # fmt: skip
"""Keys of compressed entries, indexers and streams of hidden states."""
_SPARSE, _HEAVY = "compressed_sparse_attention", "heavily_compressed_attention"
_BY_RATIO = {0: WINDOW, 4: _SPARSE, 128: _HEAVY}
_RATES = {_SPARSE: ("compress_rate_csa", 4), _HEAVY: ("compress_rate_hca", 128)}
_NO_SIZES = ("num_hash_layers", "compress_rope_theta", "scoring_func")


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    reader.looked_up.update(_NO_SIZES)
    if "latent" in shape:
        reader.fault("kv_lora_rank: expected no such key: one entry is key and value of all heads")
    if shape["kv_heads"] != 1:
        reader.fault(f"num_key_value_heads: got {shape['kv_heads']}; expected 1")
    _same_widths(reader, shape["head_dim"])
    if reader.count("n_shared_experts", least=0) != 1:
        reader.fault("n_shared_experts: expected 1: libraries disagree about other numbers")
    groups = reader.count("o_groups")
    if shape["heads"] % groups:
        reader.fault(f"o_groups: got {groups}; expected a divisor of {shape['heads']} heads")
    if (streams := reader.count("hc_mult")) > 1:
        reader.notes.append(
            f"hc_mult: the {streams} streams of hidden states and their mixing are not simulated"
        )
    attention = {
        "kind": "compressed",
        "heads": shape["heads"],
        "head_dim": shape["head_dim"],
        "q_rank": reader.count("q_lora_rank"),
        "output_groups": groups,
        "output_rank": reader.count("o_lora_rank"),
        "tokens": reader.count("sliding_window"),
    }
    indexer = {
        "top_k": reader.count("index_topk"),
        "heads": reader.count("index_n_heads"),
        "head_dim": reader.count("index_head_dim"),
    }
    rates = _rates(reader)
    of_kind: dict[str, dict[str, Any]] = {
        WINDOW: {},
        _SPARSE: {"ratio": rates[_SPARSE], "overlap": True, "indexer": indexer},
        _HEAVY: {"ratio": rates[_HEAVY]},
    }
    of_kind = {kind: attention | own for kind, own in of_kind.items()}
    keys = with_layers(reader, shape, _kinds(reader), of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def _same_widths(reader: ConfigKeys, width: int) -> None:
    """Note a fault if a head is not as wide as its parts with and without rotary embedding."""
    rotary = reader.count("qk_rope_head_dim", default=0, least=0)
    plain = reader.count("qk_nope_head_dim", default=width - rotary, least=0)
    if plain + rotary != width:
        reader.fault(
            f"qk_nope_head_dim: got {plain}; expected head_dim without qk_rope_head_dim, {width - rotary}"
        )


def _rates(reader: ConfigKeys) -> dict[str, int]:
    """Return the number of tokens per entry by kind of layer."""
    written = reader.mapping("compress_rates")
    return {
        kind: reader.count(kind, default=reader.count(key, default=usual), among=written)
        for kind, (key, usual) in _RATES.items()
    }


def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of each layer."""
    ahead = reader.count("num_nextn_predict_layers", default=1, least=0)
    ratios = reader.entries("compress_ratios")
    if ratios and len(ratios) not in (reader.layers, reader.layers + ahead):
        reader.fault(
            f"compress_ratios: got a list of {len(ratios)}; expected {reader.layers} entries, one per layer, or {ahead} more with multi-token prediction"
        )
    if strange := [one for one in ratios if not isinstance(one, int) or one not in _BY_RATIO]:
        reader.fault(f"compress_ratios: got {shown(strange[0])}; expected 0, 4 and 128")
        ratios = []
    by_ratio = [_BY_RATIO[ratio] for ratio in ratios[: reader.layers]]
    kinds = listed_kinds(reader, "layer_types", (WINDOW, _SPARSE, _HEAVY))
    if kinds and by_ratio and kinds != by_ratio:
        reader.fault(
            "compress_ratios: got other layers than in layer_types; expected equal layers, or only one of the two keys"
        )
    by_default = [_SPARSE if layer > 1 and layer % 2 else _HEAVY for layer in range(reader.layers)]
    return kinds or by_ratio or by_default
