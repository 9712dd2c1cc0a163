"""Shares of the data sheet that kernels reach, and times that an engine adds to its kernels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.precision import ByPrecision
from cluster_sim.schema import Description
from cluster_sim.typing import Share
from cluster_sim.units import Seconds


class Efficiency(Description):
    """Shares of a GPU's peaks that its kernels reach, for kernels without a fit in `kernels`."""

    weight_bandwidth: ByPrecision
    """Share of peak bandwidth at which decoding reads weights."""
    expert_bandwidth: Share
    """Share of peak bandwidth at which the weights of experts are read."""
    kv_bandwidth: Share
    """Share of peak bandwidth at which decode attention reads the KV cache."""
    compute: ByPrecision
    """Share of peak compute that the dense GEMMs of a large step reach."""
    expert_compute: Share
    """Share of the peak of the next wider format that the grouped GEMMs of experts reach: of fp8
    for nvfp4, of bf16 for other formats."""
    attention_compute: Share
    """Share of the bf16 peak that prefill attention reaches."""
    knee: Annotated[float, Field(ge=1.0)] = 4.0
    """Exponent p of the p-norm that combines reading time and computing time of a product. A large
    p gives a sharp transition from one to the other."""


class Overhead(Description):
    """Times that a serving engine adds on a device to reading, computing and communicating."""

    request_s: Seconds = 0.0
    """Time from the arrival of a request at the server until the scheduler sees it, apart from the
    server's front end: queues between processes, the path to and from the client [s]."""
    accept_s: Seconds = 0.0
    """Time per request in the server's front end: receiving, checking [s]. The front end works on
    one batch of requests at a time, so requests that arrive together wait for each other."""
    prompt_token_s: Seconds = 0.0
    """Time per prompt token in the server's front end: parsing, tokenising [s]."""
    step_s: Seconds
    """Host and sampling time per step that no kernel hides [s]."""
    sequence_s: Seconds = 0.0
    """Host and sampling time per sequence that gets a token in a step [s]."""
    layer_s: Seconds
    """Time of launches of a layer's element-wise kernels: norms, rotary embedding, activation [s].
    The time to move their bytes is added."""
    expert_layer_s: Seconds = 0.0
    """Time of launches for routing and sorting in a layer with experts [s]."""
    latent_layer_s: Seconds = 0.0
    """Time of additional launches in a layer of latent attention compared with a plain layer: norms
    and copies of latent vectors, quantising [s]."""
    latent_fp8_layer_s: Seconds = 0.0
    """Time of launches that a layer of latent attention has in addition if its weights have fp8:
    activations are quantised in blocks before each product [s]."""
    eager_layer_s: Seconds = 0.0
    """Minimum time per layer of a step with prefill [s]. Such steps run outside CUDA graphs, and
    the host launches their kernels one by one."""
    eager_split_layer_s: Seconds | None = None
    """Minimum time per layer of such a step if the engine is compiled in pieces, which it captures
    up to a smaller size [s]. Default: that of `eager_layer`."""
    eager_latent_layer_s: Seconds | None = None
    """Minimum time per layer with latent attention of a step with prefill [s]: such a layer has more
    kernels and more work on the host. Default: that of `eager_layer`."""
    eager_expert_layer_s: Seconds = 0.0
    """Further minimum time of a layer with experts in a step with prefill [s]: the host launches
    routing, sorting and quantising as well."""
    piecewise_layer_s: Seconds | None = None
    """Minimum time per layer of a step in piecewise CUDA graphs [s]: the host launches attention
    and one graph. Default: an estimate, a quarter of `eager_layer`."""
    piece_s: Seconds | None = None
    """Time per layer that a step in piecewise CUDA graphs takes longer than as one graph [s]: the
    starts of attention and of the next graph. Default: an estimate, what `launch_overlap` would
    hide of the starts of a measured attention kernel and of a measured product."""
    launch_overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a kernel's launch that is hidden behind the previous kernel in a CUDA graph. It
    applies to kernels that were measured alone."""
    gemm: ByPrecision = Field(default_factory=lambda: ByPrecision(bf16=1.0))
    """Ratio of the time of the engine's matrix products to the time by `kernels` or `efficiency`,
    by precision of the weights. Default: 1."""
    experts: Annotated[float, Field(gt=0.0)] = 1.0
    """Ratio of the time of the engine's grouped products of experts to the time by `efficiency`, if
    compute limits them."""
    measured_experts: Annotated[float, Field(gt=0.0)] | None = None
    """Ratio of the time of the engine's experts to the time of the measured kernels in
    `kernels.experts`, for experts in a format with such kernels. Default: experts are a roofline of
    `efficiency`."""
    attention: Annotated[float, Field(gt=0.0)] = 1.0
    """Ratio of the time of the engine's decode attention to the time by `kernels` or
    `efficiency`."""
    latent_attention: Annotated[float, Field(gt=0.0)] | None = None
    """Ratio of the time of the engine's decode with latent attention to the time by `kernels` or
    `efficiency`. Default: that of `attention`."""
    measured_latent: Annotated[float, Field(gt=0.0)] | None = None
    """Ratio of the time of the engine's decode with latent attention, its absorbed projections
    included, to the time of the kernels of `kernels.latent_generation`, `kernels.latent_queries`
    and `kernels.latent_outputs`. Prefill then takes the time of `kernels.latent_context`. Default:
    `latent_attention` and `kernels.generation`, or a roofline."""
    collective: Annotated[float, Field(gt=0.0)] = 1.0
    """Ratio of the time of the engine's all-reduces to the time by `collectives`: waiting for the
    slowest rank, copies, fusion."""
    prompt_overlap: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the collectives of steps with a prompt that products hide, for engines that fuse a
    product with the all-reduce after it. Default: 0."""
