"""Small machines and models for tests: cheap to simulate, quick to run out of room."""

from __future__ import annotations

from typing import Any

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.schema import catalog_entry

TINY_MODEL: dict[str, Any] = {
    "name": "tiny", "layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "ffn": 128, "vocabulary": 256, "max_context": 4096,
}  # fmt: skip

SMALL_GPU: dict[str, Any] = {
    "name": "small GPU",
    "memory": {"capacity": "10 GB", "bandwidth": "1 GB/s"},
    "peak": {"bf16": "1 GFLOP/s", "fp8": "2 GFLOP/s"},
    "efficiency": {
        "weight_bandwidth": {"bf16": 0.8}, "expert_bandwidth": 0.7, "kv_bandwidth": 0.6, "compute": {"bf16": 0.5, "fp8": 0.4},
        "expert_compute": 0.3, "attention_compute": 0.45, "knee": 3.0,
    },
    "overheads": {"default": {"step": "100 us", "sequence": "3 us", "layer": "20 us", "eager_layer": "700 us", "collective": 1.5}},
    "collectives": {"all_reduce": {"start": "9 us", "link_bandwidth": "0.4 GB/s", "one_shot": {"start": "5 us", "bandwidth": "0.1 GB/s"}}},
}  # fmt: skip


def model(name: str) -> Model:
    """A model of the catalog."""
    return Model.model_validate(catalog_entry("models", name))


def device(name: str) -> Device:
    """A device of the catalog."""
    return Device.model_validate(catalog_entry("devices", name))


def tiny_model(**changes: Any) -> Model:
    """Two layers of 64."""
    return Model.model_validate(TINY_MODEL | changes)


def small_gpu(**changes: Any) -> Device:
    """One GFLOP/s and one GB/s."""
    return Device.model_validate(SMALL_GPU | changes)


def node(kind: Any, devices: int = 1) -> dict[str, Any]:
    """A node of `devices` with an instant network, as a scenario writes it."""
    return {
        "name": "test node",
        "device": kind,
        "devices": devices,
        "links": [
            {"between": ["host", "device"], "kind": "wire", "bandwidth": "1 GB/s", "latency": "0 s"}
        ],
        "network": {
            "links": [
                {
                    "between": ["front_door", "node"],
                    "kind": "wire",
                    "bandwidth": "1 GB/s",
                    "latency": "0 s",
                }
            ]
        },
    }


def engine(**changes: Any) -> dict[str, Any]:
    """An engine without reserves, as a scenario writes it."""
    limits = {
        "max_sequences": 64,
        "max_batched_tokens": 512,
        "chunked_prefill": True,
        "block_tokens": 16,
        "memory_fraction": 1.0,
    }
    return {"name": "test engine", "reserved": "0 B", "reserved_group": "0 B"} | limits | changes


TWO_GPUS = """
seed: 3
duration: 40 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 8 /s}
  prompt_tokens: 1000
  output_tokens: {distribution: uniform, low: 2, high: 200}
slo: {ttft: 100 ms, tpot: 15 ms}
cluster:
  pools:
    - {name: gpus, node: dgx-h100, replicas: 2, replica: {tensor_parallel: 1}}
variants:
  h100: {}
  a100: {cluster: {pools: [{name: gpus, node: dgx-a100, replicas: 2, replica: {tensor_parallel: 1}}]}}
"""
"""Of a scenario file, what follows its name: a small service on one kind of GPU and on an older
one; more variants may follow."""
