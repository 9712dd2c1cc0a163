"""A language model as far as its cost goes: layers, heads, experts, precision. Also read from a Hugging Face config.json."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cluster_sim.hardware import Precision
from cluster_sim.reading import Description, catalog_names, find, named, read_text

Count = Annotated[int, Field(gt=0)]

# Bytes a parameter, scales included: nvfp4 has an fp8 scale for each 16 values, mxfp4 an 8-bit exponent for each 32.
# OCP Microscaling Formats specification 1.0 (2023); NVIDIA, Introducing NVFP4 (2025).
_BYTES = {"bf16": 2.0, "fp8": 1.0, "nvfp4": 0.5 + 1 / 16, "mxfp4": 0.5 + 1 / 32}


class Experts(Description):
    """A mixture of experts in place of the dense feed-forward part."""

    count: Count
    top_k: Count
    """Experts that each token is routed to."""
    shared: Annotated[int, Field(ge=0)] = 0
    """Experts that every token passes."""
    ffn: Count
    """Width of one expert."""
    dense_layers: Annotated[int, Field(ge=0)] = 0
    """Layers at the front that keep the dense feed-forward part."""


class LatentAttention(Description):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): the cache holds one latent vector a token and layer."""

    q_rank: Annotated[int, Field(ge=0)]
    """0 where queries are not compressed."""
    kv_rank: Count
    rope_dim: Count
    nope_dim: Count
    v_dim: Count


class Window(Description):
    """Layers whose attention sees the last `tokens` only."""

    tokens: Count
    layers: Count


