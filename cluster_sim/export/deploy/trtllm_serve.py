"""Options of `trtllm-serve`, and the settings of a pool that they stand for.

The options are keys of the YAML file of `--extra_llm_api_options`. Limits hold per attention
data-parallel rank, and `tensor_parallel_size` counts all devices of a pipeline stage.

Source
------
TensorRT-LLM @0004396, `tensorrt_llm/usage/llm_args_golden_manifest.json`, a list of the fields of TorchLlmArgs that
the project checks in its tests; `commands/serve.py` for `--server_role`; documentation 1.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.export.deploy import expert_options
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.served import Method, Served
from cluster_sim.serving.engine import Engine

_KV_CACHE = {"bf16": "bfloat16", "fp8": "fp8", "fp4": "nvfp4"}
_POLICIES = {
    "guaranteed_no_evict": "GUARANTEED_NO_EVICT",
    "max_utilization": "MAX_UTILIZATION",
}
_METHODS: dict[Method, str] = {
    "mtp": "MTP",
    "eagle3": "Eagle3",
    "dflash": "DFlash",
    "dspark": "DSpark",
    "draft_model": "Draft_Target",
    "n_gram": "NGram",
}
ROLES = {"prefill": "CONTEXT", "decode": "GENERATION"}
"""Values of `--server_role` by role."""


def model(served: Served) -> str:
    """Return the model that is loaded: its checkpoint decides on the precision of the weights."""
    return served.quantised_model or served.base_model


def options(served: Served, profile: Engine) -> dict[str, Any]:
    """Return the keys of the YAML file for one replica.

    Parameters
    ----------
    served
        Settings of the pool.
    profile
        Engine of the catalog, whose sizes of CUDA graphs need no list.
    """
    plan, pool, rules = served.plan, served.deployment.pool, served.rules
    scheduler: dict[str, Any] = {}
    if policy := _POLICIES.get(str(rules.get("capacity_scheduler_policy"))):
        scheduler["capacity_scheduler_policy"] = policy
    if rules.get("order") == "priority":
        scheduler["waiting_queue_policy"] = "priority"
    written: dict[str, Any] = {
        "tensor_parallel_size": served.stage_devices,
        "pipeline_parallel_size": plan.pipeline_parallel,
        "moe_expert_parallel_size": plan.expert_parallel,
        "enable_attention_dp": plan.data_parallel > 1,
        "max_batch_size": served.sequences,
        "max_seq_len": served.context,
        "enable_chunked_prefill": pool.chunked_prefill,
        "kv_cache_config": _kv_cache(served),
        "scheduler_config": scheduler,
        "cuda_graph_config": _graphs(served, profile),
        "disable_overlap_scheduler": not served.engine.async_scheduling,
        "stream_interval": served.engine.stream_interval,
    }
    if served.tokens is not None:
        written["max_num_tokens"] = served.tokens
    written |= _waits(rules) | _drafts(served) | expert_options.of_trtllm(served)
    if plan.role != "both":
        written["cache_transceiver_config"] = {"backend": "DEFAULT"}
    return {key: value for key, value in written.items() if value != {}}


def _kv_cache(served: Served) -> dict[str, Any]:
    """Return the section about the KV cache."""
    pool = served.deployment.pool
    kv_cache: dict[str, Any] = {
        "dtype": _KV_CACHE[served.plan.kv_cache],
        "enable_block_reuse": pool.kv.prefix_caching,
        "tokens_per_block": pool.block_tokens,
    }
    if served.memory_fraction is not None:
        kv_cache["free_gpu_memory_fraction"] = served.memory_fraction
    if served.host_bytes is not None:  # the option counts each device's part
        kv_cache["host_cache_size"] = int(
            served.host_bytes // served.deployment.devices_per_replica
        )
    return kv_cache


def _graphs(served: Served, profile: Engine) -> dict[str, Any] | None:
    """Return the sizes of CUDA graphs. Their padding is off unless it is asked for."""
    mode, sizes = served.engine.graph_mode, served.engine.graph_sizes
    if mode is None:
        return {}
    if mode == "none" or sizes is None or not sizes.captured(served.limits):
        return None
    listed = served.graph_sizes(profile)
    if listed is not None:
        return {"enable_padding": sizes.padding, "batch_sizes": list(listed)}
    return {
        "enable_padding": sizes.padding,
        "max_batch_size": max(sizes.captured(served.limits)),
    }


def _waits(rules: Mapping[str, object]) -> dict[str, Any]:
    """Return the rules by which new requests are held back."""
    written: dict[str, Any] = {}
    if rules.get("batch_wait_timeout_iterations") or rules.get("batch_wait_max_tokens_ratio"):
        written["batch_wait_timeout_iters"] = rules["batch_wait_timeout_iterations"]
        written["batch_wait_max_tokens_ratio"] = rules["batch_wait_max_tokens_ratio"]
    if rules.get("attention_dp_timeout_iterations"):
        written["attention_dp_config"] = {
            "enable_balance": True,
            "timeout_iters": rules["attention_dp_timeout_iterations"],
            "batching_wait_iters": rules["attention_dp_batching_wait_iterations"],
        }
    return written


def _drafts(served: Served) -> dict[str, Any]:
    if (drafts := served.drafts) is None:
        return {}
    length = "num_nextn_predict_layers" if drafts.method == "mtp" else "max_draft_len"
    written = {"decoding_type": _METHODS[drafts.method], length: drafts.tokens}
    if drafts.model is not None:
        written["speculative_model"] = drafts.model
    return {"speculative_config": written}


def keys_of(name: str | None, options: Mapping[str, Any], role: str | None, where: str) -> Keys:
    """Return the keys of a pool, with the model, that options of TensorRT-LLM stand for."""
    keys = Keys(name)
    read = dict(options)
    _check(read, where)
    devices = read.pop("tensor_parallel_size", 1)
    data = devices if read.pop("enable_attention_dp", False) else 1
    keys.put("replica.tensor_parallel", devices // data)
    keys.put("replica.data_parallel", data)
    for key, option in (
        ("replica.pipeline_parallel", "pipeline_parallel_size"),
        ("replica.expert_parallel", "moe_expert_parallel_size"),
        ("batching.max_sequences", "max_batch_size"),
        ("batching.max_batched_tokens", "max_num_tokens"),
        ("replica.engine.stream_interval", "stream_interval"),
        ("batching.batch_wait_timeout_iterations", "batch_wait_timeout_iters"),
        ("batching.batch_wait_max_tokens_ratio", "batch_wait_max_tokens_ratio"),
    ):
        keys.put(key, read.pop(option, None))
    keys.context = read.pop("max_seq_len", None)
    keys.put("batching.chunked_prefill", bool(read.pop("enable_chunked_prefill", False)))
    is_off = bool(read.pop("disable_overlap_scheduler", False))
    keys.put("replica.engine.async_scheduling", not is_off)
    _read_kv_cache(keys, read.pop("kv_cache_config", None) or {}, devices)
    scheduler = read.pop("scheduler_config", None) or {}
    policies = {own: policy for policy, own in _POLICIES.items()}
    policy = policies.get(str(scheduler.get("capacity_scheduler_policy")).upper())
    keys.put("batching.capacity_scheduler_policy", policy)
    if scheduler.get("waiting_queue_policy") == "priority":
        keys.put("batching.order", "priority")
    limit = keys.values.get("batching.max_sequences")
    _read_graphs(keys, read.pop("cuda_graph_config", {}), limit)
    balance = read.pop("attention_dp_config", None) or {}
    if balance.get("enable_balance"):
        keys.put("batching.attention_dp_timeout_iterations", balance.get("timeout_iters"))
        waits = balance.get("batching_wait_iters")
        keys.put("batching.attention_dp_batching_wait_iterations", waits)
    _read_drafts(keys, read.pop("speculative_config", None))
    expert_options.read_trtllm(keys, read.pop("moe_config", None) or {}, where)
    read.pop("cache_transceiver_config", None)
    roles = {own: role for role, own in ROLES.items()}
    keys.put("replica.role", roles.get(str(role).upper()))
    if read:
        keys.notes.append(f"options that are not read: {', '.join(map(str, read))}")
    return keys


_SECTIONS = (
    "kv_cache_config",
    "scheduler_config",
    "cuda_graph_config",
    "attention_dp_config",
    "speculative_config",
)


def _check(options: Mapping[str, Any], where: str) -> None:
    """Raise ScenarioError for sections that are no mappings, and for a number that is none."""
    for name in _SECTIONS:
        value = options.get(name) or {}
        if not isinstance(value, dict):
            raise ScenarioError.at(where, f"{name}: got {shown(value)}; expected a mapping")
    numbers = {name: options.get(name) for name in ("tensor_parallel_size", "pipeline_parallel_size")}  # fmt: skip
    numbers["host_cache_size"] = (options.get("kv_cache_config") or {}).get("host_cache_size")
    for name, value in numbers.items():
        if value is not None and (type(value) is not int or value < (name != "host_cache_size")):
            raise ScenarioError.at(where, f"{name}: got {shown(value)}; expected a whole number")
    sizes = (options.get("cuda_graph_config") or {}).get("batch_sizes") or []
    if not isinstance(sizes, list) or any(type(size) is not int for size in sizes):
        raise ScenarioError.at(
            where, f"batch_sizes: got {shown(sizes)}; expected a list of whole numbers"
        )


def _read_kv_cache(keys: Keys, config: Mapping[str, Any], devices: int) -> None:
    keys.precision("replica.kv_cache", config.get("dtype"))
    keys.put("kv.prefix_caching", bool(config.get("enable_block_reuse", True)))
    keys.put("kv.block_tokens", config.get("tokens_per_block"))
    keys.put("kv.memory_fraction", config.get("free_gpu_memory_fraction"))
    if size := config.get("host_cache_size"):
        keys.host_bytes = float(size) * devices * keys.values.get("replica.pipeline_parallel", 1)


def _read_graphs(keys: Keys, config: Mapping[str, Any] | None, limit: int | None) -> None:
    if config is None:
        keys.put("replica.engine.graph_mode", "none")
        return
    padding = bool(config.get("enable_padding", False))
    if sizes := config.get("batch_sizes"):
        keys.graph_sizes("sequences", sizes, padding=padding)
        return
    rule: dict[str, Any] = {} if padding else {"padding": False}
    if (largest := config.get("max_batch_size")) not in (None, limit):
        rule["largest"] = largest
    keys.put("replica.engine.graph_sizes", rule or None)


def _read_drafts(keys: Keys, config: Mapping[str, Any] | None) -> None:
    if not config:
        return
    methods = {own.upper(): method for method, own in _METHODS.items()}
    method = methods.get(str(config.get("decoding_type")).upper())
    tokens = config.get("max_draft_len") or config.get("num_nextn_predict_layers")
    keys.drafts(tokens, method, config.get("speculative_model"))
