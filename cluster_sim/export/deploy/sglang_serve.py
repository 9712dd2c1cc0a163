"""Arguments of `sglang.launch_server`, and the settings of a pool that they stand for.

Source
------
SGLang 0.5.10, `sglang/srt/server_args.py`; 0.5.23, `sglang/srt/arg_groups/fields/*.py`. Names that both have
are preferred. The size of chunks and the number of running requests are those of all attention
data-parallel ranks together there (0.5.10, _handle_data_parallelism; 0.5.23, `parallel_hook.py`).
"""

from __future__ import annotations

from typing import Any

from cluster_sim.export.deploy import expert_options
from cluster_sim.export.deploy.arguments import Reading
from cluster_sim.export.deploy.exchanges import read_sglang, sglang_options
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.option_table import release_of
from cluster_sim.export.deploy.served import Method, Served
from cluster_sim.serving.engine import Engine

_WEIGHTS = {"fp8": "fp8", "fp4": "modelopt_fp4"}
_KV_CACHE = {"bf16": "bfloat16", "fp8": "fp8_e4m3", "fp4": "nvfp4"}
_METHODS: dict[Method, str] = {
    "mtp": "NEXTN",
    "eagle3": "EAGLE3",
    "dflash": "DFLASH",
    "dspark": "DSPARK",
    "draft_model": "STANDALONE",
    "n_gram": "NGRAM",
}
_GB = 1e9


def options(served: Served, profile: Engine) -> dict[str, Any]:
    """Return the options of `sglang.launch_server` for one replica.

    Parameters
    ----------
    served
        Settings of the pool.
    profile
        Engine of the catalog, whose sizes of CUDA graphs need no option.
    """
    plan, pool, data = served.plan, served.deployment.pool, served.plan.data_parallel
    written: dict[str, Any] = {
        "--model-path": served.loaded_model,
        "--tp-size": served.stage_devices,
        "--pp-size": plan.pipeline_parallel,
        "--dp-size": data,
        "--enable-dp-attention": data > 1,
        "--ep-size": plan.expert_parallel,
        "--nnodes": served.nodes if served.nodes > 1 else None,
        "--quantization": served.weights and _WEIGHTS.get(served.weights),
        "--kv-cache-dtype": _kv_cache(served),
        "--context-length": served.context,
        "--max-running-requests": served.sequences * data,
        "--mem-fraction-static": served.memory_fraction,
        "--page-size": pool.block_tokens,
        "--disable-radix-cache": not pool.kv.prefix_caching,
        "--disable-overlap-schedule": not served.engine.async_scheduling,
        "--stream-interval": served.engine.stream_interval,
        "--enable-priority-scheduling": served.rules.get("order") == "priority",
        "--schedule-low-priority-values-first": served.rules.get("order") == "priority",
    }
    if served.tokens is not None:
        written["--chunked-prefill-size"] = served.tokens * data if pool.chunked_prefill else -1
    written |= _rules(served) | _graphs(served, profile) | _drafts(served)
    written |= sglang_options(served) | expert_options.of_sglang(served)
    if data > 1 and (method := served.rules.get("load_balance_method")) in _BALANCED:
        written["--load-balance-method"] = method
    if plan.role != "both":
        written["--disaggregation-mode"] = plan.role
        written["--disaggregation-transfer-backend"] = "nixl"
    if served.host_bytes is not None:
        share = served.host_bytes / served.deployment.devices_per_replica / _GB
        if share.is_integer():  # the option takes whole gigabytes per device
            written["--enable-hierarchical-cache"] = True
            written["--hicache-size"] = int(share)
    return written


def _rules(served: Served) -> dict[str, Any]:
    """Return the options of steps that prefill instead of decode."""
    if (rules := served.prefill_first) is None:
        return {}
    return {
        "--schedule-policy": rules.schedule_policy,
        "--max-prefill-tokens": rules.max_prefill_tokens,
        "--enable-mixed-chunk": rules.mixed_chunks,
        "--schedule-conservativeness": rules.conservativeness,
        "--scheduler-recv-interval": rules.receive_interval,
    }


def _graphs(served: Served, profile: Engine) -> dict[str, Any]:
    """Return options of CUDA graphs, if the engine would choose others.

    The sizes have one name up to 0.5.10 and another by 0.5.23; the table of options keeps one.
    """
    if served.engine.graph_mode == "none":
        return {"--disable-cuda-graph": True}
    if served.engine.graph_mode != "full_decode_only":
        return {}
    sizes = served.graph_sizes(profile)
    if sizes is None:
        return {}
    return {"--cuda-graph-bs-decode": list(sizes), "--cuda-graph-bs": list(sizes)}


def _kv_cache(served: Served) -> str:
    """Return the format of the KV cache; 0.4 has no name for 16 bit, which is its default."""
    kv_cache = served.plan.kv_cache
    is_old = release_of(served.plan.engine) < (0, 5)
    return "auto" if is_old and kv_cache == "bf16" else _KV_CACHE[kv_cache]


