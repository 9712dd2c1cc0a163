"""Keys of scenario files by the names that vLLM has for them, for hints in messages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_POOL = "cluster.pools[0]"

FOREIGN_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "quantization": f"{_POOL}.replica.weights",
        "dtype": f"{_POOL}.replica.weights",
        "precision": f"{_POOL}.replica.weights",
        "kv_cache_dtype": f"{_POOL}.replica.kv_cache",
        "tensor_parallel_size": f"{_POOL}.replica.tensor_parallel",
        "pipeline_parallel_size": f"{_POOL}.replica.pipeline_parallel",
        "data_parallel_size": f"{_POOL}.replica.data_parallel",
        "enable_expert_parallel": f"{_POOL}.replica.expert_parallel",
        "speculative_config": f"{_POOL}.replica.speculation",
        "max_num_seqs": f"{_POOL}.batching.max_sequences",
        "max_num_batched_tokens": f"{_POOL}.batching.max_batched_tokens",
        "enable_chunked_prefill": f"{_POOL}.batching.chunked_prefill",
        "gpu_memory_utilization": f"{_POOL}.kv.memory_fraction",
        "enable_prefix_caching": f"{_POOL}.kv.prefix_caching",
        "block_size": f"{_POOL}.kv.block_tokens",
        "swap_space": f"{_POOL}.kv.swap_space",
        "max_model_len": "model.max_context",
        "request_rate": "workload.arrivals.rate",
        "max_concurrency": "workload.arrivals.concurrency",
        "max_tokens": "workload.max_output_tokens",
        "max_completion_tokens": "workload.max_output_tokens",
        "max_new_tokens": "workload.max_output_tokens",
        "num_prompts": "workload.arrivals.requests",
        "replica": f"{_POOL}.replica",
        "batching": f"{_POOL}.batching",
        "kv": f"{_POOL}.kv",
        "engine": f"{_POOL}.replica.engine",
    }
)
"""Key of a scenario, with the first pool, by the name of an option of vLLM or of a section alone."""
