"""DeepSeek-V3.2, GLM-5, Hunyuan 4, Mistral Large 4: latent attention with an indexer.

A query attends to the tokens that the indexer chooses. Keys and defaults are those of
`configuration_deepseek_v32.py`, `configuration_glm_moe_dsa.py`, `configuration_hy_v4.py` and
`configuration_mistral_large4.py` of transformers 5.24. Layers of GLM-5 may reuse the choice of an
earlier layer: `indexer_types` lists them, or `index_topk_pattern` in letters, or they follow from
`index_topk_freq` and `index_skip_topk_offset`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of, flags_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import listed_kinds, with_layers

KEYS = frozenset({"index_topk", "index_n_heads", "index_head_dim"})
"""Keys of indexers."""
GLM_KEYS = KEYS | {
    "indexer_types", "index_topk_freq", "index_topk_pattern", "index_skip_topk_offset", "index_share_for_mtp_iteration",
}  # fmt: skip
"""Keys of indexers that several layers share."""
MISTRAL_KEYS = GLM_KEYS | {"kv_source_layers"}
"""Keys of Mistral Large 4's indexers, and of layers that share a KV cache."""
HY_KEYS = KEYS | {"indexer_types", "hc_mult"}
"""Keys of Hunyuan 4's indexers and streams of hidden states."""
_OWN, _SHARED = "full", "shared"
_LETTERS = {"F": _OWN, "S": _SHARED}
_NAMES = ("indexed_attention", "deepseek_sparse_attention")


def read_deepseek(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of DeepSeek-V3.2."""
    return _read(reader, lambda: [_OWN] * reader.layers)


def read_glm(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of GLM-5."""
    return _read(reader, lambda: _indexers(reader))


def read_hy(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Hunyuan 4, whose attention has an output gate.

    Without `indexer_types` the first two layers and every fourth one after the second have an
    indexer.
    """
    if (streams := reader.count("hc_mult")) > 1:
        reader.notes.append(
            f"hc_mult: the {streams} streams of hidden states and their mixing are not simulated"
        )
    return _read(reader, lambda: _of_hy(reader), gated=True)


def _of_hy(reader: ConfigKeys) -> list[str]:
    listed = _known(reader, "indexer_types", reader.one_per_layer("indexer_types"))
    layers = range(reader.layers)
    return listed or [_SHARED if layer and (layer - 1) % 4 else _OWN for layer in layers]


def read_mistral(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Mistral Large 4, whose queries are not compressed.

    Layers without positions keep no rotary part of keys. A 0 in `no_rope_layers` marks them;
    without that list, they are every fourth layer.
    """
    shape, attention, indexers = _parts(reader)
    key = "kv_source_layers"
    if reader.one_per_layer(key) not in ([], list(range(reader.layers))):
        reader.fault(
            f"{key}: expected the number of each layer itself: layers that share a KV cache are not simulated yet"
        )
    rotary, plain = attention["rope_dim"], attention["nope_dim"]
    interval = reader.count("no_rope_layer_interval", default=4)
    turns = [(layer + 1) % interval != 0 for layer in range(reader.layers)]
    has_rotary = flags_of(reader, "no_rope_layers") or turns
    parts = {True: {}, False: {"rope_dim": 0, "nope_dim": plain + rotary}}
    of_kind = {
        f"{kind} {has}": attention | parts[has] | {"indexer": indexer}
        for kind, indexer in indexers.items()
        for has in parts
    }
    kinds = [f"{kind} {has}" for kind, has in zip(_indexers(reader), has_rotary, strict=False)]
    keys = with_layers(reader, shape, kinds, of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def _read(
    reader: ConfigKeys, kinds: Callable[[], list[str]], *, gated: bool = False
) -> dict[str, Any]:
    shape, attention, indexers = _parts(reader)
    if not attention["q_rank"]:
        reader.fault(
            "q_lora_rank: is missing; expected the width from which index queries are projected"
        )
    attention["gated"] = gated
    of_kind = {kind: attention | {"indexer": indexer} for kind, indexer in indexers.items()}
    keys = with_layers(reader, shape, kinds(), of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def _parts(reader: ConfigKeys) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the shape, latent attention, and the indexers of layers that own or share one."""
    shape = shape_of(reader)
    listed_kinds(reader, "layer_types", _NAMES)
    latent = shape.get("latent")
    if latent is None:
        reader.fault("kv_lora_rank: is missing; expected the width of the latent vector")
        latent = {"q_rank": 1, "kv_rank": 1, "rope_dim": 1, "nope_dim": 1, "v_dim": 1}
    _same_widths(reader, latent)
    top_k = reader.count("index_topk")
    heads, width = reader.count("index_n_heads"), reader.count("index_head_dim")
    indexers = {
        _OWN: {"top_k": top_k, "heads": heads, "head_dim": width},
        _SHARED: {"top_k": top_k},
    }
    return shape, {"kind": "latent", "heads": shape["heads"], **latent}, indexers


def _same_widths(reader: ConfigKeys, latent: dict[str, int]) -> None:
    """Note a fault if the width of a key differs from the sum of its parts."""
    width = latent["nope_dim"] + latent["rope_dim"]
    written = reader.count("qk_head_dim", default=width)
    if written != width:
        reader.fault(
            f"qk_head_dim: got {written}; expected the sum of qk_nope_head_dim and qk_rope_head_dim, {width}"
        )


def _indexers(reader: ConfigKeys) -> list[str]:
    """Return for each layer whether it owns an indexer or shares that of an earlier layer."""
    reader.value("index_share_for_mtp_iteration")
    every = max(reader.count("index_topk_freq", default=1, least=0), 1)
    offset = reader.count("index_skip_topk_offset", default=2, least=0)
    key, pattern = reader.value("index_topk_pattern")
    types = reader.one_per_layer("indexer_types")
    if not types and pattern is not None:
        types = list(pattern) if isinstance(pattern, str | list) else [pattern]
        types = [_LETTERS.get(str(one), str(one)) for one in types]
        if len(types) != reader.layers:
            reader.fault(
                f"{key}: got {len(types)} entries; expected {reader.layers}, one per layer"
            )
    elif types:
        key = "indexer_types"
    else:
        key = "index_skip_topk_offset"
        layers = range(reader.layers)
        types = [_OWN if max(one - offset + 1, 0) % every == 0 else _SHARED for one in layers]
    return _known(reader, key, types)


def _known(reader: ConfigKeys, key: str, types: list[Any]) -> list[str]:
    """Return the indexers of layers; other names, and a first layer that shares one, are faults."""
    if strange := [one for one in types if one not in (_OWN, _SHARED)]:
        reader.fault(f"{key}: got {shown(strange[0])}; expected full and shared")
        return [_OWN] * reader.layers
    if types[:1] == [_SHARED]:
        reader.fault(
            f"{key}: got a first layer that shares an indexer; expected full for the first layer"
        )
    return types
