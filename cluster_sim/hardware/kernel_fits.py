"""Times of a device's kernels, fitted to measurements, and what an engine adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self, TypeVar

from pydantic import Field

from cluster_sim.hardware.operating_point import at_clock
from cluster_sim.hardware.precision import ByPrecision, Share
from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, FlopPerSecond, PositiveBytes, PositiveSeconds, Seconds


class Efficiency(Description):
    """What a GPU's kernels reach of its peaks, where no `kernels` tell their times."""

    weight_bandwidth: ByPrecision
    """Share of peak bandwidth at which weights are read in decoding."""
    expert_bandwidth: Share
    """The same for the weights of experts."""
    kv_bandwidth: Share
    """Share of peak bandwidth at which decode attention reads KV cache."""
    compute: ByPrecision
    """Share of peak compute of the dense GEMMs of a large step."""
    expert_compute: Share
    """Share that the grouped GEMMs of experts reach of the peak of the next wider format: of fp8
    for nvfp4, of bf16 for others."""
    attention_compute: Share
    """Share of the bf16 peak that prefill attention reaches."""
    knee: Annotated[float, Field(ge=1.0)] = 4.0
    """How sharply a product turns from reading to computing: its time is the p-norm of the two, a
    corner where p is large."""


class GemmFit(Description):
    """Time of one matrix product alone on a device, as `physics.gemm.gemm_s` puts these together;
    one fit a precision.
    """

    processors: Annotated[int, Field(gt=0)]
    """Streaming multiprocessors: how many tiles of the output are worked on at a time."""
    element_bytes: PositiveBytes
    """Of one weight, its share of the scales included: 0.5625 B for nvfp4."""
    launch_s: PositiveSeconds
    """The smallest product's time."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which weights, inputs and outputs move."""
    compute_flop_per_s: FlopPerSecond
    """Of a short kernel with tiles without end."""
    overlap: Annotated[float, Field(ge=1.0)]
    """How well moving and computing hide each other: the exponent of the norm that joins them; 1
    for not at all."""
    tile_overhead: Annotated[float, Field(ge=0.0)]
    """What a tile costs at each of its inputs beside its elements, in elements: loads and latency
    of the main loop."""
    epilogue_s: Seconds
    """To write out one element of a tile once it is summed."""
    split_s: Seconds
    """To join the parts of a product whose k was split, by the square root of the parts."""
    partial_bandwidth_bytes_per_s: BytesPerSecond
    """At which the parts' sums are added up, 4 B each."""
    slowdown: Annotated[float, Field(ge=0.0)]
    """How much longer a long kernel takes than short ones tell, presumably by the device's power
    limit."""
    row_s: Seconds
    """What a token costs on its own: a kernel that quantises it."""
    activation_s: Seconds
    """To quantise one element of the inputs."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """These kernels at a share of the highest clock, with a share of the memory bus left: see
        `at_clock`.
        """
        return at_clock(self, clock, memory)


class Overhead(Description):
    """What a serving engine adds on a device to reading, computing and communicating."""

    request_s: Seconds = 0.0
    """From a request's arrival at the server until the scheduler sees it: HTTP, tokenising, queues
    between processes."""
    step_s: Seconds
    """Host and sampling time of one step that no kernel hides."""
    sequence_s: Seconds = 0.0
    """The same for each sequence that a step makes a token for."""
    layer_s: Seconds
    """Launches of a layer's element-wise kernels: norms, rotary embedding, activation; what they
    move is counted apart."""
    expert_layer_s: Seconds = 0.0
    """Launches of routing and sorting in a layer of experts."""
    latent_layer_s: Seconds = 0.0
    """Launches of a layer of latent attention beyond those of a plain one: norms and copies of
    latent vectors, quantising."""
    eager_layer_s: Seconds = 0.0
    """Least time of one layer in a step that reads prompts: such steps run outside CUDA graphs, and
    the host launches their kernels one by one."""
    launch_overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a kernel's start that hides behind the one before it, in a CUDA graph, of kernels
    that were measured alone."""
    gemm: ByPrecision = Field(default_factory=lambda: ByPrecision(bf16=1.0))
    """Time of the engine's matrix products relative to those that `kernels` or `efficiency` tell,
    by the weights' precision."""
    experts: Annotated[float, Field(gt=0.0)] = 1.0
    """The same of its grouped products of experts, where computing bounds them."""
    attention: Annotated[float, Field(gt=0.0)] = 1.0
    """The same of its decode attention."""
    collective: Annotated[float, Field(gt=0.0)] = 1.0
    """The same of its all-reduces: waiting for the slowest, copies, fusion."""


