"""Scenarios of measured runs."""

from __future__ import annotations

import re
from math import ceil
from typing import Any

from cluster_sim.calibration.measured_models import model_keys
from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, catalog_names, describe, under
from cluster_sim.serving.disaggregation import Role
from cluster_sim.validation import (
    apart_recipes,
    mlperf,
    mlperf_rounds,
    sglang_recipes,
    trtllm_recipes,
    vllm_recipes,
    wide_recipes,
)
from cluster_sim.validation.layouts import Group
from cluster_sim.validation.machines import machine_of
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import NODES, PRECISIONS, model_name, node_devices
from cluster_sim.validation.recipe import Recipe
from cluster_sim.validation.stated_settings import (
    stated_batching,
    stated_engine,
    stated_kv_cache,
    stated_memory_fraction,
)
from cluster_sim.validation.workloads import workload_of


def scenario_of(measured: MeasuredRun) -> Scenario:
    """Return the scenario of a measured run.

    `workload_of` gives the workload. The KV cache has fp8, or bf16 if the weights have bf16. MLPerf
    runs have NVIDIA's limits, see `mlperf.limits`. `trtllm_recipes` gives the settings of
    other runs of TensorRT-LLM. For queued requests of other engines only the KV cache capacity
    limits the batch.

    Parameters
    ----------
    measured
        Measured run.

    Raises
    ------
    ScenarioError
        The model does not fit on the hardware.
    """
    model = model_name(measured.model)
    is_extra = model in catalog_names("measured_models")
    if measured.prefill is None:
        pools = [_pool(measured, measured.group, "both") | {"name": "pool"}]
    else:
        pools = [
            _pool(measured, measured.prefill, "prefill") | {"name": "prefill"},
            _pool(measured, measured.group, "decode") | {"name": "decode"},
        ]
    data = {
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "-", measured.name),
        "seed": 1,
        "drain": "1000 h",
        "model": model_keys(model) if is_extra else model,
        "workload": workload_of(measured, model),
        "cluster": {"pools": pools} | _routing(measured),
    }
    scenario = describe(Scenario, Document(data, measured.name))
    if faults := [
        Fault(measured.name, f"{under(trail)}{text}") for trail, text in faults_of(scenario)
    ]:
        raise ScenarioError(faults)
    return scenario


def _routing(measured: MeasuredRun) -> dict[str, Any]:
    """Return the policies by which requests reach pools apart; empty for those of a scenario.

    Dynamo's frontend gives each worker requests in turn: `--router-mode` is round-robin by default
    (components/src/dynamo/frontend of ai-dynamo/dynamo), and no recipe sets another.
    """
    if not apart_recipes.is_apart(measured):
        return {}
    return {
        "router": {"policy": "round_robin"},
        "disaggregation": {"policy": "fixed_turns"},
    }


def _pool(measured: MeasuredRun, group: Group, role: Role) -> dict[str, Any]:
    """Return the keys of the pool that holds one group's replicas, without its name."""
    settings = settings_of(measured, role)
    fraction = settings.memory_fraction
    nodes = measured.wafers or _nodes(node_devices(measured.hardware), group)
    return {
        "node": NODES.get(measured.hardware, measured.hardware),
        "nodes": nodes,
        "replicas": group.replicas,
        "replica": _replica(measured, group, settings)
        | {"engine": _engine(measured, settings)}
        | ({} if role == "both" else {"role": role}),
        "batching": settings.batching,
        "kv": {"prefix_caching": measured.load in ("sessions", "agents")}
        | ({} if fraction is None else {"memory_fraction": fraction}),
    }


def _nodes(node_devices: int, group: Group) -> int:
    """Return the number of nodes of a pool; a group wider than a node takes whole nodes."""
    per_node = node_devices // group.devices
    if per_node or not node_devices:
        return ceil(group.replicas / max(per_node, 1))
    return group.replicas * ceil(group.devices / node_devices)


def _replica(measured: MeasuredRun, group: Group, settings: Recipe) -> dict[str, Any]:
    """Return the keys of a replica: precision, wafers or parallelism, and speculation."""
    precision = PRECISIONS[measured.precision]
    plan: dict[str, Any] = {
        "weights": precision,
        "kv_cache": stated_kv_cache(measured)
        or settings.kv_cache
        or ("bf16" if precision == "bf16" else "fp8"),
    }
    if measured.hardware == "CS-3":
        plan |= {"wafers": measured.wafers}
    else:
        plan |= {
            name: getattr(group, name)
            for name in ("tensor_parallel", "data_parallel", "expert_parallel")
        }
    if measured.drafts is not None:
        plan["speculation"] = measured.drafts.keys(measured.hardware)
    return plan | settings.plan


def _engine(measured: MeasuredRun, settings: Recipe) -> str | dict[str, Any]:
    """Return the engine profile of a run, with the changes of its script."""
    profile = measured.release.profile
    return {"like": profile, **settings.engine} if settings.engine else profile


def settings_of(measured: MeasuredRun, role: Role = "both") -> Recipe:
    """Return changes of the engine, batching limits and the share of memory of a pool of a run.

    Parameters
    ----------
    measured
        Measured run.
    role
        Phase of the pool, if the run has pools apart for prefill and decode.
    """
    if role != "both" and apart_recipes.is_apart(measured):
        return apart_recipes.recipe_of(measured, role)
    if (newer := mlperf_rounds.limits_v6(measured)) is not None:
        batching, engine, fraction = newer
        return Recipe(engine, batching, fraction, "fp8")
    if measured.load in wide_recipes.ALONE:
        model, _ = machine_of(measured.model, measured.hardware)
        return _with_stated(measured, wide_recipes.recipe_of(measured, model))
    known = mlperf.limits(measured, model_name(measured.model))
    if known is not None:
        return Recipe({}, known)
    profile, settings = measured.release.profile, vllm_recipes.recipe_of(measured)
    if profile.startswith("trtllm-1"):
        settings = trtllm_recipes.recipe_of(
            measured, *machine_of(measured.model, measured.hardware)
        )
    elif profile.startswith("sglang"):
        settings = sglang_recipes.recipe_of(measured)
    if measured.load == "queued" and not profile.startswith("trtllm-1"):
        limits = {"max_sequences": 8192, "max_batched_tokens": 16384}
        settings = settings._replace(batching=limits | settings.batching)
    return _with_stated(measured, settings)


def _with_stated(measured: MeasuredRun, settings: Recipe) -> Recipe:
    """Return settings with those that the run states in their place."""
    return settings._replace(
        engine=settings.engine | stated_engine(measured),
        batching=settings.batching | stated_batching(measured),
        memory_fraction=stated_memory_fraction(measured) or settings.memory_fraction,
    )
