"""Profiles of serving engines: defaults for limits and reserves that a scenario omits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.physics.activation_memory import ExpertRows
from cluster_sim.schema import Description, entry_name
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.typing import Count, CountOrZero, Share
from cluster_sim.units import Bytes, Seconds


class Engine(Description):
    """Defaults and limits of a serving engine."""

    name: str
    """Name of the engine."""
    max_sequences: Count
    """Maximum number of requests in the batch."""
    max_batched_tokens: Count
    """Maximum number of tokens per step: decoding sequences and prefill together."""
    chunked_prefill: bool
    """Whether the prefill of a prompt may be split over several steps."""
    batch_wait_timeout_iterations: CountOrZero = 0
    """Maximum number of steps for which new requests are held back during decoding, so that more of
    them can join together."""
    batch_wait_max_tokens_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of max_batched_tokens from which a step no longer holds back new requests."""
    capacity_scheduler_policy: CapacitySchedulerPolicy = "first_chunk"
    """Rule for the blocks of KV cache that an admission reserves: those of the first chunk of the
    prompt, `first_chunk` (vLLM up to 0.18); those of the whole prompt and of tokens generated
    before a preemption, `full_isl` (vLLM since 0.19, `scheduler_reserve_full_isl`); the same beside
    blocks for the next steps of decoding requests, taken at once, `max_utilization`
    (TensorRT-LLM); or those of prompt and whole answer, `guaranteed_no_evict` (default of
    TensorRT-LLM), which never preempts."""
    block_tokens: Count
    """Number of tokens per block of KV cache."""
    graph_batches: tuple[Count, ...] = ()
    """Batch sizes for which CUDA graphs are captured. A step that decodes fewer sequences is padded
    to the next size."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the KV cache that admission keeps free for running sequences to grow."""
    memory_fraction: Share
    """Share of each device's memory that the engine uses."""
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
    expert_rows: ExpertRows = "in_place"
    """Order of the rows of tokens in expert kernels: `in_place`, or `sorted` by expert and padded
    to blocks, as DeepGEMM needs them."""

    stream_interval: Count = 1
    """Number of tokens per chunk of a streamed answer. The first token is sent at once, and the
    last chunk may be shorter. Default: 1."""
    stream_interval_unit: Literal["tokens", "steps"] = "tokens"
    """Unit of stream_interval: `tokens` since the last chunk, as in vLLM and SGLang, or `steps` of
    the answer at multiples of the interval, as in TensorRT-LLM."""
    first_chunk_delay: CountOrZero = 0
    """Number of steps by which the first chunk follows the first token; the chunk has all tokens
    until then. The delay is a measurement and not a setting of an engine. Default: 0."""
    detokenisation_s: Seconds = 0.0
    """Latency of detokenisation [s], which the server adds to the path of answers without delaying
    engine steps. Default: 0."""

    @property
    def is_chunked(self) -> bool:
        """Whether clients see other chunks than one per engine step."""
        return self.stream_interval > 1 or self.first_chunk_delay > 0

    @property
    def profile(self) -> str:
        """Name under which devices list overheads and kernels measured with the engine."""
        return entry_name(self.name)
