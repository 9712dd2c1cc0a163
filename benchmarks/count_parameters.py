"""Count the parameters and the cache of models as the library transformers builds them.

    pip install -e .[oracle]
    python benchmarks/count_parameters.py [--again]

Each configuration of tests/llm/oracle is built on the meta device, where weights use no memory. The
model then prefills a few tokens, which shows the shapes of its cache. Figures of new rows are written
to tests/llm/oracle/table.csv with the versions of the libraries, and configurations as the library
saves them to saved.json in that folder. Tests of cluster_sim.llm compare its readers with the table.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402 - the settings above come first
import transformers  # noqa: E402
from transformers import CONFIG_MAPPING  # noqa: E402
from transformers.models.auto import modeling_auto  # noqa: E402

from tests.llm.oracle import cases, table  # noqa: E402
from tests.llm.oracle.table import Figures  # noqa: E402

Config = dict[str, Any]

TOKENS = 7
"""Number of tokens that a model prefills."""
TOKENS_OF_ENTRIES = 1024
"""Number of tokens that a model prefills if its cache has one entry per several tokens."""
_NOT_THE_LANGUAGE_MODEL = re.compile(
    r"(^|[._])(visual|vision\w*|image\w*|audio\w*|multi_modal\w*|multimodal\w*|projector|mlp_AR|mtp|talker|token2wav|code2wav|embed_vision|embed_audio)[._]"
)
_TOP_K = (
    "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts", "moe_top_k",
)  # fmt: skip
_OUTSIDE = {
    "step3p5": "step3p7",
    "mllama_text_model": "mllama",
    "qwen2_5_omni_text": "qwen2_5_omni_thinker",
    "qwen3_omni_moe_text": "qwen3_omni_moe_thinker",
}
"""Multimodal model type of a language model type, if the name does not show it."""
_CAUSAL = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING


def counted(config: Config) -> Figures:
    """Return the figures of a configuration's model, or the fault of the library."""
    try:
        model, text = _built(_with_floats(copy.deepcopy(config)))
        cache = _cache_of(model)
        return _figures(model, text, cache)
    except Exception as fault:
        return Figures(fault=type(fault).__name__)


def _with_floats(value: Any) -> Any:
    """Return a value with the numbers that the library writes as mappings, such as infinity."""
    if isinstance(value, dict):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {key: _with_floats(one) for key, one in value.items()}
    return [_with_floats(one) for one in value] if isinstance(value, list) else value


def _built(config: Config) -> tuple[Any, Any]:
    """Return the model on the meta device and the configuration of its language model.

    For a model of text and images only the language model is built, if a separate class exists. The
    outer configuration determines whether embedding and head are tied.
    """
    config = _inside_its_model(config)
    made = CONFIG_MAPPING[config["model_type"]].from_dict(config)
    made = getattr(made, "thinker_config", made)
    text = made.get_text_config(decoder=True)
    for one in (made, text):
        if (getattr(one, "pad_token_id", None) or 0) >= text.vocab_size:
            one.pad_token_id = 0
    if made is not text and type(text) in _CAUSAL:
        text.tie_word_embeddings = getattr(made, "tie_word_embeddings", text.tie_word_embeddings)
        made = text
    with torch.device("meta"):
        return _kind_of(made)._from_config(made), text


def _inside_its_model(config: Config) -> Config:
    """Return a configuration that can be built; it contains the language model's configuration."""
    model_type = config["model_type"]
    outside = _OUTSIDE.get(model_type, model_type.removesuffix("_text"))
    if outside == model_type or CONFIG_MAPPING[model_type] in _CAUSAL:
        return config
    tied = {key: config[key] for key in ("tie_word_embeddings",) if key in config}
    return {"model_type": outside, **tied, "text_config": config}


def _kind_of(made: Any) -> Any:
    """Return the class of the model with an output head."""
    if type(made) in _CAUSAL:
        return _CAUSAL[type(made)]
    name = type(made).__name__.removesuffix("Config")
    whole = getattr(transformers, f"{name}ForConditionalGeneration", None)
    return whole or getattr(transformers, f"{name}ForCausalLM")


