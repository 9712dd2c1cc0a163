"""Models read from a Hugging Face config.json."""

from __future__ import annotations

import json
from typing import Any

from cluster_sim.errors import Fault, ScenarioError, shown
from cluster_sim.schema import Document, FromFile, catalog_names, find, named, read_text

_MOST_LAYERS = 10_000


_PATTERNS = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3_text": 6,
}  # each n-th layer sees everything, where the file does not say


def read_model(came: Any) -> Any:
    """What a model key stands for: a catalog name, the path of a config.json or of a YAML file, or
    a mapping of Model's keys.

    Raises ValueError where it is none of these, ScenarioError for what is wrong in a config.json.
    """
    if not isinstance(came, str) or came in catalog_names("models") or not came.endswith(".json"):
        return named("models", came)
    path = find(came)
    if path is None:
        raise ValueError(f"no file {shown(came)}")
    try:
        config = json.loads(read_text(path))
    except json.JSONDecodeError as fault:
        raise ScenarioError.at(
            f"{path}:{fault.lineno}", f"is no JSON: {fault.msg[0].lower()}{fault.msg[1:]}"
        ) from fault
    except RecursionError as fault:
        raise ScenarioError.at(str(path), "is nested too deeply") from fault
    except ScenarioError:
        raise
    except ValueError as fault:  # a number of thousands of digits
        raise ScenarioError.at(str(path), "holds a number that is too long") from fault
    try:
        keys = from_hugging_face(
            config, path.parent.name if path.name == "config.json" else path.stem
        )
    except ValueError as fault:
        raise ScenarioError([Fault(str(path), line) for line in str(fault).splitlines()]) from fault
    return FromFile(Document(keys, str(path)))