def _drafts(served: Served) -> dict[str, Any]:
    if (drafts := served.drafts) is None:
        return {}
    written: dict[str, Any] = {"--speculative-algorithm": _METHODS[drafts.method]}
    if drafts.model is not None:
        written["--speculative-draft-model-path"] = drafts.model
    if drafts.method != "n_gram":
        written |= {"--speculative-num-steps": drafts.tokens, "--speculative-eagle-topk": 1}
    # the verified tokens are the drafts and the last token before them
    return written | {"--speculative-num-draft-tokens": drafts.tokens + 1}


_BALANCED = ("round_robin", "total_requests", "total_tokens")
"""Rules of SGLang by which requests are sent to attention ranks."""


def keys_of(reading: Reading) -> Keys:
    """Return the keys of a pool, with the model, that arguments of SGLang stand for."""
    keys = Keys(reading.text("--model-path", "--model"))
    devices = reading.count("--tp-size", "--tensor-parallel-size", "--tp")
    data = _ranks(reading)
    keys.put("replica.tensor_parallel", devices // data)
    keys.put("replica.data_parallel", data)
    keys.put(
        "replica.pipeline_parallel", reading.whole("--pp-size", "--pipeline-parallel-size", "--pp")
    )
    keys.put(
        "replica.expert_parallel", reading.whole("--ep-size", "--expert-parallel-size", "--ep")
    )
    read_sglang(keys, reading.text("--moe-a2a-backend"), reading.text("--deepep-mode"))
    keys.precision("replica.weights", reading.text("--quantization"))
    keys.precision("replica.kv_cache", reading.text("--kv-cache-dtype"))
    keys.context = reading.length("--context-length")
    method = reading.text("--load-balance-method")
    keys.put("batching.load_balance_method", method if method in _BALANCED else None)
    if (running := reading.whole("--max-running-requests")) is not None:
        keys.put("batching.max_sequences", running // data)
    if (chunk := reading.whole("--chunked-prefill-size")) is not None:
        keys.put("batching.chunked_prefill", chunk > 0)
        keys.put("batching.max_batched_tokens", chunk // data if chunk > 0 else None)
    keys.put("kv.memory_fraction", reading.number("--mem-fraction-static"))
    keys.put("kv.block_tokens", reading.whole("--page-size"))
    keys.put("kv.prefix_caching", not reading.has("--disable-radix-cache"))
    keys.put("replica.engine.async_scheduling", not reading.has("--disable-overlap-schedule"))
    keys.put("replica.engine.stream_interval", reading.whole("--stream-interval"))
    if reading.has("--enable-priority-scheduling"):
        keys.put("batching.order", "priority")
    expert_options.read_sglang(keys, reading)
    _read_rules(keys, reading)
    _read_graphs(keys, reading)
    _read_drafts(keys, reading)
    role = reading.text("--disaggregation-mode")
    keys.put("replica.role", role if role in ("prefill", "decode") else None)
    if reading.has("--enable-hierarchical-cache") and (size := reading.whole("--hicache-size")):
        stages = keys.values.get("replica.pipeline_parallel", 1)
        keys.host_bytes = size * _GB * devices * stages
    reading.has("--schedule-low-priority-values-first", "--disaggregation-transfer-backend")
    reading.has("--nnodes")
    return keys


def _ranks(reading: Reading) -> int:
    """Return the number of attention data-parallel ranks, by either way to write it."""
    width = reading.count("--attn-dp-size", "--attention-data-parallel-size")
    data = reading.count("--dp-size", "--data-parallel-size", "--dp")
    return width if width > 1 else (data if reading.has("--enable-dp-attention") else 1)


def _read_rules(keys: Keys, reading: Reading) -> None:
    rules = "batching.prefill_first"
    keys.put(f"{rules}.schedule_policy", reading.text("--schedule-policy"))
    keys.put(f"{rules}.max_prefill_tokens", reading.whole("--max-prefill-tokens"))
    keys.put(f"{rules}.conservativeness", reading.number("--schedule-conservativeness"))
    keys.put(f"{rules}.receive_interval", reading.whole("--scheduler-recv-interval"))
    if reading.has("--enable-mixed-chunk"):
        keys.values[f"{rules}.mixed_chunks"] = True


def _read_graphs(keys: Keys, reading: Reading) -> None:
    is_off = reading.text("--cuda-graph-backend-decode") == "disabled"
    if reading.has("--disable-cuda-graph") or is_off:
        keys.put("replica.engine.graph_mode", "none")
    if sizes := reading.wholes("--cuda-graph-bs-decode", "--cuda-graph-bs"):
        keys.graph_sizes("sequences", sizes)
    elif largest := reading.whole("--cuda-graph-max-bs-decode", "--cuda-graph-max-bs"):
        keys.put("replica.engine.graph_sizes", {"largest": largest})


def _read_drafts(keys: Keys, reading: Reading) -> None:
    algorithm = reading.text("--speculative-algorithm")
    steps = reading.whole("--speculative-num-steps")
    tokens = reading.whole("--speculative-num-draft-tokens")
    model = reading.text("--speculative-draft-model-path", "--speculative-draft-model")
    reading.has("--speculative-eagle-topk")
    if algorithm is None:
        return
    methods: dict[str, Method] = {own: method for method, own in _METHODS.items()}
    methods["EAGLE"] = "mtp"
    drafted = steps or (None if tokens is None else tokens - 1)
    keys.drafts(drafted, methods.get(algorithm.upper()), model)
