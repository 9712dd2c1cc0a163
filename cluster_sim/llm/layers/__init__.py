"""Kinds of layers: attention, states, feed-forward parts.

A new kind of attention is a file here and a name in the union `Attention`. `AttentionLayers` lists
the properties that it must have.
"""

from typing import Annotated

from pydantic import Field

from cluster_sim.llm.layers.compressed import CompressedLayers
from cluster_sim.llm.layers.convolution import ConvolutionLayers
from cluster_sim.llm.layers.cross import CrossLayers
from cluster_sim.llm.layers.delta import DeltaLayers, GatedDeltaNetLayers, KimiDeltaLayers
from cluster_sim.llm.layers.feed_forward import DenseLayers, Experts
from cluster_sim.llm.layers.heads import ChunkedLayers, FullLayers, HeadLayers, WindowLayers
from cluster_sim.llm.layers.indexer import Indexer
from cluster_sim.llm.layers.kind import (
    AttentionLayers,
    HeadShape,
    LatentHeads,
    MatrixShape,
    PerKey,
    StateShape,
)
from cluster_sim.llm.layers.latent import LatentAttention, LatentLayers
from cluster_sim.llm.layers.lightning import LightningLayers
from cluster_sim.llm.layers.mamba import Mamba2Layers, MambaLayers
from cluster_sim.llm.layers.state import StateLayers
from cluster_sim.llm.layers.window import Window

Attention = Annotated[
    FullLayers
    | WindowLayers
    | ChunkedLayers
    | LatentLayers
    | CompressedLayers
    | GatedDeltaNetLayers
    | KimiDeltaLayers
    | Mamba2Layers
    | MambaLayers
    | LightningLayers
    | ConvolutionLayers
    | CrossLayers,
    Field(discriminator="kind"),
]
"""Layers of one kind of attention or state."""

__all__ = [
    "Attention",
    "AttentionLayers",
    "ChunkedLayers",
    "CompressedLayers",
    "ConvolutionLayers",
    "CrossLayers",
    "DeltaLayers",
    "DenseLayers",
    "Experts",
    "FullLayers",
    "GatedDeltaNetLayers",
    "HeadLayers",
    "HeadShape",
    "Indexer",
    "KimiDeltaLayers",
    "LatentAttention",
    "LatentHeads",
    "LatentLayers",
    "LightningLayers",
    "Mamba2Layers",
    "MambaLayers",
    "MatrixShape",
    "PerKey",
    "StateLayers",
    "StateShape",
    "Window",
    "WindowLayers",
]
