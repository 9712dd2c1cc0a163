"""Profiles of serving engines: limits and reserves for what a scenario leaves out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.physics.activation_memory import ExpertRows
from cluster_sim.schema import Description, entry_name
from cluster_sim.typing import Count, CountOrZero, Share
from cluster_sim.units import Bytes


class Engine(Description):
    """Defaults of a serving engine."""

    name: str
    """Name of the engine."""
    max_sequences: Count
    """Maximum number of requests in the batch."""
    max_batched_tokens: Count
    """Maximum number of tokens of a step, decoding and prompts together."""
    chunked_prefill: bool
    """Whether a prompt may be spread over several steps."""
    batch_wait_timeout_iterations: CountOrZero = 0
    """Maximum number of steps for which new requests are held back while others decode, for more to
    come."""
    batch_wait_max_tokens_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of max_batched_tokens from which on a step does not hold new requests back."""
    block_tokens: Count
    """Number of tokens of a block of KV cache."""
    graph_batches: tuple[Count, ...] = ()
    """Batch sizes that CUDA graphs are captured for: a step that decodes fewer sequences is padded
    to the next size."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the KV cache that admission leaves free for sequences to grow."""
    memory_fraction: Share
    """Share of each device's memory that the engine uses."""
    reserved_bytes: Bytes
    """Memory reserved on each device for runtime and activations [B]."""
    reserved_group_bytes: Bytes
    """Further memory reserved on each device where a replica spans several of them, for
    communication buffers [B]."""
    reserved_activation_bytes: Bytes | None = None
    """Part of the reserved memory that holds the activations of a step [B]; layers of experts and
    the sampler take from the KV cache what they need beyond it. Default: activations lie outside
    the share of memory that the engine uses."""
    logit_bytes: Bytes = 0.0
    """Memory of the sampler per logit [B], for as many sequences as the batch may hold. Default: 0,
    the sampler stays within the reserved memory."""
    expert_rows: ExpertRows = "in_place"
    """Way in which kernels of experts keep the rows of tokens: `in_place`, or `sorted` by expert and
    padded to blocks, as DeepGEMM needs them."""

    @property
    def profile(self) -> str:
        """Name under which devices hold overheads and kernels that were measured with the engine."""
        return entry_name(self.name)
