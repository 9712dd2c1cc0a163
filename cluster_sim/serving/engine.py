"""Profiles of serving engines: the limits and reserves that hold where a scenario leaves them out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.reading import Description
from cluster_sim.units import Bytes


class Engine(Description):
    """Defaults of a serving engine."""

    name: str
    max_sequences: Annotated[int, Field(gt=0)]
    max_batched_tokens: Annotated[int, Field(gt=0)]
    """Tokens of one step, decoding and prompts together."""
    chunked_prefill: bool
    block_tokens: Annotated[int, Field(gt=0)]
    graph_batches: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """Batches that CUDA graphs are captured for: a step that decodes fewer sequences is padded to the next."""
    memory_fraction: Annotated[float, Field(gt=0.0, le=1.0)]
    reserved_bytes: Bytes
    """Kept aside on each device: runtime and activations."""
    reserved_group_bytes: Bytes
    """Kept aside on top where a replica spans several devices: communication buffers."""
