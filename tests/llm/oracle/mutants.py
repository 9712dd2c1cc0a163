"""Single changes of a configuration, as slips of the pen and other tools make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple

Config = dict[str, Any]

COUNT = 31
"""Number of mutants of a configuration."""
NESTS = ("thinker_config", "text_config")


class Mutant(NamedTuple):
    """A configuration with a single change, and what was changed."""

    name: str
    config: Config


def mutants(family: str, config: Config) -> list[Mutant]:
    """Return the mutants of a configuration; the same ones at every call."""
    rng, seen, found = Random(f"mutants of {family}"), [config], []
    kinds = [kind for kind, count in _KINDS for _ in range(count)]
    for kind in (*kinds, *[_other_number, _other_type] * COUNT):
        if len(found) == COUNT:
            break
        made = deepcopy(config)
        name = kind(rng, made)
        if name and made not in seen:
            seen.append(made)
            found.append(Mutant(f"{len(found) + 1:02d} {name}", made))
    return found


def language_model(config: Config) -> Config:
    """Return the innermost mapping, which is the language model's own."""
    for key in NESTS:
        if isinstance(config.get(key), dict):
            return language_model(config[key])
    return config


def _numbers(text: Config) -> list[str]:
    return sorted(key for key, value in text.items() if type(value) is int)


def _keys(text: Config) -> list[str]:
    return sorted(text.keys() - {"model_type"})


def _leaves_out(rng: Random, config: Config) -> str:
    text = language_model(config)
    key = rng.choice(_keys(text))
    del text[key]
    return f"without {key}"