class GenerationAttentionFit(Description):
    """Time of one decode-attention kernel, see `physics.attention`; one fit a precision of the KV
    cache.

    A unit is one KV head of one sequence.
    """

    start_s: Seconds
    """Of a kernel of few short sequences with heads of no width."""
    value_s: Seconds
    """More for each value of a head's width (`head_dim`)."""
    head_s: Seconds
    """More for each query head of each sequence."""
    sequence_s: Seconds
    """More for each sequence of up to 512: kernels that plan their work ahead walk over them
    first."""
    free_units: Annotated[float, Field(ge=0.0)]
    """Units that run side by side at no cost: about one wave of thread blocks."""
    unit_s: Seconds
    """Of each unit beyond those, without its bytes."""
    tile_bandwidth_bytes_per_s: BytesPerSecond
    """At which the first tile of keys of a unit is read; a kernel reads a whole tile however few
    keys there are."""
    short_keys: Annotated[int, Field(ge=0)]
    """Keys a sequence up to which the time does not depend on them."""
    long_start_s: Seconds
    """The start with longer sequences, which are split over several blocks and combined."""
    long_unit_s: Seconds
    """Of each unit beyond the free ones in such a kernel."""
    window_s: Seconds
    """More where a window cuts the sequences."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which keys and values are read when there are units enough."""
    half_units: Annotated[float, Field(ge=0.0)]
    """Units with which half of that bandwidth is reached: the limit of splitting one sequence."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """These kernels at a share of the highest clock, with a share of the memory bus left: see
        `at_clock`.
        """
        return at_clock(self, clock, memory)


class ContextAttentionFit(Description):
    """Time of one prefill-attention kernel, see `physics.attention`; one fit a precision of the KV
    cache.

    A head is one query head of one sequence.
    """

    start_s: Seconds
    """Of a kernel of few short prompts with heads of no width."""
    value_s: Seconds
    """More for each value of a head's width (`head_dim`)."""
    head_s: Seconds
    """Of each head of prompts that fit into one tile."""
    kv_head_s: Seconds
    """The same of each KV head."""
    long_start_s: Seconds
    """The start with longer prompts."""
    compute_flop_per_s: FlopPerSecond
    """Rate of the two products with very wide heads."""
    extra_values: Annotated[float, Field(ge=0.0)]
    """What the softmax of a pair takes, in values of a head's width."""
    wide: Annotated[float, Field(ge=0.0)]
    """How much more a value beyond the 128th of a head takes than one before: smaller tiles."""
    extra_keys: Annotated[float, Field(ge=0.0)]
    """Keys that a token takes beyond those it sees: masked parts of tiles, reading queries, writing
    outputs."""
    tile_tokens: Annotated[float, Field(ge=0.0)]
    """More of them by the tokens that one tile spans where each query head has its own KV head;
    where g share one, a tile packs their queries and spans a g-th, and so is its ragged edge."""
    window_keys: Annotated[float, Field(ge=0.0)]
    """More of them for a token whose view a window cuts: a second ragged edge, on top of another
    `tile_tokens / g`."""
    key_s: Seconds
    """Of each key of one sequence: a block walks over them one tile after another, and the longest
    walk shows."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which cached keys and values are read; not fitted, but the device's peak: new ones are
    read while others are computed."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """These kernels at a share of the highest clock, with a share of the memory bus left: see
        `at_clock`.
        """
        return at_clock(self, clock, memory)


class KernelFits(Description):
    """Kernels alone on a device, fitted to measured ones by `cluster-sim calibrate`.

    By the precision of the weights or of the KV cache; `fp8_vllm` and the like where an engine has
    kernels of its own.
    """

    gemm: dict[str, GemmFit] = Field(default_factory=dict)
    """Matrix products."""
    generation: dict[str, GenerationAttentionFit] = Field(default_factory=dict)
    """Attention of decoding."""
    context: dict[str, ContextAttentionFit] = Field(default_factory=dict)
    """Attention of prefill."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """All of them at a share of the highest clock, with a share of the memory bus left."""
        return self.model_copy(update={
            kind: {name: fit.at(clock, memory) for name, fit in getattr(self, kind).items()} for kind in type(self).model_fields
        })  # fmt: skip


Fit = TypeVar("Fit")


def fit_of_engine(fits: Mapping[str, Fit], precision: str, engine: str) -> Fit | None:
    """The engine's own fit of a precision, or else the one of all engines; None where there is
    neither.
    """
    return fits.get(f"{precision}_{engine.lower()}", fits.get(precision))
