"""ReplicaLayout: parallelism, precisions and engine of one replica on GPUs."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from cluster_sim.hardware.precision import Precision


class Hops(NamedTuple):
    """Hops from one pipeline stage to the next one on a different node."""

    times: int = 0
    """Number of such hops per token."""
    latency_s: float = 0.0
    """Latency of one hop [s]."""
    bytes_per_s: float = inf
    """Bandwidth of one hop over the links of all devices of a stage [B/s]."""


class ReplicaLayout(NamedTuple):
    """Parallelism, precisions and engine of one replica; the default is one GPU in 16 bit."""

    tensor_parallel: int = 1
    """Number of devices that share each layer."""
    pipeline_parallel: int = 1
    """Number of pipeline stages."""
    weights: Precision = "bf16"
    """Precision of the weights."""
    kv_cache: Precision = "bf16"
    """Precision of the KV cache."""
    engine: str = ""
    """Name of the engine, for its overheads on the device."""
    data_parallel: int = 1
    """Number of ranks of attention data parallelism."""
    expert_parallel: int = 1
    """Number of groups over which experts are spread."""
    graph_batches: tuple[int, ...] = ()
    """Batch sizes for which CUDA graphs are captured; empty: batches are not padded."""
    between_nodes: Hops = Hops()
    """Hops of the pipeline that leave a node."""
