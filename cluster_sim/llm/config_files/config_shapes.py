"""Widths, heads, latent attention and windows of a config.json."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

from cluster_sim.errors import shown
from cluster_sim.limits import LAYERS
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.derived_keys import compare_derived_keys

_FULL, _WINDOW = "full_attention", "sliding_attention"
HEAD_WIDTHS = ("head_dim", "kv_channels", "attention_head_dim")
"""Keys of the width of one head."""
_KV_HEADS = (
    "num_key_value_heads",
    "num_kv_heads",
    "multi_query_group_num",
    "num_attention_groups",
)


def shape_of(reader: ConfigKeys) -> dict[str, Any]:
    """Return the widths and counts of every model, and latent attention if the model has it."""
    layers = count_layers(reader)
    hidden = _hidden(reader)
    heads = reader.count("num_attention_heads", "n_heads", "n_head")
    _same_width(reader, hidden)
    latent = _latent(reader)
    # with latent attention a head is as wide as its value; keys have another width
    head_dim = reader.count(*HEAD_WIDTHS, default=max(hidden // heads, 1))
    _fits(reader, hidden, heads, 0 if latent else head_dim)
    if latent:
        head_dim = latent["latent"]["v_dim"]
    kv_heads = _kv_heads(reader, heads)
    if heads % kv_heads and not reader.faults:
        key, _ = reader.value(*_KV_HEADS)
        reader.fault(f"{key}: got {kv_heads}; expected a divisor of the number of heads, {heads}")
    shape = {
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "vocabulary": _vocabulary(reader),
        "max_context": _max_context(reader),
        "tied_embeddings": _tied(reader),
        **latent,
        **_positions(reader),
    }
    compare_derived_keys(reader, shape)
    return shape


@about("hidden")
def _hidden(reader: ConfigKeys) -> int:
    """Return the width of the hidden states."""
    return reader.count("hidden_size", "d_model", "n_embd", "n_embed")


@about("vocabulary")
def _tied(reader: ConfigKeys) -> bool:
    """Return whether embedding and output head share their weights."""
    default = reader.family is not None and reader.family.tied
    return reader.truth("tie_word_embeddings", default=default)


def _fits(reader: ConfigKeys, hidden: int, heads: int, head_dim: int) -> None:
    """Note a fault if heads do not divide their width, or have an odd width."""
    if reader.faults:
        return
    key, width = reader.value(*HEAD_WIDTHS)
    if head_dim and width is None and hidden % heads:
        name, _ = reader.value("hidden_size", "d_model", "n_embd", "n_embed")
        reader.fault(f"{name}: got {hidden}; expected a multiple of the number of heads, {heads}")
    elif head_dim % 2 and width is not None:
        reader.fault(
            f"{key}: got {head_dim}; expected an even number, which rotary embedding needs"
        )


@about("layers")
def count_layers(reader: ConfigKeys) -> int:
    """Return the number of layers; lists of the file must have one entry per layer."""
    if not reader.layers:
        layers = reader.count("num_hidden_layers", "num_layers", "n_layers", "n_layer")
        if layers > LAYERS.most:
            reader.fault(
                f"num_hidden_layers: got {shown(layers)}; expected at most {LAYERS.most:,}: {LAYERS.why}"
            )
            layers = 1
        reader.layers = layers
    return reader.layers


def _same_width(reader: ConfigKeys, hidden: int) -> None:
    """Note a fault if the embedding is not as wide as the layers (OPT 350M)."""
    width = reader.count("word_embed_proj_dim", default=hidden)
    if width != hidden:
        reader.fault(
            f"word_embed_proj_dim: got {width}; expected {hidden}, the hidden_size: embeddings of another width are not simulated yet"
        )


def _kv_heads(reader: ConfigKeys, heads: int) -> int:
    """Return the number of key and value heads, from the keys of the family."""
    if reader.model_type == "falcon" and not reader.truth(
        "new_decoder_architecture", default=False
    ):
        reader.count("num_kv_heads", default=heads)  # unused in this variant
        return 1 if reader.truth("multi_query", default=True) else heads
    if reader.model_type == "gpt_bigcode":
        return 1 if reader.truth("multi_query", default=True) else heads
    reader.value("new_decoder_architecture")
    if reader.model_type == "falcon":
        reader.value("multi_query")
    attention = reader.mapping("attn_config")
    if reader.given("multi_query_attention"):
        groups = reader.truth("multi_query_attention", default=True)
        counted = reader.count("multi_query_group_num", default=1)
        return counted if groups else heads
    key = "kv_n_heads"
    if attention.get("attn_type") == "multiquery_attention":
        return 1
    if key in attention:
        return reader.count(key, among=attention)
    family = reader.family
    as_heads = family is not None and family.kv_as_heads
    return reader.count(*_KV_HEADS, default=heads if as_heads else None)


@about("vocabulary")
def _vocabulary(reader: ConfigKeys) -> int:
    """Return the number of rows of the embedding; chatglm pads the vocabulary."""
    if reader.given("padded_vocab_size"):
        reader.value("vocab_size")
        return reader.count("padded_vocab_size")
    return reader.count("vocab_size")


@about("max_context")
def _max_context(reader: ConfigKeys) -> int:
    """Return the maximum context. Cohere's files list it apart from the length of the training."""
    longer = "model_max_length"
    first = (longer,) if reader.model_type == "cohere" and reader.config.get(longer) else ()
    for key in (*first, "max_position_embeddings", "max_seq_len", "seq_length", "n_positions"):
        if reader.given(key):
            return reader.count(key)
    return reader.count("max_position_embeddings", "model_max_length", "max_sequence_length")