def _cache_of(model: Any) -> Any:
    """Return the cache after a few tokens."""
    for module in model.modules():
        kind = type(module).__name__
        if kind.endswith("Experts"):  # the work of experts depends on data and changes no cache
            module.forward = lambda states, *_, **__: torch.zeros_like(states)
        if getattr(module, "mrope_section", None) and hasattr(module, "inv_freq"):
            half = module.inv_freq.shape[-1]  # sections of positions that suit the width of heads
            module.mrope_section = [half - 2 * (half // 3), half // 3, half // 3]
        for groups in ("n_group", "num_group", "topk_group"):
            if isinstance(getattr(module, groups, None), int):
                setattr(module, groups, 1)  # the number of experts may be no multiple of groups
    number = TOKENS_OF_ENTRIES if hasattr(model.config, "compress_rates") else TOKENS
    with torch.device("meta"), torch.no_grad():
        tokens = torch.zeros((1, number), dtype=torch.long)
        return model(input_ids=tokens, use_cache=True).past_key_values


def _figures(model: Any, text: Any, cache: Any) -> Figures:
    parameters = sum(
        weights.numel()
        for name, weights in model.named_parameters()
        if not _NOT_THE_LANGUAGE_MODEL.search(name)
    )
    full = windowed = windows = index = state = convolution = 0
    entries = index_entries = 0.0
    lengths: set[int] = set()
    for layer in cache.layers:
        of_entries = getattr(text, "compress_rates", None) is not None  # keys are also values
        names = ("keys",) if of_entries else ("keys", "values")
        values = sum(_per_token(getattr(layer, name, None)) for name in names)
        compressed = getattr(layer, "compressed_kv", {})
        entries += _per_read_token(compressed.get("compressor"))
        index_entries += _per_read_token(compressed.get("indexer"))
        length = getattr(layer, "sliding_window", None)
        if length is None:
            full += values
        elif values:
            windows, windowed = windows + 1, windowed + values
            lengths.add(int(length))
        index += _per_token(getattr(layer, "indexer_keys", None), axis=1)
        index += _per_token(getattr(layer, "idx_keys", None))
        state += _all_values(getattr(layer, "recurrent_states", None))
        convolution += _all_values(getattr(layer, "conv_states", None), without_last=True)
    state += _all_values(getattr(cache, "linear_cache", None))  # MiniMax
    return Figures(
        parameters,
        parameters - int(_idle(model, text)),
        int(getattr(text, "max_position_embeddings", 0) or 0),
        full * text.num_kv_heads // text.num_attention_heads
        if _repeats(text)
        else full + round(entries),
        windows,
        "+".join(map(str, sorted(lengths))),
        windowed,
        index + round(index_entries),
        state,
        convolution,
    )


def _repeats(text: Any) -> bool:
    """Return whether the library stores keys per query head; engines store them per group."""
    return text.model_type == "falcon" and text.new_decoder_architecture


def _per_token(values: Any, axis: int = -2) -> int:
    return 0 if values is None or not values.numel() else values.numel() // values.shape[axis]


def _per_read_token(entries: Any) -> float:
    """Return the number of values of cache entries per prefilled token."""
    return 0.0 if entries is None else entries.numel() / TOKENS_OF_ENTRIES


def _all_values(states: Any, *, without_last: bool = False) -> int:
    """Return the number of values of states, which layers store in mappings, lists or tensors.

    without_last: omit the token that a convolution processes at present; engines do not store it.
    """
    if isinstance(states, dict):
        states = list(states.values())
    if isinstance(states, list | tuple):
        return sum(_all_values(one, without_last=without_last) for one in states)
    if states is None or not states.numel():
        return 0
    return states.numel() // states.shape[-1] * (states.shape[-1] - int(without_last))


def _idle(model: Any, text: Any) -> float:
    """Return the number of expert parameters that a token does not use."""
    top_k = next((k for key in _TOP_K if (k := getattr(text, key, None)) is not None), None)
    if top_k is None:
        nested = getattr(text, "ffn_config", None)
        top_k = getattr(nested, "moe_top_k", None)
    idle = 0.0
    for experts in _outermost_experts(model):
        weights = list(experts.parameters())
        count = getattr(experts, "num_experts", None) or weights[0].shape[0]
        idle += sum(one.numel() for one in weights) * (1 - (top_k or count) / count)
    return idle


def _outermost_experts(module: Any, name: str = "") -> Iterator[Any]:
    """Yield the modules that hold routed experts."""
    kind = type(module).__name__
    if kind.endswith("Experts") and any(True for _ in module.parameters()):
        yield module
        return
    for inner, child in module.named_children():
        yield from _outermost_experts(child, inner)


def _saved(config: Config) -> Config:
    """Return a configuration in the form in which the library saves it."""
    made = CONFIG_MAPPING[config["model_type"]].from_dict(copy.deepcopy(config))
    saved: Config = json.loads(made.to_json_string(use_diff=True))
    return saved


def main(arguments: Iterable[str] | None = None) -> None:
    """Count all configurations and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--again", action="store_true", help="count every row again")
    chosen = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    kept = table.read() if table.versions() == versions and not chosen.again else {}
    cases.write_saved({family: _saved(config) for family, config in cases.ALL.items()})
    rows: dict[tuple[str, str, str], Figures] = {}
    for family, case, config in cases.all_cases():
        key = (family, case, table.digest(config))
        rows[key] = kept[key] if key in kept else counted(config)
    table.write(versions, rows)


if __name__ == "__main__":
    main()
