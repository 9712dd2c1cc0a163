"""Profiles of serving engines: the limits and reserves that hold where a scenario leaves them out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.units import Bytes


class Engine(Description):
    """Defaults of a serving engine."""

    name: str
    max_sequences: Annotated[int, Field(gt=0)]
    max_batched_tokens: Annotated[int, Field(gt=0)]
    """Tokens of one step, decoding and prompts together."""
    chunked_prefill: bool
    batch_wait_timeout_iterations: Annotated[int, Field(ge=0)] = 0
    """Steps at most for which new requests are held back while others decode, for more to come."""
    batch_wait_max_tokens_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of max_batched_tokens that a step must have for them not to be held back."""
    block_tokens: Annotated[int, Field(gt=0)]
    graph_batches: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """Batches that CUDA graphs are captured for: a step that decodes fewer sequences is padded to
    the next."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the KV room that admission leaves free for sequences to grow."""
    memory_fraction: Annotated[float, Field(gt=0.0, le=1.0)]
    reserved_bytes: Bytes
    """Kept aside on each device: runtime and activations."""
    reserved_group_bytes: Bytes
    """Kept aside on top where a replica spans several devices: communication buffers."""
