"""Cases of each family: everything said, what files may leave out left out, and single changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.llm.oracle.configs import CONFIGS, FURTHER
from tests.llm.oracle.mutants import all_mutants

Config = dict[str, Any]

ALL = CONFIGS | FURTHER
"""Configurations by family."""
_SAVED = Path(__file__).with_name("saved.json")
_KEPT = {
    "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "vocab_size", "max_position_embeddings", "n_embd", "n_layer", "n_head", "n_positions", "d_model", "n_layers", "n_heads",
    "max_seq_len", "ffn_config", "attn_config", "seq_length", "ffn_dim", "num_layers", "num_kv_heads",
    "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_experts_per_tok", "moe_intermediate_size",
    "moe_k", "moe_topk", "moe_top_k", "n_shared_experts", "num_shared_expert", "kv_lora_rank", "q_lora_rank",
    "new_decoder_architecture", "share_expert_dim", "text_config", "thinker_config", "num_attention_groups", "ffn_hidden_size",
}  # fmt: skip
"""Keys that files of a family always have."""


def all_cases() -> Iterator[tuple[str, str, Config]]:
    """Yield family, case and configuration of everything that the table counts."""
    for family, config in ALL.items():
        yield family, "whole", config
        yield family, "bare", bare(config)
        if family in saved():
            yield family, "saved", saved()[family]
    for family, mutant in all_mutants(CONFIGS):
        yield family, mutant.name, mutant.config


@cache
def saved() -> dict[str, Config]:
    """Return the configurations as the library writes them to a file, by family."""
    if not _SAVED.exists():
        return {}
    content: dict[str, Config] = json.loads(_SAVED.read_text(encoding="utf-8"))
    return content


def write_saved(configs: dict[str, Config]) -> None:
    """Write the configurations that `saved` returns, one per line."""
    lines = [f"{json.dumps(family)}: {json.dumps(config)}" for family, config in configs.items()]
    _SAVED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    saved.cache_clear()


def bare(config: Config) -> Config:
    """Return the configuration without what a file of the family may leave out."""
    return {
        key: bare(value) if key in ("text_config", "thinker_config") else value
        for key, value in config.items()
        if key in _KEPT
    }