def _other_number(rng: Random, config: Config) -> str:
    text = language_model(config)
    key = rng.choice(_numbers(text))
    value = text[key]
    text[key] = rng.choice([value * 2, value + 1, max(value // 2, 1), value + 2, 0, -value])
    return f"{key} {text[key]}"


def _other_type(rng: Random, config: Config) -> str:
    text = language_model(config)
    key = rng.choice(_keys(text))
    value = text[key]
    text[key] = rng.choice([str(value), [value], {"value": value}, "x", 1.5, True, [], -1])
    return f"{key} {text[key]!r}"[:60]


def _null(rng: Random, config: Config) -> str:
    text = language_model(config)
    key = rng.choice(_keys(text))
    text[key] = None
    return f"{key} null"


def _list(rng: Random, config: Config) -> str:
    """Make a list too short or too long, or one of a number."""
    text = language_model(config)
    lists = sorted(key for key, value in text.items() if isinstance(value, list) and value)
    if lists and rng.random() < 0.7:
        key = rng.choice(lists)
        value = text[key]
        text[key] = rng.choice([value[:-1], [*value, value[0]], value * 2, value[:1]])
        return f"{key} of {len(text[key])}"
    key = rng.choice(_numbers(text))
    value, layers = text[key], _layers(text)
    text[key] = rng.choice(
        [[value] * layers, [value] * (layers - 1), [value] * (layers - 1) + [value * 2]]
    )
    return f"{key} a list of {len(text[key])}"


def _layers(text: Config) -> int:
    names = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
    return next((text[name] for name in names if name in text), 6)


def _kinds_of_layers(rng: Random, config: Config) -> str:
    text = language_model(config)
    layers = _layers(text)
    known = ["full_attention", "sliding_attention"]
    other = ["linear_attention", "chunked_attention", "conv", "sliding"]
    kinds = rng.choice([known, known, known[:1], [*known, rng.choice(other)]])
    text["layer_types"] = [rng.choice(kinds) for _ in range(layers)]
    if rng.random() < 0.6:
        text["sliding_window"] = rng.choice([512, 2048])
    return "layer_types " + "".join(kind[0] for kind in text["layer_types"])


_UNKNOWN: Config = {
    "num_memory_blocks": 3, "attention_stride": 2, "layer_repeats": 2, "expert_rank": 64, "mixer_pattern": "AABB", "kv_share_every": 2,
    "mamba_d_state": 16, "index_topk": 512, "cross_attention_layers": [1], "num_kv_shared_layers": 2, "attention_chunk_size": 512,
    "linear_num_key_heads": 4, "hidden_size_per_layer_input": 64, "moe_latent_size": 128, "zero_expert_num": 4, "num_loops": 2,
    "mlp_bypass_layers": [1, 2], "full_attention_interval": 3, "global_head_dim": 160, "enable_moe_block": True,
    "compress_ratios": [0, 4], "hybrid_layer_pattern": [0, 1, 1, 0, 1, 1], "conv_L_cache": 3, "layers_block_type": ["mamba"] * 6,
}  # fmt: skip


def _unknown_key(rng: Random, config: Config) -> str:
    key = rng.choice(sorted(_UNKNOWN))
    text = language_model(config)
    if key in text:
        return ""
    text[key] = deepcopy(_UNKNOWN[key])
    return f"with {key}"


_OTHERS: dict[str, tuple[Any, ...]] = {
    "sliding_window": (1024, 100_000), "use_sliding_window": (True, False), "num_experts": (4, 0), "n_routed_experts": (4,),
    "num_local_experts": (4,), "kv_lora_rank": (64,), "head_dim": (112,), "v_head_dim": (64,), "num_nextn_predict_layers": (1,),
    "attention_bias": (True,), "tie_word_embeddings": (True, False), "first_k_dense_replace": (1,), "moe_intermediate_size": (320,),
    "shared_expert_intermediate_size": (640,), "intermediate_size": (2048,), "ffn_hidden_size": (2048,), "n_inner": (2048,),
    "hidden_act": ("relu2", "silu"), "max_window_layers": (3,), "sliding_window_pattern": (2, "LG"), "qk_rope_head_dim": (16,),
    "partial_rotary_factor": (0.25,), "n_shared_experts": (1,), "num_key_value_heads": (2,), "multi_query": (True,),
    "layer_types": (["full_attention"] * 6,), "mlp_layer_types": (["dense"] * 3 + ["sparse"] * 3,), "decoder_sparse_step": (2,),
    "moe_layer_freq": (2,), "mlp_only_layers": ([0],), "add_cross_attention": (True,), "is_encoder_decoder": (True,),
}  # fmt: skip


def _key_of_others(rng: Random, config: Config) -> str:
    """Add a key of other families."""
    key = rng.choice(sorted(_OTHERS))
    text = language_model(config)
    if key in text:
        return ""
    text[key] = deepcopy(rng.choice(_OTHERS[key]))
    return f"with {key} {text[key]}"[:60]


_SPELLINGS = (
    ("num_hidden_layers", "n_layers", "n_layer", "num_layers"),
    ("hidden_size", "n_embd", "d_model"),
    ("num_attention_heads", "n_head", "n_heads"),
    ("num_key_value_heads", "num_kv_heads", "multi_query_group_num", "num_attention_groups"),
    ("head_dim", "kv_channels", "attention_head_dim"),
    ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    ("num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_k", "moe_topk"),
    ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"),
    ("moe_intermediate_size", "expert_intermediate_size"),
    ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length"),
    ("sliding_window", "sliding_window_size", "attention_window_size"),
)


def _other_spelling(rng: Random, config: Config) -> str:
    text = language_model(config)
    there = [(names, name) for names in _SPELLINGS for name in names if name in text]
    names, name = rng.choice(there)
    other = rng.choice([one for one in names if one != name])
    text[other] = text.pop(name)
    return f"{name} as {other}"


def _positions(rng: Random, config: Config) -> str:
    """Write the rotary embedding and the type as transformers did before or since version 5."""
    text = language_model(config)
    for key in ("rope_theta", "rope_scaling", "rope_parameters"):
        text.pop(key, None)
    if rng.random() < 0.5:
        text["rope_parameters"] = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}
        text["dtype"] = "bfloat16"
        return "rope_parameters"
    text["rope_scaling"] = {"type": "linear", "factor": 4.0}
    text["rope_theta"] = 10_000.0
    text["torch_dtype"] = "float16"
    return "rope_scaling"


def _nest(rng: Random, config: Config) -> str:
    """Put a configuration inside that of a model of images, or take it out."""
    text = language_model(config)
    if text is not config:
        inner = deepcopy(text)
        config.clear()
        config.update(inner)
        return "taken out"
    inner = dict(config)
    config.clear()
    config.update({"model_type": "llava", "text_config": inner})
    if "tie_word_embeddings" in inner:
        config["tie_word_embeddings"] = inner["tie_word_embeddings"]
    return "inside llava"


_KINDS: tuple[tuple[Callable[[Random, Config], str], int], ...] = (
    (_leaves_out, 7),
    (_other_number, 5),
    (_other_type, 4),
    (_null, 3),
    (_list, 2),
    (_kinds_of_layers, 2),
    (_unknown_key, 2),
    (_key_of_others, 4),
    (_other_spelling, 2),
    (_positions, 1),
    (_nest, 1),
)


def all_mutants(configs: dict[str, Config]) -> Iterator[tuple[str, Mutant]]:
    """Yield the mutants of all configurations with their families."""
    for family, config in configs.items():
        for mutant in mutants(family, config):
            yield family, mutant
