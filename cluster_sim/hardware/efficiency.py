"""Shares that kernels reach of a data sheet, and times that an engine adds to its kernels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.precision import ByPrecision
from cluster_sim.schema import Description
from cluster_sim.typing import Share
from cluster_sim.units import Seconds


class Efficiency(Description):
    """Shares of a GPU's peaks that its kernels reach, for kernels that `kernels` does not fit."""

    weight_bandwidth: ByPrecision
    """Share of peak bandwidth at which decoding reads weights."""
    expert_bandwidth: Share
    """Share of peak bandwidth at which the weights of experts are read."""
    kv_bandwidth: Share
    """Share of peak bandwidth at which decode attention reads the KV cache."""
    compute: ByPrecision
    """Share of peak compute that the dense GEMMs of a large step reach."""
    expert_compute: Share
    """Share that the grouped GEMMs of experts reach of the peak of the next wider format: of fp8
    for nvfp4, of bf16 for others."""
    attention_compute: Share
    """Share of the bf16 peak that prefill attention reaches."""
    knee: Annotated[float, Field(ge=1.0)] = 4.0
    """Exponent p of the p-norm that joins a product's reading time and computing time. A large p
    makes the turn from one to the other sharp."""


class Overhead(Description):
    """Times that a serving engine adds on a device to reading, computing and communicating."""

    request_s: Seconds = 0.0
    """Time from a request's arrival at the server until the scheduler sees it: HTTP, tokenising,
    queues between processes [s]."""
    step_s: Seconds
    """Host and sampling time per step that no kernel hides [s]."""
    sequence_s: Seconds = 0.0
    """Host and sampling time per sequence that a step samples a token for [s]."""
    layer_s: Seconds
    """Launches of a layer's element-wise kernels: norms, rotary embedding, activation [s]. The
    bytes that they move count in addition."""
    expert_layer_s: Seconds = 0.0
    """Launches of routing and sorting in a layer of experts [s]."""
    latent_layer_s: Seconds = 0.0
    """Launches of a layer of latent attention beyond those of a plain one: norms and copies of
    latent vectors, quantising [s]."""
    eager_layer_s: Seconds = 0.0
    """Least time per layer of a step that prefills [s]. Such steps run outside CUDA graphs, and the
    host launches their kernels one by one."""
    launch_overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a kernel's start that hides behind the kernel before it in a CUDA graph, for kernels
    that were measured alone."""
    gemm: ByPrecision = Field(default_factory=lambda: ByPrecision(bf16=1.0))
    """Time of the engine's matrix products relative to that by `kernels` or `efficiency`, by the
    weights' precision."""
    experts: Annotated[float, Field(gt=0.0)] = 1.0
    """Time of the engine's grouped products of experts relative to that by `efficiency`, where
    computing limits them."""
    attention: Annotated[float, Field(gt=0.0)] = 1.0
    """Time of the engine's decode attention relative to that by `kernels` or `efficiency`."""
    collective: Annotated[float, Field(gt=0.0)] = 1.0
    """Time of the engine's all-reduces relative to that by `collectives`: waiting for the slowest
    rank, copies, fusion."""
