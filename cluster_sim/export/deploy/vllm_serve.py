"""Arguments of `vllm serve`, and the settings of a pool that they stand for.

Source
------
vLLM 0.22.1 and 0.33.0: `vllm/engine/arg_utils.py`, `vllm/config/cache.py`, `vllm/config/compilation.py`,
`vllm/config/speculative.py`, `vllm/config/kv_transfer.py`. Limits hold per data-parallel rank there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.export.deploy import expert_options
from cluster_sim.export.deploy.arguments import Reading
from cluster_sim.export.deploy.exchanges import read_vllm, vllm_options
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.option_table import release_of
from cluster_sim.export.deploy.served import Method, Served
from cluster_sim.serving.engine import Engine

_WEIGHTS = {"fp8": "fp8", "fp4": "modelopt_fp4"}
_KV_CACHE = {"bf16": "bfloat16", "fp8": "fp8", "fp4": "nvfp4"}
_ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}
_RESERVES = {"full_isl": True, "first_chunk": False}
_METHODS: dict[Method, str] = {
    "mtp": "mtp",
    "eagle3": "eagle3",
    "dflash": "dflash",
    "dspark": "dspark",
    "draft_model": "draft_model",
    "n_gram": "ngram",
}
_GIB = 2.0**30


def options(served: Served, profile: Engine) -> dict[str, Any]:
    """Return the model and the options of `vllm serve` for one replica.

    Parameters
    ----------
    served
        Settings of the pool.
    profile
        Engine of the catalog, whose sizes of CUDA graphs need no option.
    """
    plan, rules = served.plan, served.rules
    written: dict[str, Any] = {
        "": served.loaded_model,
        "--tensor-parallel-size": plan.tensor_parallel,
        "--pipeline-parallel-size": plan.pipeline_parallel,
        "--data-parallel-size": plan.data_parallel,
        "--enable-expert-parallel": 1 < plan.expert_parallel == served.stage_devices,
        "--nnodes": served.nodes if served.nodes > 1 else None,
        "--quantization": served.weights and _WEIGHTS.get(served.weights),
        "--kv-cache-dtype": _kv_cache(served),
        "--max-model-len": served.context,
        "--max-num-seqs": served.sequences,
        "--max-num-batched-tokens": served.tokens,
        "--gpu-memory-utilization": served.memory_fraction,
        "--block-size": served.deployment.pool.block_tokens,
        "--watermark": served.deployment.pool.watermark or None,
        "--scheduling-policy": "priority" if rules.get("order") == "priority" else "fcfs",
        "--stream-interval": served.engine.stream_interval,
    }
    written |= _switches(served) | vllm_options(served)
    written |= expert_options.of_vllm(served, profile)
    written["--compilation-config"] = _graphs(served, profile)
    written["--speculative-config"] = _drafts(served)
    if (role := _ROLES.get(plan.role)) is not None:
        written["--kv-transfer-config"] = {"kv_connector": "NixlConnector", "kv_role": role}
    if served.host_bytes is not None:
        written["--kv-offloading-size"] = served.host_bytes / plan.data_parallel / _GIB
        written["--kv-offloading-backend"] = "native"
    return written


def _switches(served: Served) -> dict[str, Any]:
    """Return the options that `--no-…` turns off."""
    reserves = _RESERVES.get(str(served.rules.get("capacity_scheduler_policy")))
    switches = {
        "enable-chunked-prefill": served.deployment.pool.chunked_prefill,
        "enable-prefix-caching": served.deployment.pool.kv.prefix_caching,
        "async-scheduling": served.engine.async_scheduling,
        "scheduler-reserve-full-isl": reserves,
    }
    return {
        f"--{name}" if value else f"--no-{name}": True
        for name, value in switches.items()
        if value is not None
    }


def _kv_cache(served: Served) -> str:
    """Return the format of the KV cache; 0.10 has no name for 16 bit, which is its default."""
    kv_cache = served.plan.kv_cache
    is_old = release_of(served.plan.engine) < (0, 15)
    return "auto" if is_old and kv_cache == "bf16" else _KV_CACHE[kv_cache]


def _graphs(served: Served, profile: Engine) -> dict[str, Any] | None:
    """Return the mode of CUDA graphs, and their sizes if the engine would choose others."""
    if (mode := served.engine.graph_mode) is None:
        return None
    sizes = None if mode == "none" else served.graph_sizes(profile)
    listed = {} if sizes is None else {"cudagraph_capture_sizes": list(sizes)}
    return {"cudagraph_mode": mode.upper(), **listed}


def _drafts(served: Served) -> dict[str, Any] | None:
    if (drafts := served.drafts) is None:
        return None
    written: dict[str, Any] = {
        "method": _METHODS[drafts.method],
        "num_speculative_tokens": drafts.tokens,
    }
    if drafts.model is not None:
        written["model"] = drafts.model
    return written


def keys_of(model: str | None, reading: Reading) -> Keys:
    """Return the keys of a pool, with the model, that arguments of `vllm serve` stand for."""
    keys = Keys(reading.text("--model") or model)
    tensor = reading.count("--tensor-parallel-size")
    data = reading.count("--data-parallel-size")
    keys.put("replica.tensor_parallel", tensor)
    keys.put("replica.pipeline_parallel", reading.whole("--pipeline-parallel-size"))
    keys.put("replica.data_parallel", data)
    if reading.switch("--enable-expert-parallel"):
        keys.put("replica.expert_parallel", tensor * data)
    read_vllm(keys, reading.text("--all2all-backend"))
    keys.precision("replica.weights", reading.text("--quantization"))
    keys.precision("replica.kv_cache", reading.text("--kv-cache-dtype"))
    keys.context = reading.length("--max-model-len")
    keys.put("batching.max_sequences", reading.whole("--max-num-seqs"))
    keys.put("batching.max_batched_tokens", reading.whole("--max-num-batched-tokens"))
    keys.put("kv.memory_fraction", reading.number("--gpu-memory-utilization"))
    keys.put("kv.block_tokens", reading.whole("--block-size"))
    keys.put("kv.watermark", reading.number("--watermark"))
    keys.put("batching.order", reading.text("--scheduling-policy"))
    keys.put("replica.engine.stream_interval", reading.whole("--stream-interval"))
    keys.put("batching.chunked_prefill", reading.switch("--enable-chunked-prefill"))
    cached = reading.switch("--enable-prefix-caching")
    keys.put("kv.prefix_caching", True if cached is None else cached)
    keys.put("replica.engine.async_scheduling", reading.switch("--async-scheduling"))
    reserves = reading.switch("--scheduler-reserve-full-isl")
    if reserves is not None:
        rule = "full_isl" if reserves else "first_chunk"
        keys.put("batching.capacity_scheduler_policy", rule)
    expert_options.read_vllm(keys, reading)
    _read_graphs(keys, reading)
    _read_drafts(keys, reading.mapping("--speculative-config"))
    roles = {own: role for role, own in _ROLES.items()}
    transfer = reading.mapping("--kv-transfer-config")
    keys.put("replica.role", roles.get(str(transfer.get("kv_role"))))
    if (size := reading.number("--kv-offloading-size")) is not None:
        keys.host_bytes = size * _GIB * data
    reading.has("--kv-offloading-backend", "--nnodes")
    return keys


def _read_graphs(keys: Keys, reading: Reading) -> None:
    config = reading.mapping("--compilation-config")
    mode = "none" if reading.has("--enforce-eager") else config.get("cudagraph_mode")
    keys.put("replica.engine.graph_mode", mode and str(mode).lower())
    sizes = config.get("cudagraph_capture_sizes") or []
    if isinstance(sizes, list) and all(type(size) is int for size in sizes) and sizes:
        keys.graph_sizes("tokens", sizes)
    elif largest := config.get("max_cudagraph_capture_size"):
        keys.put("replica.engine.graph_sizes", {"largest": largest, "per_sequence": None})


def _read_drafts(keys: Keys, config: Mapping[str, Any]) -> None:
    if not config:
        return
    methods = {own: method for method, own in _METHODS.items()}
    method = methods.get(str(config.get("method")))
    keys.drafts(config.get("num_speculative_tokens"), method, config.get("model"))
