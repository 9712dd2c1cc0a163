"""A wafer-scale device: a grid of cores with local SRAM."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import Count, Share
from cluster_sim.units import Hertz, Seconds


class PromptProgram(Description):
    """Constants of a wafer program that prefills prompts as matrices, layer by layer on all cores.

    Each figure is per token, with the meaning that it has in `Wafer`.
    """

    core_s: Seconds = 0.0
    """Issue and synchronisation of one layer for one token [s]."""
    collectives: Annotated[float, Field(ge=0.0)]
    """Number of mesh collectives per layer that the arithmetic of other tokens does not hide."""
    compute: Share
    """Share of the dense peak that a core reaches."""


class Wafer(Description):
    """A wafer-scale device: a grid of cores with local SRAM.

    Each layer has a region of the grid, and tokens flow through the regions as a pipeline.
    """

    columns: Count
    """Number of columns of cores."""
    rows: Count
    """Number of rows of cores."""
    clock_hz: Hertz
    """Clock of the cores [Hz]."""
    weight_fill: Share
    """Share of the SRAM that weights may take."""
    memory_fill: Share
    """Share of the SRAM that weights and KV cache may take together."""
    core_s: Seconds
    """Issue and synchronisation of one layer for one token, without distance and arithmetic [s]."""
    collectives: Annotated[float, Field(ge=0.0)]
    """Number of mesh collectives per layer. Each crosses the width and the height of the layer's
    region at one hop per cycle."""
    token_s: Seconds
    """Sampling and host loop of one token [s]."""
    wafer_hop_s: Seconds
    """Latency from one wafer to the next for one token [s]. The token's bytes over the node's links
    count in addition."""
    compute: Share
    """Share of the dense peak that a core reaches when one token meets its weights and keys."""
    decode_compute: dict[str, Share] = Field(default_factory=dict)
    """Share of the dense peak that a core reaches in decoding, by engine name in small letters, for
    engines that do better than `compute`."""
    prompt: PromptProgram | None = None
    """Program that prefills prompts where a layer lies on all cores. Left out, prompts are
    prefilled token by token."""
    request_s: Seconds = 0.0
    """Time from a request's arrival at the server until its prompt enters the pipeline [s]."""