class Model(Description):
    """A decoder-only transformer with gated feed-forward parts (three matrices)."""

    name: str
    layers: Count
    hidden: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    ffn: Annotated[int, Field(ge=0)] = 0
    """Width of the dense feed-forward part; 0 where every layer has experts."""
    vocabulary: Count
    max_context: Count
    """Longest prompt and output together [tokens]."""
    tied_embeddings: bool = False
    experts: Experts | None = None
    latent: LatentAttention | None = None
    window: Window | None = None
    native: Precision = "bf16"
    """Precision in which the weights are published."""
    fp4_format: Literal["nvfp4", "mxfp4"] = "nvfp4"
    kept_bf16: tuple[Literal["embedding", "attention"], ...] = ("embedding",)
    """Parts that stay in 16 bit in the quantised checkpoints."""

    @model_validator(mode="after")
    def _fits_together(self) -> Model:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads are no multiple of {self.kv_heads} kv_heads")
        if self.experts and self.experts.top_k > self.experts.count:
            raise ValueError(f"top_k of {self.experts.top_k} is more than {self.experts.count} experts")
        if self.window and self.window.layers > self.layers:
            raise ValueError(f"{self.window.layers} window layers are more than {self.layers} layers")
        if self.experts and self.experts.dense_layers > self.layers:
            raise ValueError(f"{self.experts.dense_layers} dense layers are more than {self.layers} layers")
        if (self.experts is None or self.experts.dense_layers) and not self.ffn:
            raise ValueError("'ffn' is missing: there are layers without experts")
        return self

    @property
    def full_layers(self) -> int:
        """Layers whose attention sees the whole context."""
        return self.layers - (self.window.layers if self.window else 0)

    @property
    def moe_layers(self) -> int:
        """Layers whose feed-forward part is a mixture of experts."""
        return self.layers - self.experts.dense_layers if self.experts else 0

    @property
    def attention_parameters(self) -> int:
        """Weights of one layer's attention."""
        if self.latent is None:
            return self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        mla = self.latent
        q_heads = self.heads * (mla.nope_dim + mla.rope_dim)
        query = self.hidden * mla.q_rank + mla.q_rank * q_heads if mla.q_rank else self.hidden * q_heads
        down = self.hidden * (mla.kv_rank + mla.rope_dim)
        up = mla.kv_rank * self.heads * (mla.nope_dim + mla.v_dim)
        return query + down + up + self.heads * mla.v_dim * self.hidden

    @property
    def expert_parameters(self) -> int:
        """Weights of one expert."""
        return 3 * self.hidden * self.experts.ffn if self.experts else 0

    @property
    def ffn_parameters(self) -> int:
        """Weights of one dense feed-forward part."""
        return 3 * self.hidden * self.ffn

    @property
    def router_parameters(self) -> int:
        """Weights of one layer's expert router."""
        return self.hidden * self.experts.count if self.experts else 0

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding and the output head, counted once where they are tied."""
        return self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)

    @property
    def total_parameters(self) -> int:
        """All weights; norms included, biases left out."""
        experts = (self.experts.count + self.experts.shared) * self.expert_parameters if self.experts else 0
        feed_forward = (self.layers - self.moe_layers) * self.ffn_parameters + self.moe_layers * (experts + self.router_parameters)
        norms = (2 * self.layers + 1) * self.hidden
        return self.layers * self.attention_parameters + feed_forward + self.embedding_parameters + norms

    @property
    def active_parameters(self) -> int:
        """Weights that one token is multiplied with; the embedding is a look-up and left out."""
        experts = (self.experts.top_k + self.experts.shared) * self.expert_parameters if self.experts else 0
        feed_forward = (self.layers - self.moe_layers) * self.ffn_parameters + self.moe_layers * (experts + self.router_parameters)
        return self.layers * self.attention_parameters + feed_forward + self.vocabulary * self.hidden

    def bytes_a_parameter(self, precision: Precision, part: Literal["embedding", "attention", "ffn"]) -> float:
        """Stored bytes of one weight of `part` in a checkpoint of `precision`, block scales included."""
        if part in self.kept_bf16:
            return _BYTES["bf16"]
        return _BYTES[self.fp4_format] if precision == "fp4" else _BYTES[precision]

    def weight_bytes(self, precision: Precision) -> float:
        """All weights as they are stored [B]."""
        attention = self.layers * self.attention_parameters
        embedding = self.embedding_parameters + (2 * self.layers + 1) * self.hidden + self.moe_layers * self.router_parameters
        feed_forward = self.total_parameters - attention - embedding
        return (
            attention * self.bytes_a_parameter(precision, "attention")
            + feed_forward * self.bytes_a_parameter(precision, "ffn")
            + embedding * self.bytes_a_parameter(precision, "embedding")
        )


def read_model(came: Any) -> Any:
    """What a model key stands for: a catalog name, the path of a config.json or of a YAML file, or a mapping of Model's keys.

    Raises ValueError where it is none of these.
    """
    if isinstance(came, str) and came not in catalog_names("models") and came.endswith(".json"):
        path = find(came)
        if path is None:
            raise ValueError(f"no file '{came}'")
        try:
            config = json.loads(read_text(path))
        except (json.JSONDecodeError, RecursionError) as fault:
            raise ValueError(f"{path} is no JSON: {fault}") from fault
        return from_hugging_face(config, path.parent.name or path.stem)
    return named("models", came)


def from_hugging_face(config: Any, name: str) -> dict[str, Any]:
    """Model's keys from a Hugging Face `config.json`: dense and grouped-query, experts, latent attention, windows, quantised.

    Raises ValueError that names the keys which are missing or no positive whole numbers.
    """
    if not isinstance(config, dict):
        raise ValueError("config.json holds no mapping")
    if isinstance(config.get("text_config"), dict):  # multimodal models keep the language model inside
        config = {**config, **config["text_config"]}
    wanted = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
    wrong = [key for key in wanted if not _is_count(config.get(key))]
    if wrong:
        raise ValueError(f"config.json: {', '.join(wrong)} missing or no positive whole number")
    layers, hidden, heads = config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"]
    keys: dict[str, Any] = {
        "name": str(config.get("_name_or_path") or name),
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or hidden // heads,
        "vocabulary": config["vocab_size"],
        "max_context": config.get("max_position_embeddings") or 131072,
        "tied_embeddings": bool(config.get("tie_word_embeddings", False)),
    }
    keys |= _feed_forward(config, layers) | _latent(config) | _window(config, layers) | _quantisation(config)
    return keys


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _first(config: dict[str, Any], *keys: str) -> Any:
    return next((config[key] for key in keys if config.get(key)), None)


def _feed_forward(config: dict[str, Any], layers: int) -> dict[str, Any]:
    width = config.get("intermediate_size") or 0
    count = _first(config, "n_routed_experts", "num_local_experts", "num_experts")
    if not count:
        return {"ffn": width}
    only = config.get("mlp_only_layers") or []
    every = config.get("decoder_sparse_step") or config.get("moe_layer_freq") or 1
    dense = config.get("first_k_dense_replace") or len(only)
    if isinstance(every, int) and every > 1:
        dense = layers - layers // every
    experts = {
        "count": count,
        "top_k": _first(config, "num_experts_per_tok", "experts_per_token") or 1,
        "shared": config.get("n_shared_experts") or 0,
        "ffn": config.get("moe_intermediate_size") or width,
        "dense_layers": dense,
    }
    return {"experts": experts, "ffn": width if dense else 0}


def _latent(config: dict[str, Any]) -> dict[str, Any]:
    if not config.get("kv_lora_rank"):
        return {}
    return {
        "latent": {
            "q_rank": config.get("q_lora_rank") or 0,
            "kv_rank": config["kv_lora_rank"],
            "rope_dim": config.get("qk_rope_head_dim") or 64,
            "nope_dim": config.get("qk_nope_head_dim") or 128,
            "v_dim": config.get("v_head_dim") or 128,
        }
    }


def _window(config: dict[str, Any], layers: int) -> dict[str, Any]:
    tokens = config.get("sliding_window")
    if not tokens or config.get("use_sliding_window") is False:
        return {}
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        count = sum("sliding" in str(kind) for kind in kinds)
    elif config.get("sliding_window_pattern"):
        count = layers - layers // config["sliding_window_pattern"]
    elif config.get("use_sliding_window"):
        count = layers - (config.get("max_window_layers") or 0)
    else:
        count = layers
    return {"window": {"tokens": tokens, "layers": count}} if count else {}


def _quantisation(config: dict[str, Any]) -> dict[str, Any]:
    quantisation = config.get("quantization_config") or {}
    said = json.dumps(quantisation).lower()
    if not quantisation:
        return {}
    if "mxfp4" in said:
        return {"native": "fp4", "fp4_format": "mxfp4", "kept_bf16": ["embedding", "attention"]}
    if "nvfp4" in said or quantisation.get("bits") == 4 or '"num_bits": 4' in said:
        return {"native": "fp4", "fp4_format": "nvfp4"}  # int4 with group scales takes about as much: 4 bit and a scale a group
    if "fp8" in said or quantisation.get("bits") == 8 or '"num_bits": 8' in said:
        return {"native": "fp8"}
    return {}
