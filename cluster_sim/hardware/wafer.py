"""A wafer-scale device: a grid of cores with local SRAM."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import Count, Share
from cluster_sim.units import Hertz, Seconds


class PromptProgram(Description):
    """Constants of a wafer program that prefills prompts as matrices, layer by layer on all cores.

    Each figure is per token and has the same meaning as the figure of that name in `Wafer`.
    """

    core_s: Seconds = 0.0
    """Time for issue and synchronisation of one layer for one token [s]."""
    collectives: Annotated[float, Field(ge=0.0)]
    """Number of mesh collectives per layer that are not hidden behind the arithmetic of other
    tokens."""
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
    """Time for issue and synchronisation of one layer for one token, without distance and
    arithmetic [s]."""
    collectives: Annotated[float, Field(ge=0.0)]
    """Number of mesh collectives per layer. Each crosses the width and the height of the layer's
    region at one hop per cycle."""
    token_s: Seconds
    """Time of sampling and host loop for one token [s]."""
    wafer_hop_s: Seconds
    """Latency from one wafer to the next for one token [s]. The transfer time of the token's bytes
    over the node's links is added."""
    compute: Share
    """Share of the dense peak that a core reaches for the products of one token with its weights
    and keys."""
    decode_compute: dict[str, Share] = Field(default_factory=dict)
    """Share of the dense peak that a core reaches in decode, by engine name in small letters.
    Default for an engine: `compute`."""
    prompt: PromptProgram | None = None
    """Program that prefills prompts if a layer lies on all cores. Default: prompts are prefilled
    token by token."""
    request_s: Seconds = 0.0
    """Time from the arrival of a request at the server until its prompt enters the pipeline [s]."""
