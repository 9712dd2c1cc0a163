"""Mistral's format, params.json: its keys as keys of a config.json.

Keys and their meaning are those that vLLM reads (vllm/transformers_utils/configs/mistral.py, 2026).
A mixture with shared experts is read as DeepSeek's (Mistral Large 3), one without as Mixtral's, and
any other file as Mistral's. Unknown keys are kept, so that those that describe the architecture are
refused by name.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown

_KEYS = {
    "dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads", "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size", "norm_eps": "rms_norm_eps", "tied_embeddings": "tie_word_embeddings", "activation": "hidden_act",
}  # fmt: skip
_EXPERT_KEYS = {
    "num_experts": "n_routed_experts", "num_experts_per_tok": "num_experts_per_tok", "num_shared_experts": "n_shared_experts",
    "expert_hidden_dim": "moe_intermediate_size", "first_k_dense_replace": "first_k_dense_replace", "route_every_n": "moe_layer_freq",
    "routed_scale": "routed_scaling_factor", "num_expert_groups": "n_group", "num_expert_groups_per_tok": "topk_group",
}  # fmt: skip
_OF_ROUTING = ("renorm_strategy", "use_load_balancing_bias")
_CONTEXT = 128_000  # tokens, if a file does not give it


def config_of_params(params: Any) -> Any:
    """Return the keys of a config.json that correspond to a params.json.

    Raises
    ------
    ValueError
        A value has no counterpart. The message has one line per fault.
    """
    if not isinstance(params, dict):
        return params
    config: dict[str, Any] = {_KEYS.get(key, key): params[key] for key in map(str, params)}
    config.setdefault("hidden_act", "silu")
    config.setdefault("tie_word_embeddings", False)
    longest = config.pop("max_seq_len", None)
    config.setdefault("max_position_embeddings", longest or _CONTEXT)
    faults = [*_with_windows(config), *_with_precision(config), *_with_experts(config)]
    if params.get("model_type", "transformer") != "transformer":
        faults.append(
            f"model_type: got {shown(params['model_type'])}; expected transformer: other models of params.json are not simulated yet"
        )
    if faults:
        raise ValueError("\n".join(faults))
    for key in ("vision_encoder", "multimodal"):
        if config.get(key):
            config["vision_config"] = config.pop(key)
    return config


def _with_windows(config: dict[str, Any]) -> list[str]:
    """Write the layers with a window as a config.json does; return the faults."""
    window = config.get("sliding_window")
    layers = config.get("num_hidden_layers")
    config.setdefault("sliding_window", None)
    if not isinstance(window, list) or not isinstance(layers, int):
        return []
    sizes = {size for size in window if size is not None}
    if not window or layers % len(window) or len(sizes) > 1:
        return [
            f"sliding_window: got {shown(window)}; expected one size, and a pattern whose length divides {layers} layers"
        ]
    kinds = ["full_attention" if size is None else "sliding_attention" for size in window]
    config["layer_types"] = kinds * (layers // len(window))
    config["sliding_window"] = next(iter(sizes), None)
    return []


def _with_precision(config: dict[str, Any]) -> list[str]:
    """Write the precision as a config.json does; return the faults."""
    written = config.pop("quantization", None)
    if not written:
        return []
    if isinstance(written, dict) and written.get("qformat_weight") == "fp8_e4m3":
        config["quantization_config"] = {"quant_method": "fp8"}
        return []
    method = str(written.get("quant_method", "")) if isinstance(written, dict) else ""
    if method.lower().replace("_", "-") == "compressed-tensors":
        config["quantization_config"] = {**written, "quant_method": "compressed-tensors"}
        return []
    return [
        f"quantization: got {shown(written)}; expected qformat_weight 'fp8_e4m3' or quant_method 'compressed-tensors'"
    ]


def _with_experts(config: dict[str, Any]) -> list[str]:
    """Write experts and family as a config.json does; return the faults."""
    moe = config.pop("moe", None)
    is_latent = config.get("kv_lora_rank") is not None
    if not moe:
        config["model_type"] = "ministral" if "layer_types" in config else "mistral"
        if is_latent:
            return [
                "kv_lora_rank: got latent attention without moe; expected both, because latent attention without experts is not simulated yet"
            ]
        return []
    if not isinstance(moe, dict):
        return [f"moe: got {shown(moe)}; expected a mapping"]
    if unknown := sorted(moe.keys() - _EXPERT_KEYS.keys() - set(_OF_ROUTING)):
        return [f"moe.{unknown[0]}: got {shown(moe[unknown[0]])}; expected known keys"]
    if moe.get("num_shared_experts"):
        config["model_type"] = "deepseek_v3"
        config |= {_EXPERT_KEYS[key]: value for key, value in moe.items() if key in _EXPERT_KEYS}
        return []
    config["model_type"] = "mixtral"
    config["num_local_experts"] = moe.get("num_experts")
    config["num_experts_per_tok"] = moe.get("num_experts_per_tok")
    if moe.get("expert_hidden_dim"):
        config["intermediate_size"] = moe["expert_hidden_dim"]
    return []
