"""Sizes of a model as a scenario serves it, and the keys of its file."""

from __future__ import annotations

from typing import Any

from cluster_sim.analysis.model_layers import layers_by_kind, read_from
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WEIGHT_PARTS
from cluster_sim.physics.kv_sizes import INDEX_BYTES, growing_kv_bytes, state_bytes, window_kv_bytes
from cluster_sim.scenario.scenario import Scenario


def model_facts(scenario: Scenario) -> dict[str, Any]:
    """Return the sizes of a scenario's model, and of its weights and cache in each pool.

    Active parameters include embedding and output head. Biases are not counted. The cache per token
    is that of all layers that see the whole context; caches of windows and index keys are separate.
    `read_from` has the keys of the config.json from which each figure follows.
    """
    model = scenario.model
    table = 0 if model.tied_embeddings else model.vocabulary * model.hidden
    return {
        "scenario": scenario.title,
        "model": model.name,
        "layers": model.layers,
        "window_layers": sum(kind.layers for kind in model.attention if kind.window_tokens),
        "window_tokens": max((kind.window_tokens for kind in model.attention), default=0) or None,
        "layers_by_kind": layers_by_kind(model),
        "max_context": model.max_context,
        "parameters_total": model.total_parameters,
        "parameters_active": model.active_parameters + table,
        "parameters_active_without_input_embedding": model.active_parameters,
        "native_precision": model.native,
        "pools": [
            {"pool": deployment.pool.name}
            | _stored(model, deployment.weights, deployment.pool.replica.kv_cache)
            | _memory(deployment)
            for deployment in resolve(scenario).deployments
        ],
        "read_from": read_from(model),
        "notes": list(model.notes or ()),
    }


def _stored(model: Model, weights: Precision, kv_cache: Precision) -> dict[str, Any]:
    """Return the bytes of weights by their stored format, and of cached tokens."""
    by_format: dict[str, float] = {}
    for part in WEIGHT_PARTS:
        stored = model.stored_in(weights, part)
        name = {"fp4": model.fp4_format, "fp8": model.fp8_format}.get(stored, stored)
        by_format[name] = by_format.get(name, 0.0) + model.part_bytes(weights, part)
    index = INDEX_BYTES * sum(kind.layers * kind.index_values() for kind in model.attention)
    return {
        "weights": weights,
        "weight_bytes": model.weight_bytes(weights),
        "weight_bytes_by_format": {name: size for name, size in by_format.items() if size},
        "kv_cache": kv_cache,
        "kv_bytes_per_token": growing_kv_bytes(model, kv_cache) - index,
        "index_bytes_per_token": index,
        "window_kv_bytes_per_token": window_kv_bytes(model, kv_cache),
        "state_bytes_per_sequence": state_bytes(model),
    }


def _memory(deployment: Deployment) -> dict[str, Any]:
    """Return the content of a device's memory, and the number of tokens that a replica caches.

    All wafers of a replica count as one device.
    """
    placement = deployment.placement
    return {
        "memory_per_device": {
            "weights": placement.weight_bytes,
            "runtime": placement.reserved_bytes
            - placement.activation_bytes
            - placement.graph_bytes,
            "experts_and_sampler": placement.activation_bytes,
            "kv_cache": placement.kv_bytes,
        }
        | ({"graphs": placement.graph_bytes} if placement.graph_bytes else {}),
        "kv_tokens": deployment.kv_tokens,
    }
