"""A wafer-scale device: a grid of cores with local SRAM."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.precision import Share
from cluster_sim.schema import Description
from cluster_sim.units import Hertz, Seconds


class PromptProgram(Description):
    """How a wafer's program reads prompts as matrices, a layer on all cores at a time; of one
    token, as in `Wafer`.
    """

    core_s: Seconds = 0.0
    collectives: Annotated[float, Field(ge=0.0)]
    """What of them is not hidden behind the arithmetic of other tokens."""
    compute: Share


class Wafer(Description):
    """A wafer-scale device: a grid of cores with local SRAM, layers in regions of it, tokens
    flowing through as a pipeline.
    """

    columns: Annotated[int, Field(gt=0)]
    rows: Annotated[int, Field(gt=0)]
    clock_hz: Hertz
    weight_fill: Share
    """Share of the SRAM that weights may take."""
    memory_fill: Share
    """Share of the SRAM that weights and KV cache may take together."""
    core_s: Seconds
    """Issue and synchronisation of one layer for one token, distance and arithmetic left out."""
    collectives: Annotated[float, Field(ge=0.0)]
    """Mesh collectives of one layer, each crossing the layer's region, its width and its height, at
    one hop a cycle."""
    token_s: Seconds
    """Sampling and host loop of one token."""
    wafer_hop_s: Seconds
    """From one wafer to the next, for one token; its bytes are counted apart, over the node's
    links."""
    compute: Share
    """Share of the dense peak that a core reaches when one token meets its weights and keys."""
    decode_compute: dict[str, Share] = Field(default_factory=dict)
    """The same in decoding where an engine does better, by its name in small letters."""
    prompt: PromptProgram | None = None
    """How prompts are read where a layer lies on all cores; left out, token by token."""
    request_s: Seconds = 0.0
    """From a request's arrival at the server until the pipeline sees its prompt."""
