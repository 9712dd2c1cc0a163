"""Profiles of serving engines: defaults for limits and reserves that a scenario omits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.physics.activation_memory import ExpertRows
from cluster_sim.schema import Description, entry_name
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.typing import Count, CountOrZero, Share
from cluster_sim.units import Bytes


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
    prefill_first: PrefillFirst | None = None
    """Rules of steps that prefill instead of decode, as in SGLang; `{}` selects SGLang's values.
    Replicas that only prefill or only decode keep the rules of vLLM. Default: a step decodes and
    prefills."""
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

    @property
    def profile(self) -> str:
        """Name under which devices list overheads and kernels measured with the engine."""
        return entry_name(self.name)
