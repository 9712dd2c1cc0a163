"""Families with dense feed-forward parts in parallel to experts: LongCat-Flash, Snowflake Arctic.

A layer of LongCat-Flash (arXiv 2509.01322; `configuration_longcat_flash.py` of transformers 5.24)
has two latent attentions, two dense parts, and experts in parallel to the first dense part. It
counts as two layers here. Some of its experts compute nothing. In Arctic (`configuration_arctic.py`
of vLLM 0.10) a layer with experts also has a dense part as wide as the hidden states if
`use_residual` is set.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import FULL, heads_of, with_layers

LONGCAT_KEYS = frozenset({"zero_expert_num", "zero_expert_type"})
"""Keys of experts that compute nothing."""
ARCTIC_KEYS = frozenset({"use_residual", "parallel_attn_mlp_res"})
"""Keys of dense parts in parallel to experts."""
_LATENT = "latent"


def read_longcat(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of LongCat-Flash."""
    written = _layers(reader)
    reader.layers = 2 * written
    shape = shape_of(reader)
    reader.looked_up.update(("head_dim", "attention_method", "num_key_value_heads"))
    latent = shape.get("latent", {})
    if not latent:
        reader.fault("kv_lora_rank: expected the width of the latent vector")
    attention = {"kind": "latent", "heads": shape["heads"], **latent}
    keys = with_layers(reader, shape, [_LATENT] * reader.layers, {_LATENT: attention})
    reader.notes.append(
        f"num_layers: each of the {written} layers counts as two, because it has two attentions and two dense parts; "
        "the overlap of its experts with the second dense part is not simulated"
    )
    return keys | _longcat_experts(reader, written)


@about("layers")
def _layers(reader: ConfigKeys) -> int:
    """Return the number of layers in the unit of the file."""
    written = reader.count("num_layers")
    doubled = reader.count("num_hidden_layers", default=written)
    if doubled not in (written, 2 * written):
        reader.fault(
            f"num_hidden_layers: got {doubled}; expected num_layers, {written}, or twice as many"
        )
    return written


@about("feed_forward")
def _longcat_experts(reader: ConfigKeys, layers: int) -> dict[str, Any]:
    """Return the experts in every second layer, and the dense parts.

    The number of experts per token is the mean number that compute.
    """
    count = reader.count("n_routed_experts", "num_local_experts")
    top_k = reader.count("moe_topk", "num_experts_per_tok")
    idle = reader.count("zero_expert_num", default=0, least=0)
    if reader.value("zero_expert_type")[1] not in (None, "identity"):
        reader.fault("zero_expert_type: expected 'identity'")
    if top_k > count + idle:
        reader.fault(
            f"moe_topk: got {top_k}; expected at most the number of experts, {count + idle}"
        )
    computing = min(max(round(top_k * count / (count + idle)), 1), count)
    if idle:
        reader.notes.append(
            f"zero_expert_num: {idle} of {count + idle} experts compute nothing; a token is routed to {top_k}, of which {computing} are assumed to compute"
        )
    experts = {
        "count": count,
        "top_k": computing,
        "ffn": reader.count("expert_ffn_hidden_size", "moe_intermediate_size"),
        "layers": layers,
    }
    width = reader.count("ffn_hidden_size", "intermediate_size")
    reader.order.experts = [True, False] * layers
    reader.order.dense = [0] * (2 * layers)
    return {"experts": experts, "dense": [{"layers": 2 * layers, "ffn": width}]}


def read_arctic(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Snowflake Arctic."""
    shape = shape_of(reader)
    reader.looked_up.update(("parallel_attn_mlp_res", "moe_token_dropping", "moe_min_capacity"))
    kinds = [FULL] * reader.layers
    keys = with_layers(reader, shape, kinds, {FULL: heads_of(reader, "full", shape)})
    return keys | _arctic_experts(reader, shape["hidden"])


@about("feed_forward")
def _arctic_experts(reader: ConfigKeys, hidden: int) -> dict[str, Any]:
    """Return the experts in each n-th layer, and the dense parts of all layers."""
    keys = feed_forward_of(reader, hidden)
    experts = keys.get("experts")
    if experts is None:
        return keys
    every = reader.count("moe_layer_frequency", default=2)
    beside = reader.truth("use_residual", default=False)
    has = [(layer + 1) % every == 0 for layer in range(reader.layers)]
    widths = [(hidden if beside else 0) if one else experts["ffn"] for one in has]
    parts = [{"ffn": width} if width else None for width in widths]
    experts |= {"dense_layers": 0, "layers": has.count(True)}
    reader.order.experts = has
    return keys | {"dense": reader.order.feeding(parts)}
