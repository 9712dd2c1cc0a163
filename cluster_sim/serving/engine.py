"""Profiles of serving engines: defaults for limits and reserves that a scenario omits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from cluster_sim.hardware.device import Device
from cluster_sim.physics.activation_memory import ExpertRows
from cluster_sim.physics.exchange_kinds import ExchangeName
from cluster_sim.physics.replica_layout import GraphPlan
from cluster_sim.schema import entry_name
from cluster_sim.serving.graphs import GraphMemory, GraphMode, GraphSizes, StepLimits, graph_plan
from cluster_sim.serving.memory_rules import (
    DeviceDefaults,
    ExpertPaddingSpec,
    MemoryBase,
    StaticReserve,
)
from cluster_sim.serving.own_times import OwnTimes
from cluster_sim.serving.phase_exchanges import PhaseExchanges
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.rank_rules import LoadBalanceMethod
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.serving.two_batch import TwoBatchFrom
from cluster_sim.typing import Count, CountOrZero, Share
from cluster_sim.units import Bytes, Seconds

Limit = TypeVar("Limit", int, float)
_LIMITS = ("max_sequences", "max_batched_tokens", "memory_fraction")
"""Keys that an engine gives itself or by the device."""


class Engine(OwnTimes):
    """Defaults and limits of a serving engine."""

    name: str
    """Name of the engine with its release, such as vLLM 0.22. Devices list times of engines under
    such names; a release without its own times takes those of the newest release before it."""
    releases: str = ""
    """Releases of the engine for which the profile stands, such as 0.20 to 0.27. Default: not
    stated."""
    fitted_on: str = ""
    """Measured runs to which times of the release were fitted, with their errors, and what is taken
    from other releases. Default: not stated."""
    max_sequences: Count | None = None
    """Maximum number of requests in the batch. Default: that of `by_device`."""
    max_batched_tokens: Count | None = None
    """Maximum number of tokens per step: decoding sequences and prefill together. Default: that of
    `by_device`."""
    chunked_prefill: bool
    """Whether the prefill of a prompt may be split over several steps."""
    batch_wait_timeout_iterations: CountOrZero = 0
    """Maximum number of steps for which new requests are held back during decoding, so that more of
    them can join together."""
    batch_wait_max_tokens_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of max_batched_tokens from which a step no longer holds back new requests."""
    attention_dp_timeout_iterations: CountOrZero = 0
    """Maximum number of steps for which new requests are held back until every attention
    data-parallel rank has one. Default: 0, the ranks are not balanced."""
    attention_dp_batching_wait_iterations: CountOrZero = 0
    """Number of further steps for which new requests are held back while every rank has one and
    decodes, so that more of them can join."""
    load_balance_method: LoadBalanceMethod = "round_robin"
    """Rule by which requests are sent to attention data-parallel ranks. round_robin: in turns.
    total_requests: to the rank with the fewest requests. total_tokens: to that with the fewest
    prompt tokens. waiting_and_running: to that with the lowest sum of running requests and 4 x
    waiting requests, as vLLM does. active_tokens: to that with the fewest prompt tokens among those
    with a free batch slot and no more than their share of the requests, as TensorRT-LLM does.
    Default: round_robin, as in SGLang."""
    async_scheduling: bool = False
    """Whether the next step is prepared while a step runs (vLLM since 0.14; overlap scheduler of
    SGLang and TensorRT-LLM). Requests that arrive during a step then join one step later. Default:
    false."""
    max_drafting_sequences: Count | None = None
    """Maximum number of requests in the batch of a replica with drafts, if `batching` has no
    max_sequences: 48 in SGLang. Default: that without drafts."""
    async_drafts: bool = True
    """Whether the host's work on steps that verify drafts overlaps with the next step, so that
    `draft_step` and `draft_sequence` are hidden. Off in SGLang unless SGLANG_ENABLE_SPEC_V2 is set.
    Default: true."""
    draft_step_s: Seconds = 0.0
    """Host time per step that verifies drafts on GPUs, if `async_drafts` is off [s]. Default: 0."""
    draft_sequence_s: Seconds = 0.0
    """Host time per sequence and step that verifies drafts on GPUs, if `async_drafts` is off [s]:
    accepted tokens, their blocks, their text. Default: 0."""
    prefill_first: PrefillFirst | None = None
    """Rules of steps that prefill instead of decode, as in SGLang; `{}` selects SGLang's values.
    Replicas that only prefill or only decode keep the rules of vLLM. Default: a step decodes and
    prefills."""
    capacity_scheduler_policy: CapacitySchedulerPolicy = "first_chunk"
    """Rule for the blocks of KV cache that an admission reserves: those of the first chunk of the
    prompt, `first_chunk` (vLLM up to 0.18); those of the whole prompt and of tokens generated
    before a preemption, `full_isl` (vLLM since 0.19, `scheduler_reserve_full_isl`); the same beside
    blocks for the next steps of decoding requests, taken at once, `max_utilization`
    (TensorRT-LLM); or those of prompt and whole answer, `guaranteed_no_evict` (default of
    TensorRT-LLM), which never preempts."""
    block_tokens: Count
    """Number of tokens per block of KV cache."""
    attention_backend: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")] = "default"
    """Kernels of decode attention, by vLLM's names, such as `flashinfer`: FlashInfer's own kernel,
    as with `use_trtllm_attention` 0. Prefill keeps the kernels of the default. The device must list
    constants of the back end for the precision of the KV cache. Default: the kernels that the
    engine chooses by itself on the device."""
    expert_exchange: ExchangeName | PhaseExchanges = "auto"
    """Exchange of tokens between attention data-parallel ranks and experts: one kind, or one per
    phase, such as `{prefill: deepep_normal, decode: deepep_low_latency}`. It stands for vLLM's
    `--all2all-backend`, SGLang's `--moe-a2a-backend` and TensorRT-LLM's TRTLLM_FORCE_COMM_METHOD.
    Default: auto, the engine's choice on the device."""
    fused_experts: bool = False
    """Whether one kernel runs the experts of a layer and their exchange, such as DeepGEMM's Mega
    MoE. The device must list constants of such a kernel for the format of the experts."""
    two_batch_from: TwoBatchFrom | None = None
    """Sizes from which a step runs as two batches, if `overlap` of the plan is two_batch. Default:
    the engine has no such overlap."""
    graph_batches: tuple[Count, ...] = ()
    """Batch sizes for which CUDA graphs are captured. A step that decodes fewer sequences is padded
    to the next size. Unused with `graph_mode`."""
    graph_mode: GraphMode | None = None
    """Steps that run as CUDA graphs, by vLLM's names. piecewise: every step, without its attention.
    full: every step. full_decode_only: decode steps. full_and_piecewise: decode steps as whole
    graphs, the others without their attention. A step above the largest captured size runs
    outside of graphs. Default: every decode step runs as a graph, and no step with a prompt."""
    graph_sizes: GraphSizes | None = None
    """Rule of the sizes for which CUDA graphs are captured; required with a `graph_mode` other than
    none."""
    prefill_graph_sizes: GraphSizes | None = None
    """Rule of the sizes for steps with a prompt [tokens]. Default: that of `graph_sizes`."""
    graph_memory: GraphMemory | None = None
    """Memory of CUDA graphs that is taken from the KV cache. Default: it lies outside the memory
    that the engine uses."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the KV cache that admission keeps free for running sequences to grow."""
    memory_fraction: Share | None = None
    """Share of each device's memory that the engine uses. Default: that of `by_device`."""
    memory_base: MemoryBase = "all"
    """Memory of which `memory_fraction` is a share. all: the memory of the device, weights and
    reserves included. free: the memory that weights and reserves leave."""
    static_reserve: StaticReserve | None = None
    """Rule of the memory outside the share for weights and KV cache. It replaces
    `memory_fraction`. Default: `memory_fraction` holds."""
    reserved_bytes: Bytes
    """Memory reserved on each device for runtime and activations [B]."""
    reserved_group_bytes: Bytes
    """Further memory that is reserved on each device for communication buffers if a replica has
    several devices [B]."""
    reserved_activation_bytes: Bytes | None = None
    """Part of the reserved memory for the activations of a step [B]. Expert layers and the sampler
    take what they need beyond it from the KV cache. Default: activations lie outside the share of
    memory that the engine uses."""
    logit_bytes: Bytes = 0.0
    """Memory of the sampler per logit [B], for the maximum number of sequences in the batch.
    Default: 0, the sampler stays within the reserved memory."""
    expert_padding: ExpertPaddingSpec | None = None
    """Blocks to which the engine pads 4-bit weights of experts. Default: none are padded."""
    expert_rows: ExpertRows = "in_place"
    """Order of the rows of tokens in expert kernels: `in_place`, or `sorted` by expert and padded
    to blocks, as DeepGEMM needs them."""
    by_device: tuple[DeviceDefaults, ...] = ()
    """Values that the engine chooses by the device, for keys that are not given. Each value is that
    of the first row that holds for the device and gives it."""
    stream_interval: Count = 1
    """Number of tokens or steps per chunk of a streamed answer, by stream_rule. The first token is
    sent at once, and the last chunk may be shorter. Default: 1."""
    stream_rule: Literal["unsent", "tokens", "steps"] = "unsent"
    """Rule for the end of a chunk: stream_interval tokens are `unsent`, as in vLLM; the answer has 1
    plus a multiple of stream_interval `tokens`, which a step with drafts may miss, as in SGLang; or
    a multiple of stream_interval `steps` of the answer have run, as in TensorRT-LLM."""
    first_chunk_delay: CountOrZero = 0
    """Number of steps by which the first chunk follows the first token; the chunk has all tokens
    until then. The delay is a measurement and not a setting of an engine. Default: 0."""
    detokenisation_s: Seconds = 0.0
    """Latency of detokenisation [s], which the server adds to the path of answers without delaying
    engine steps. Default: 0."""

    @model_validator(mode="after")
    def _has_limits(self) -> Self:
        for key in _LIMITS:
            everywhere = (row for row in self.by_device if row.is_for_all)
            if key == "memory_fraction" and self.static_reserve is not None:
                continue
            if getattr(self, key) is None and not any(getattr(row, key) for row in everywhere):
                raise ValueError(
                    f"got no {key}; expected it in the engine, or in a row of by_device without conditions"
                )
        return self

    @model_validator(mode="after")
    def _has_sizes(self) -> Self:
        mode, sizes = self.graph_mode, self.graph_sizes
        if mode in (None, "none"):
            return self
        if sizes is None:
            raise ValueError(f"got graph_mode {mode} without sizes; expected `graph_sizes`")
        mixed = mode != "full_decode_only"
        if mixed and sizes.unit == "sequences" and self.prefill_graph_sizes is None:
            raise ValueError(
                f"got graph_mode {mode} with sizes in sequences; expected `prefill_graph_sizes` in tokens"
            )
        return self

    def on(self, device: Device, stage_devices: int) -> Self:
        """Return the engine with the values that it chooses on a device.

        A value that the file gives stays. `stage_devices` is the number of devices per pipeline
        stage.
        """
        rows = [row for row in self.by_device if row.holds(device, stage_devices)]
        values = {key: _first(rows, key) for key in _LIMITS if getattr(self, key) is None}
        sizes = self.graph_sizes
        largest = _first(rows, "largest_graph")
        if largest is not None and sizes is not None and sizes.largest is None:
            values["graph_sizes"] = sizes.model_copy(update={"largest": largest})
        return self.model_copy(update=values) if values else self

    def graphs(self, limits: StepLimits) -> GraphPlan | None:
        """Return the captured CUDA graphs with these limits of a rank; None without a mode."""
        if self.graph_mode is None:
            return None
        sizes = self.graph_sizes or GraphSizes()
        return graph_plan(self.graph_mode, sizes, self.prefill_graph_sizes, limits)

    @property
    def sends_chunks(self) -> bool:
        """Whether clients see other chunks than one per engine step."""
        return self.stream_interval > 1 or self.first_chunk_delay > 0

    @property
    def profile(self) -> str:
        """Name under which devices list overheads and kernels measured with the engine."""
        return entry_name(self.name)


def _first(rows: Sequence[DeviceDefaults], key: str) -> Any:
    """Return the value of the first row that gives it; None if none does."""
    return next((value for row in rows if (value := getattr(row, key)) is not None), None)


def known(limit: Limit | None) -> Limit:
    """Return a limit of an engine on its device, which `Engine.on` has chosen."""
    assert limit is not None
    return limit