def from_hugging_face(config: Any, name: str) -> dict[str, Any]:
    """Model's keys from a Hugging Face `config.json`: dense and grouped-query, experts, latent
    attention, windows, quantised.

    Raises ValueError with a line for each key that is missing or no whole number, and for layers
    that are not simulated.
    """
    if not isinstance(config, dict):
        raise ValueError(
            f"came {shown(config)}; wanted a mapping, as a Hugging Face config.json holds"
        )
    if isinstance(
        config.get("text_config"), dict
    ):  # multimodal models keep the language model inside
        config = {**config, **config["text_config"]}
    read = _Config(config)
    layers, hidden, heads = (
        read.count("num_hidden_layers"),
        read.count("hidden_size"),
        read.count("num_attention_heads"),
    )
    latent = _latent(read)
    # with latent attention a head is as wide as its value; the keys' width is told apart
    head_dim = (
        latent["latent"]["v_dim"]
        if latent
        else read.count("head_dim", default=max(hidden // heads, 1))
    )
    keys: dict[str, Any] = {
        "name": str(config.get("_name_or_path") or name),
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": read.count("num_key_value_heads", default=heads),
        "head_dim": head_dim,
        "vocabulary": read.count("vocab_size"),
        "max_context": read.count("max_position_embeddings", default=131072),
        "tied_embeddings": read.truth(
            "tie_word_embeddings", default=str(config.get("model_type")).startswith("gemma")
        ),
    }
    keys |= _feed_forward(read, layers) | latent | _window(read, layers) | _quantisation(read)
    if read.faults:
        raise ValueError("\n".join(read.faults))
    return keys


class _Config:
    """A config.json and what is wrong with it. A value that is null counts as left out, as
    transformers takes it.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.faults: list[str] = []

    def count(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """The whole number under the first of `keys` that is there; `default` where none is, a
        fault where that is None.
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
        """The truth value under `key`."""
        value = self.config.get(key)
        if value is not None and not isinstance(value, bool):
            self.faults.append(f"{key}: came {shown(value)}; wanted true or false")
        return value if isinstance(value, bool) else default

    def entries(self, key: str) -> list[Any]:
        """The list under `key`; an empty one where there is none."""
        value = self.config.get(key)
        if value is not None and not isinstance(value, list):
            self.faults.append(f"{key}: came {shown(value)}; wanted a list")
        return value if isinstance(value, list) else []


def _feed_forward(read: _Config, layers: int) -> dict[str, Any]:
    width = read.count("intermediate_size", default=0, least=0)
    count = read.count("n_routed_experts", "num_local_experts", "num_experts", default=0, least=0)
    if not count:
        return {"ffn": width}
    expert = read.count("moe_intermediate_size", default=width)
    shared = read.count("n_shared_experts", default=0, least=0)
    if side := read.count(
        "shared_expert_intermediate_size", default=0, least=0
    ):  # Qwen2-MoE: one, as wide as several
        shared = round(side / expert)
    if "intermediate_size_mlp" in read.config:  # Llama 4: a shared expert beside the routed ones
        width, shared = read.count("intermediate_size_mlp"), 1
    dense = _dense_layers(read, layers)
    experts = {
        "count": count,
        "top_k": read.count("num_experts_per_tok", "experts_per_token", default=1),
        "shared": shared,
        "ffn": expert,
        "dense_layers": dense,
    }
    return {"experts": experts, "ffn": width if dense else 0}


def _dense_layers(read: _Config, layers: int) -> int:
    """How many layers have no experts: some at the front, some that are listed, and all but each
    n-th.
    """
    if layers > _MOST_LAYERS:
        read.faults.append(
            f"num_hidden_layers: came {shown(layers)}; wanted {_MOST_LAYERS} at most"
        )
        return 0
    front = read.count("first_k_dense_replace", default=0, least=0)
    listed = read.entries("mlp_only_layers")
    frequency = read.config.get("moe_layer_freq")
    if isinstance(frequency, list):  # one entry a layer: whether it has experts
        return sum(not has for has in frequency[:layers])
    after = read.count(
        "decoder_sparse_step", "interleave_moe_layer_step", default=1
    )  # layers n-1, 2n-1, …
    every = read.count("moe_layer_freq", default=1)  # layers 0, n, 2n, …
    return sum(
        layer < front or layer in listed or (layer + 1) % after != 0 or layer % every != 0
        for layer in range(layers)
    )


def _latent(read: _Config) -> dict[str, Any]:
    if read.config.get("kv_lora_rank") is None:
        return {}
    return {
        "latent": {
            "q_rank": read.count("q_lora_rank", default=0, least=0),
            "kv_rank": read.count("kv_lora_rank"),
            "rope_dim": read.count("qk_rope_head_dim", default=64),
            "nope_dim": read.count("qk_nope_head_dim", default=128),
            "v_dim": read.count("v_head_dim", default=128),
        }
    }


def _window(read: _Config, layers: int) -> dict[str, Any]:
    kinds = [str(kind) for kind in read.entries("layer_types")]
    if strange := sorted(
        {kind for kind in kinds if kind not in ("full_attention", "sliding_attention")}
    ):
        read.faults.append(
            f"layer_types: {', '.join(map(shown, strange))} is not simulated; wanted full_attention and sliding_attention"
        )
    tokens = read.count("sliding_window", default=0, least=0)
    used = read.truth("use_sliding_window", default=True)
    if not tokens or not used:
        return {}
    pattern = read.count(
        "sliding_window_pattern",
        default=_PATTERNS.get(str(read.config.get("model_type")), 0),
        least=0,
    )
    if kinds:
        count = sum(kind == "sliding_attention" for kind in kinds)
    elif pattern:
        count = layers - layers // pattern
    elif "use_sliding_window" in read.config:  # Qwen2: the layers after the first max_window_layers
        count = max(layers - read.count("max_window_layers", default=0, least=0), 0)
    else:
        count = layers
    return {"window": {"tokens": tokens, "layers": count}} if count else {}


def _quantisation(read: _Config) -> dict[str, Any]:
    quantisation = read.config.get("quantization_config")
    if not quantisation:
        return {}
    if not isinstance(quantisation, dict):
        read.faults.append(f"quantization_config: came {shown(quantisation)}; wanted a mapping")
        return {}
    said, bits = json.dumps(quantisation).lower(), quantisation.get("bits")
    if "mxfp4" in said:
        return {"native": "fp4", "fp4_format": "mxfp4", "kept_bf16": ["embedding", "attention"]}
    if "nvfp4" in said or bits == 4 or '"num_bits": 4' in said or quantisation.get("load_in_4bit"):
        return {
            "native": "fp4",
            "fp4_format": "nvfp4",
        }  # int4 with group scales takes about as much: 4 bit and a scale a group
    if "fp8" in said or bits == 8 or '"num_bits": 8' in said or quantisation.get("load_in_8bit"):
        return {"native": "fp8"}
    read.faults.append(
        f"quantization_config: {shown(quantisation.get('quant_method'))} is not simulated; wanted 8 or 4 bit, fp8, nvfp4 or mxfp4"
    )
    return {}
