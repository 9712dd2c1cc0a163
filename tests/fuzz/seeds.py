"""What is damaged: scenarios, traces, models, machines, run folders and measured results."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from cluster_sim import ScenarioError, load_scenario, simulate
from cluster_sim.export import export
from cluster_sim.loading.files import load_variants
from cluster_sim.schema import CATALOG, parse_yaml, read_text
from tests.commands import BURST
from tests.random_scenarios import random_scenario

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"


def small(keys: dict[str, Any]) -> dict[str, Any]:
    """The keys of a scenario, with so little traffic that a run takes no time."""
    cut = {"duration": "2 s", "drain": "20 s", "warmup": "0 s"}
    source = keys.get("workload", {}).get("arrivals", {})
    if isinstance(source, dict) and source.get("process") in ("at_once", "closed_loop"):
        source = source | {"requests": 8}
        if "concurrency" in source:
            source["concurrency"] = 4
        cut["workload"] = keys["workload"] | {"arrivals": source}
    return keys | cut


@cache
def _files() -> tuple[Path, ...]:
    """The files of `scenarios/` that are scenarios and not claims."""
    paths = sorted(SCENARIOS.glob("*.yaml"))
    return tuple(path for path in paths if "claims:" not in path.read_text())


@cache
def _keys(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = parse_yaml(read_text(path), path.name).data
    return small(data)


@cache
def _resolved(path: Path) -> tuple[dict[str, Any], ...]:
    try:
        variants = load_variants(path)
    except ScenarioError:  # a trace that is not here
        return ()
    dumped = (each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in variants)
    return tuple(map(small, dumped))


def scenario_file(rng: Random) -> dict[str, Any]:
    """One of the files of `scenarios/` as it is written, variants included."""
    return _keys(rng.choice(_files()))


def resolved_scenario(rng: Random) -> dict[str, Any]:
    """A variant of one of these files with machines, model and engine written out."""
    while not (variants := _resolved(rng.choice(_files()))):
        pass
    return rng.choice(variants)


def drawn_scenario(rng: Random) -> dict[str, Any]:
    """A scenario of the generator of the whole feature space."""
    return small(random_scenario(Random(rng.randrange(10**6))))


def sections(rng: Random) -> dict[str, Any]:
    """A `sweep` or a `capacity` section of one of the files."""
    found = [
        {key: keys[key]}
        for keys in map(_keys, _files())
        for key in ("sweep", "capacity")
        if key in keys
    ]
    return rng.choice(found)


@cache
def catalog(kind: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """The files of a folder of the catalog: name and keys, with sources and confidence."""
    paths = sorted((CATALOG / kind).glob("*.yaml"))
    return tuple((path.stem, parse_yaml(read_text(path), path.name).data) for path in paths)


LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 32,
    "num_hidden_layers": 16, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": True,
}  # fmt: skip
MIXTURE = LLAMA | {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_experts": 64, "num_experts_per_tok": 8, "head_dim": 128,
    "moe_intermediate_size": 768, "sliding_window": None, "use_sliding_window": False,
}  # fmt: skip
LATENT = LLAMA | {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128, "v_head_dim": 128, "n_routed_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
    "n_shared_experts": 1, "first_k_dense_replace": 3, "quantization_config": {"quant_method": "fp8"},
}  # fmt: skip
WINDOWED = LLAMA | {"architectures": ["Olmo3ForCausalLM"], "model_type": "olmo3", "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 8}  # fmt: skip
CONFIGS: tuple[dict[str, Any], ...] = (LLAMA, MIXTURE, LATENT, WINDOWED)
"""Files as Hugging Face's config.json."""

_SESSION = [{"t": 0.0, "type": "n", "in": 130, "out": 10, "hash_ids": [1, 2, 3], "api_time": 2.0, "think_time": 0.0}, {"t": 9.0, "type": "s", "in": 200, "out": 20, "hash_ids": [1, 2, 4], "api_time": 1.0, "think_time": 7.0}]  # fmt: skip
TRACES: dict[str, str] = {
    "llmservingsim.jsonl": '{"input_toks": 100, "output_toks": 20, "arrival_time_ns": 1000000000}\n{"input_toks": 30, "output_toks": 4, "arrival_time_ns": 1500000000, "input_tok_ids": [1, 2]}\n',
    "sessions.jsonl": '{"session_id": "a", "arrival_time_ns": 2000000000, "sub_requests": [{"input_toks": 50, "output_toks": 5, "tool_duration_ns": 3000000000}, {"input_toks": 90, "output_toks": 9, "tool_duration_ns": 0}]}\n',
    "weka.json": json.dumps({"id": "t", "block_size": 64, "requests": _SESSION}),
    "bailian.jsonl": '{"chat_id": 4, "parent_chat_id": -1, "timestamp": 1.5, "input_length": 20, "output_length": 5, "type": "text", "turn": 1, "hash_ids": [1, 2]}\n{"chat_id": 9, "parent_chat_id": 4, "timestamp": 8.25, "input_length": 40, "output_length": 6, "type": "text", "turn": 2, "hash_ids": [1, 2, 3]}\n',
    "aiperf.jsonl": '{"session_id": "a", "timestamp": 500, "input_length": 90, "output_length": 5}\n{"session_id": "a", "delay": 2500, "input_length": 10, "output_length": 6}\n{"session_id": "b", "timestamp": 900, "input_length": 30, "output_length": 7}\n',
    "talks.jsonl": '{"id": "c", "conversations": [{"from": "human", "value": "alpha beta"}, {"from": "gpt", "value": "gamma"}, {"from": "human", "value": "delta"}, {"from": "gpt", "value": "eta theta"}]}\n',
}
"""Small traces with turns that follow one another, or with what `traces.FORMS` has not."""
WINDOWS = "0.0,2.0,1.0,Gamma,0.25,1.0\n10.0,1.0,2.0,Weibull,0.5,1.0\n"
TABLES = {"0": {"input_tokens": "{100: 0.5, 300: 0.5}", "output_tokens": "{7: 1.0}"}}
"""A client of a ServeGen trace: its windows, and its lengths in each."""

SMALL = BURST[: BURST.index("variants:")]
"""A scenario of one variant."""


def make_run(folder: Path) -> Path:
    """A run folder with what every client would have written of it beside it, made anew."""
    path = folder / "small.yaml"
    path.write_text(SMALL + "site: {inlet: 25 degC, electricity: 0.07 USD/kWh}\n")
    results = simulate(load_scenario(path, overrides={"duration": "4 s"}))
    results.save(folder / "run")
    for client in ("vllm", "aiperf", "guidellm", "mlperf"):
        list(export(results, client, folder / "clients"))
    return folder
