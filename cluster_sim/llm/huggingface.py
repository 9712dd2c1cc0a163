"""Models read from a Hugging Face config.json."""

from __future__ import annotations

import json
from typing import Any

from cluster_sim.errors import Fault, ScenarioError, shown
from cluster_sim.schema import Document, FromFile, catalog_names, find, named, read_json

_MOST_LAYERS = 10_000

_FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6}
"""By model type: each n-th layer sees the whole context, where the file does not say."""


def read_model(value: Any) -> Any:
    """Return what a model key stands for, ready to be validated as a `Model`.

    It is a catalog name, the path of a config.json or of a YAML file, or a mapping of Model's keys.

    Raises
    ------
    ValueError
        The value is none of these.
    ScenarioError
        A config.json is wrong.
    """
    if (
        not isinstance(value, str)
        or value in catalog_names("models")
        or not value.endswith(".json")
    ):
        return named("models", value)
    path = find(value)
    if path is None:
        raise ValueError(f"no file {shown(value)}")
    name = path.parent.name if path.name == "config.json" else path.stem
    try:
        keys = from_hugging_face(read_json(path), name)
    except ScenarioError:
        raise
    except ValueError as fault:
        raise ScenarioError([Fault(str(path), line) for line in str(fault).splitlines()]) from fault
    return FromFile(Document(keys, str(path)))


def from_hugging_face(config: Any, name: str) -> dict[str, Any]:
    """Return the keys of a `Model` from a Hugging Face `config.json`.

    Dense and grouped-query models, experts, latent attention, sliding windows and quantised
    checkpoints are known.

    Parameters
    ----------
    config
        Content of the file.
    name
        Name of the model where the file has none.

    Raises
    ------
    ValueError
        Keys are missing or wrong, or layers are not simulated; one line per fault.
    """
    if not isinstance(config, dict):
        raise ValueError(
            f"came {shown(config)}; wanted a mapping, as a Hugging Face config.json holds"
        )
    if isinstance(config.get("text_config"), dict):
        # multimodal models keep the language model inside
        config = {**config, **config["text_config"]}
    reader = _Config(config)
    keys: dict[str, Any] = {"name": str(config.get("_name_or_path") or name)} | _shape(reader)
    layers = keys["layers"]
    keys |= _feed_forward(reader, layers) | _window(reader, layers) | _quantisation(reader)
    if reader.faults:
        raise ValueError("\n".join(reader.faults))
    return keys