def _positions(reader: ConfigKeys) -> dict[str, int]:
    """Return the number of learned positions; empty for a model without them."""
    kind = reader.family.positions if reader.family is not None else ""
    if not kind:
        return {}
    unused = 2 if kind == "learned_and_two" else 0
    return {"positions": _max_context(reader) + unused}


def _latent(reader: ConfigKeys) -> dict[str, Any]:
    """Return latent attention; empty for a model without it."""
    if not reader.given("kv_lora_rank") or not reader.truth("use_mla", default=True):
        if not (reader.family and reader.family.mixed):
            _same_values(reader)
        return {}
    if reader.count("qk_rope_head_dim", least=0) % 2:
        reader.fault("qk_rope_head_dim: expected an even number, which rotary embedding needs")
    # only MiniCPM3 derives the width of values from that of the hidden states
    values = None
    if reader.model_type == "minicpm3":
        heads = reader.count("num_attention_heads", "n_heads", "n_head")
        values = max(_hidden(reader) // heads, 1)
    return {
        "latent": {
            "q_rank": reader.count("q_lora_rank", default=0),
            "kv_rank": reader.count("kv_lora_rank"),
            "rope_dim": reader.count("qk_rope_head_dim"),
            "nope_dim": reader.count("qk_nope_head_dim"),
            "v_dim": reader.count("v_head_dim", default=values),
        }
    }


def _same_values(reader: ConfigKeys) -> None:
    """Note a fault if values are not as wide as keys."""
    _, keys = reader.value("head_dim")
    _, values = reader.value("v_head_dim")
    config = reader.config
    if values is not None and "v_head_dim" in config and values not in (keys, 0):
        reader.fault(
            f"v_head_dim: got {shown(values)}; expected the width of keys, {shown(keys)}: values of another width are not simulated yet"
        )


def window_of(reader: ConfigKeys, shape: dict[str, Any]) -> dict[str, Any]:
    """Return the layers with a sliding window; empty for a model without them."""
    layers = reader.layers
    kinds = _kinds(reader)
    tokens = reader.count("sliding_window", "sliding_window_size", default=0, least=0)
    family = reader.family
    is_off = family is not None and family.windows == "off"
    _, flag = reader.value("use_sliding_window")
    is_used = reader.truth("use_sliding_window", default=not is_off)
    last = reader.count("max_window_layers", default=0, least=0)
    if kinds:
        count = kinds.count(_WINDOW)
        if count and not tokens:
            reader.fault(
                "sliding_window: is missing; expected the number of tokens in the window of sliding_attention layers"
            )
        return {"window": {"tokens": max(tokens, 1), "layers": count}} if count else {}
    if any(fault.startswith("sliding_window: got") for fault in reader.faults):
        return {}
    if not tokens or not is_used or tokens >= shape["max_context"]:
        return {}
    every = family.full_every if family is not None else 0
    every = reader.count(
        "sliding_window_pattern", "_sliding_window_pattern", default=every, least=0
    )
    if every:
        count = layers - layers // every
    elif reader.model_type == "qwen2_moe":  # every second one of the first max_window_layers
        count = (min(last, layers) + 1) // 2
    elif reader.model_type == "smollm3":  # layers without rotary positions
        interval = reader.count("no_rope_layer_interval", default=4)
        rotary = reader.one_per_layer("no_rope_layers")
        rotary = rotary or [(layer + 1) % interval for layer in range(layers)]
        count = sum(1 for has in rotary if not has)
    elif flag is not None:  # Qwen2: layers after the first max_window_layers
        count = max(layers - last, 0)
    elif family is not None and family.windows == "all":
        count = layers
    else:
        reader.fault(
            f"sliding_window: got {tokens}; expected layer_types or sliding_window_pattern in addition, to know which layers have the window"
        )
        count = layers
    return {"window": {"tokens": tokens, "layers": count}} if count else {}


def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of attention of each layer; empty if the file does not list it."""
    kinds = [str(kind) for kind in reader.one_per_layer("layer_types")]
    if strange := sorted(set(kinds) - {_FULL, _WINDOW}):
        reader.fault(
            f"layer_types: got {', '.join(map(shown, strange))}; expected full_attention and sliding_attention: other kinds of layers are not simulated yet"
        )
    _, pattern = reader.value("sliding_window_pattern")
    if not kinds and isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        # EXAONE 4: local and global layers in turns; the last is global
        turns = list(islice(cycle(pattern), reader.layers))
        turns[-1] = "G"
        kinds = [_WINDOW if turn == "L" else _FULL for turn in turns]
    elif kinds:
        reader.value("sliding_window_pattern", "_sliding_window_pattern")
    return kinds
