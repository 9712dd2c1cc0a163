"""Requests of a config.json that are not simulated, by key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.families import FAMILIES, REFUSED_TYPES
from cluster_sim.llm.config_files.known_keys import asks, is_known, speaks_of_architecture
from cluster_sim.llm.config_files.mixed import mixed_reader

_MOST_NAMED = 4  # maximum number of keys in one message
_FIRST = (
    "hybrid_override_pattern", "layers_block_type", "attn_layer_period", "full_attention_interval", "index_topk",
    "hybrid_layer_pattern", "compress_ratios", "global_head_dim",
)  # fmt: skip
"""Keys that a message names first."""


def _any(_: Any) -> bool:
    return True


def _not_all_ones(value: Any) -> bool:
    return not (isinstance(value, list) and all(one == 1 for one in value))


_REFUSED: tuple[tuple[re.Pattern[str], str, Callable[[Any], bool]], ...] = tuple(
    (re.compile(pattern), meaning, matters)
    for pattern, meaning, matters in (
        (r"hybrid_override_pattern|layers_block_type|block_types?|mamba_(?!hidden).*|ssm_.*|attn_layer_(period|offset|indices)|expert_layer_(period|offset)|state_size|conv_kernel|conv_L_cache|time_step_rank|attention_hidden_size|rescale_every|lru_width",
         "layers with a state (Mamba, RWKV, convolutions)", _any),
        (r"full_attention_interval", "layers of linear attention", lambda value: value != 1),
        (r"full_attn_mod", "layers of another kind of attention between layers of full attention", lambda value: value != 1),
        (r"attn_type_list", "layers of linear attention", _not_all_ones),
        (r"linear_attn_config|linear_(conv|key|value|num)_.*|lightning.*|kda_.*|full_attn_(?!(alpha|beta)_factor|mod$).*", "layers of linear attention", _any),
        (r"index_.*|indexer_types|sparse_attention_config|nsa_.*|moba_.*|sparse_config|dsa_.*", "sparse attention", _any),
        (r"compress_ratios|compress_rope_theta|o_lora_rank|hc_mult", "a compressed KV cache", _any),
        (r"attention_chunk_size", "attention to chunks of the context", _any),
        (r"cross_attention_layers|cross_attn_.*", "layers that attend to images", _any),
        (r"global_head_dim|num_global_key_value_heads|hybrid_layer_pattern|swa_(num|head|v_head).*|block_configs|attention_other_setting|num_query_heads|intermediate_sizes",
         "layers that differ in heads or widths", _any),
        (r"moe_latent_size|routed_expert_hidden_size", "experts in a latent space", _any),
        (r"enable_moe_block|parallel_attn_mlp_res|moe_residual|use_residual_moe", "a dense feed-forward part in parallel to experts", _any),
        (r"hidden_size_per_layer_input|altup_.*|laurel_.*|num_kv_shared_layers|use_double_wide_mlp|cla_share_factor|use_cla",
         "layers that share a KV cache or have additional inputs", _any),
        (r"zero_expert_num|zero_expert_type", "experts that compute nothing", _any),
        (r"mlp_type", "feed-forward parts of another kind", lambda value: value != "default"),
        (r"ffn_(dim_)?multipliers?", "layers that differ in heads or widths", _any),
        (r"add_cross_attention|is_encoder_decoder|encoder_layers|decoder_layers|num_decoder_layers|d_kv", "an encoder and a decoder with cross-attention", _any),
    )
)  # fmt: skip


def refusals(reader: ConfigKeys) -> Iterator[str]:
    """Yield a message for each kind of layer of the file that is not simulated.

    A key that is null, false, 0 or empty requests nothing. Each message names its first keys.
    """
    refused = _refused_keys(reader)
    for meaning, keys in refused.items():
        keys.sort(key=lambda key: key not in _FIRST)
        yield f"{_named(keys)}: got {shown(reader.config[keys[0]])}, {meaning}; not simulated yet"
    if refused or reader.model_type in FAMILIES:
        return
    for pattern, meaning in REFUSED_TYPES:
        if pattern.fullmatch(reader.model_type.lower()):
            end = "" if meaning.startswith("an encoder;") else "; not simulated yet"
            yield f"model_type: got {shown(reader.model_type)}, {meaning}{end}"
            return


def _refused_keys(reader: ConfigKeys) -> dict[str, list[str]]:
    """Return the keys that request parts that are not simulated, by the name of the part."""
    refused: dict[str, list[str]] = {}
    mixed = mixed_reader(reader)
    for key, value in reader.config.items():
        if mixed is not None and key in mixed.keys:
            continue
        for pattern, meaning, matters in _REFUSED:
            if pattern.fullmatch(str(key)):
                reader.looked_up.add(key)
                if asks(value) and matters(value):
                    refused.setdefault(meaning, []).append(str(key))
    return refused


def unknown_keys(reader: ConfigKeys) -> Iterator[str]:
    """Yield a message for unknown keys whose names describe the architecture.

    Only keys of the language model count; the keys around it describe images and sound.
    """
    unused = reader.family.unused if reader.family is not None else ()
    keys = [
        str(key)
        for key, value in reader.own.items()
        if asks(value)
        and key not in unused
        and key not in reader.looked_up
        and speaks_of_architecture(str(key))
        and not is_known(str(key))
    ]
    of_others = [key for key in keys if not reader.has(key) and key in reader.passed_over]
    strange = [key for key in keys if key not in of_others]
    if strange:
        yield f"{_named(strange)}: got {shown(reader.own[strange[0]])}; expected known keys: the effect of these is not simulated yet"
    if of_others:
        yield f"{_named(of_others)}: got {shown(reader.own[of_others[0]])}; expected keys of {reader.model_type}: its configuration class ignores these keys, which other families read"


def _named(keys: list[str]) -> str:
    more = len(keys) - _MOST_NAMED
    return ", ".join(keys[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