class _Config:
    """A config.json and its faults. A null counts as left out, as in transformers."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.faults: list[str] = []

    def count(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """Return the whole number under the first of `keys` that is there, or else `default`.

        A missing number without default is a fault, as is a value that is no number.
        """
        key = next((key for key in keys if self.config.get(key) is not None), None)
        if key is None:
            if default is None:
                self.faults.append(f"'{' or '.join(keys)}' is missing; wanted a whole number")
            return least if default is None else default
        value = self.config[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.faults.append(
                f"{key}: came {shown(value)}; wanted a whole number, {least} at least"
            )
            return max(least, 1)
        return value

    def truth(self, key: str, *, default: bool) -> bool:
        """Return the truth value under `key`, or else `default`."""
        value = self.config.get(key)
        if value is not None and not isinstance(value, bool):
            self.faults.append(f"{key}: came {shown(value)}; wanted true or false")
        return value if isinstance(value, bool) else default

    def entries(self, key: str) -> list[Any]:
        """Return the list under `key`; an empty one where there is none."""
        value = self.config.get(key)
        if value is not None and not isinstance(value, list):
            self.faults.append(f"{key}: came {shown(value)}; wanted a list")
        return value if isinstance(value, list) else []


def _shape(reader: _Config) -> dict[str, Any]:
    """Return the widths and counts that every model has, and latent attention where it has it."""
    layers, hidden = reader.count("num_hidden_layers"), reader.count("hidden_size")
    heads = reader.count("num_attention_heads")
    latent = _latent(reader)
    # with latent attention a head is as wide as its value; keys have a width of their own
    head_dim = (
        latent["latent"]["v_dim"]
        if latent
        else reader.count("head_dim", default=max(hidden // heads, 1))
    )
    is_gemma = str(reader.config.get("model_type")).startswith("gemma")
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": reader.count("num_key_value_heads", default=heads),
        "head_dim": head_dim,
        "vocabulary": reader.count("vocab_size"),
        "max_context": reader.count("max_position_embeddings", default=131072),
        "tied_embeddings": reader.truth("tie_word_embeddings", default=is_gemma),
    } | latent


def _feed_forward(reader: _Config, layers: int) -> dict[str, Any]:
    """Return the dense feed-forward part, and experts where there are some."""
    width = reader.count("intermediate_size", default=0, least=0)
    count = reader.count("n_routed_experts", "num_local_experts", "num_experts", default=0, least=0)
    if not count:
        return {"ffn": width}
    expert = reader.count("moe_intermediate_size", default=width)
    shared = reader.count("n_shared_experts", default=0, least=0)
    if side := reader.count("shared_expert_intermediate_size", default=0, least=0):
        shared = round(side / expert)  # Qwen2-MoE: one, as wide as several
    if "intermediate_size_mlp" in reader.config:  # Llama 4: a shared expert beside the routed ones
        width, shared = reader.count("intermediate_size_mlp"), 1
    dense = _dense_layers(reader, layers)
    experts = {
        "count": count,
        "top_k": reader.count("num_experts_per_tok", "experts_per_token", default=1),
        "shared": shared,
        "ffn": expert,
        "dense_layers": dense,
    }
    return {"experts": experts, "ffn": width if dense else 0}


def _dense_layers(reader: _Config, layers: int) -> int:
    """Return how many layers have no experts.

    They are some at the front, some that are listed, and all but each n-th.
    """
    if layers > _MOST_LAYERS:
        reader.faults.append(
            f"num_hidden_layers: came {shown(layers)}; wanted {_MOST_LAYERS} at most"
        )
        return 0
    front = reader.count("first_k_dense_replace", default=0, least=0)
    listed = reader.entries("mlp_only_layers")
    frequency = reader.config.get("moe_layer_freq")
    if isinstance(frequency, list):  # one entry per layer: whether it has experts
        return sum(not has for has in frequency[:layers])
    # layers n-1, 2n-1, … and layers 0, n, 2n, … have experts
    last_of = reader.count("decoder_sparse_step", "interleave_moe_layer_step", default=1)
    first_of = reader.count("moe_layer_freq", default=1)
    return sum(
        layer < front or layer in listed or (layer + 1) % last_of != 0 or layer % first_of != 0
        for layer in range(layers)
    )


def _latent(reader: _Config) -> dict[str, Any]:
    """Return latent attention, where there is some."""
    if reader.config.get("kv_lora_rank") is None:
        return {}
    return {
        "latent": {
            "q_rank": reader.count("q_lora_rank", default=0, least=0),
            "kv_rank": reader.count("kv_lora_rank"),
            "rope_dim": reader.count("qk_rope_head_dim", default=64),
            "nope_dim": reader.count("qk_nope_head_dim", default=128),
            "v_dim": reader.count("v_head_dim", default=128),
        }
    }


def _window(reader: _Config, layers: int) -> dict[str, Any]:
    """Return layers with a sliding window, where there are some."""
    kinds = [str(kind) for kind in reader.entries("layer_types")]
    if strange := sorted(set(kinds) - {"full_attention", "sliding_attention"}):
        reader.faults.append(
            f"layer_types: {', '.join(map(shown, strange))} is not simulated; wanted full_attention and sliding_attention"
        )
    tokens = reader.count("sliding_window", default=0, least=0)
    is_used = reader.truth("use_sliding_window", default=True)
    if not tokens or not is_used:
        return {}
    every = _FULL_EVERY.get(str(reader.config.get("model_type")), 0)
    every = reader.count("sliding_window_pattern", default=every, least=0)
    if kinds:
        count = sum(kind == "sliding_attention" for kind in kinds)
    elif every:
        count = layers - layers // every
    elif "use_sliding_window" in reader.config:  # Qwen2: layers after the first max_window_layers
        count = max(layers - reader.count("max_window_layers", default=0, least=0), 0)
    else:
        count = layers
    return {"window": {"tokens": tokens, "layers": count}} if count else {}


def _quantisation(reader: _Config) -> dict[str, Any]:
    """Return the precision of quantised weights; nothing where they are in 16 bit."""
    quantisation = reader.config.get("quantization_config")
    if not quantisation:
        return {}
    if not isinstance(quantisation, dict):
        reader.faults.append(f"quantization_config: came {shown(quantisation)}; wanted a mapping")
        return {}
    text, bits = json.dumps(quantisation).lower(), quantisation.get("bits")
    if "mxfp4" in text:
        return {"native": "fp4", "fp4_format": "mxfp4", "kept_bf16": ["embedding", "attention"]}
    if "nvfp4" in text or bits == 4 or '"num_bits": 4' in text or quantisation.get("load_in_4bit"):
        # int4 with group scales takes about as much: 4 bit and a scale per group
        return {"native": "fp4", "fp4_format": "nvfp4"}
    if "fp8" in text or bits == 8 or '"num_bits": 8' in text or quantisation.get("load_in_8bit"):
        return {"native": "fp8"}
    reader.faults.append(
        f"quantization_config: {shown(quantisation.get('quant_method'))} is not simulated; wanted 8 or 4 bit, fp8, nvfp4 or mxfp4"
    )
    return {}
