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


# A board that draws 400 W whatever it runs, most of it as its clock allows, and is warm within a
# second or two: 20 J/K · 0.03 K/W = 0.6 s.
POWER = {
    "limit": "400 W", "idle": "50 W", "loaded_idle": "100 W", "busy": "150 W", "active": "250 W", "memory": "0 J/B", "flop": {"bf16": "0 J/FLOP"},
    "memory_idle": "40 W",
}  # fmt: skip
COOLING = {
    "medium": "air", "die_to_sink": "0.02 K/W", "memory_to_sink": "0.1 K/W", "die_to_memory": "1 K/W", "sink_to_coolant": "0.03 K/W",
    "coolant_rise": "0.01 K/W", "preheat": "0.02 K/W", "die": "2 J/K", "memory": "2 J/K", "sink": "20 J/K", "coolant_lag": "0.1 s", "front": 1,
}  # fmt: skip
GOVERNOR = {
    "clock": "1 GHz", "floor": "0.3 GHz", "step": "15 MHz", "power_sample_period": "100 ms", "power_window": "25 ms", "thermal_period": "20 ms", "thermal_response": "100 ms", "hysteresis": "3 K",
    "slowdown_factor": 0.5, "slowdown_hold": "0.2 s",
}  # fmt: skip
LIMITS = {"operating": "50 degC", "slowdown": "60 degC", "shutdown": "80 degC", "memory": "70 degC"}
REFRESH = {"double": "45 degC", "double_share": 0.9, "quadruple": "65 degC", "quadruple_share": 0.7}

WAFER: dict[str, Any] = {
    "name": "small wafer", "memory": {"capacity": "1 MB", "bandwidth": "1 TB/s"}, "peak": {"bf16": "4 GFLOP/s"},
    "wafer": {
        "columns": 20, "rows": 30, "clock": "1 MHz", "weight_fill": 0.8, "memory_fill": 0.95, "core": "100 us",
        "collectives": 2.0, "token": "300 us", "wafer_hop": "50 us", "compute": 0.4,
    },
    "power": {"limit": "18 kW", "idle": "4 kW", "loaded_idle": "4 kW", "busy": "11 kW", "memory": "0 J/B", "flop": {"bf16": "7 uJ/FLOP"}},
}  # fmt: skip

TIERS = [
    {"tier": "host", "capacity": "50 kB", "bandwidth": "100 MB/s"},
    {"tier": "nvme", "capacity": "200 kB", "bandwidth": "20 MB/s"},
]


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
    limits: dict[str, Any] = {
        "max_sequences": 64,
        "max_batched_tokens": 512,
        "chunked_prefill": True,
        "block_tokens": 16,
    }
    if "static_reserve" not in changes:  # which gives the share of the memory
        limits["memory_fraction"] = 1.0
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
