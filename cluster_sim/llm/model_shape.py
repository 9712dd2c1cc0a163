"""ModelShape: keys of a model in a file, and its layers by kind."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from cluster_sim.economics.token_prices import TokenPrices
from cluster_sim.hardware.precision import Precision
from cluster_sim.limits import LAYERS
from cluster_sim.llm.layers import (
    Attention,
    AttentionLayers,
    DenseLayers,
    Experts,
    FullLayers,
    LatentAttention,
    LatentLayers,
    Window,
    WindowLayers,
)
from cluster_sim.llm.read_from import ReadFrom
from cluster_sim.schema import Description, Named
from cluster_sim.typing import Count, CountOrZero

WeightPart = Literal["embedding", "attention", "ffn", "shared", "experts"]
"""Part of a model's weights with one stored precision: embedding and output head, attention, dense
feed-forward parts, shared experts, routed experts."""


WEIGHT_PARTS: tuple[WeightPart, ...] = get_args(WeightPart)
"""All parts of a model's weights."""


class ModelShape(Description):
    """Keys of a model, and its layers by kind for every way to write them."""

    name: str
    """Name of the model, as shown in tables and figures."""
    layers: Annotated[int, Field(gt=0), LAYERS]
    """Number of layers."""
    hidden: Count
    """Width of the hidden states."""
    heads: CountOrZero = 0
    """Number of query heads per layer. Required unless `attention_layers` gives it."""
    kv_heads: CountOrZero = 0
    """Number of key and value heads per layer. Required unless `attention_layers` gives it."""
    head_dim: CountOrZero = 0
    """Width of one head. Required unless `attention_layers` gives it."""
    attention_layers: tuple[Attention, ...] | None = None
    """Layers by kind of attention or state, for models whose layers differ. Default: layers of one
    kind, from `heads`, `kv_heads`, `head_dim`, `latent` and `window`."""
    ffn: CountOrZero = 0
    """Width of the dense feed-forward part. 0 means that every layer has experts."""
    dense: tuple[DenseLayers, ...] | None = None
    """Dense feed-forward parts by width. Default: one part of width `ffn` in each layer without
    experts."""
    ffn_gated: bool | None = None
    """Whether feed-forward parts and experts have a gate. They have three matrices with a gate and
    two without. Default: true."""
    vocabulary: Count
    """Number of tokens in the vocabulary."""
    max_context: Count
    """Maximum length of prompt and output together [tokens]."""
    positions: CountOrZero = 0
    """Number of learned position vectors. 0 means that positions are computed."""
    tied_embeddings: bool = False
    """Whether the embedding and the output head share their weights."""
    experts: Experts | None = None
    """Mixture of experts. Default: all layers are dense."""
    latent: LatentAttention | None = None
    """Multi-head latent attention. Default: each head, or each group of heads, has its own keys and
    values."""
    window: Window | None = None
    """Layers with a sliding window. Default: all layers see the whole context."""
    native: Precision = "bf16"
    """Precision in which the weights are published."""
    fp4_format: Literal["nvfp4", "mxfp4", "int4"] = "nvfp4"
    """Format of fp4 weights. int4 means integers, which are multiplied in 16 bit."""
    fp8_format: Literal["fp8", "fp8_block", "int8"] = "fp8"
    """Format of fp8 weights. fp8 has one scale per matrix or row, fp8_block one per block of 128 by
    128 weights, as DeepSeek's. int8 means integers, which are multiplied at the rate of fp8."""
    weight_bits: Annotated[float, Field(gt=0.0)] | None = None
    """Number of bits per weight in the published precision, scales included. Default: 16 for bf16,
    8 for fp8, 4.5 for nvfp4, 4.25 for mxfp4, 4.125 for int4."""
    kept_bf16: tuple[WeightPart, ...] = ("embedding",)
    """Parts of the model that stay in 16 bit in quantised checkpoints."""
    fp4_kept_bf16: tuple[Literal["attention"], ...] = ()
    """Further parts of the model that stay in 16 bit if the weights are fp4."""
    fp4_kept_fp8: tuple[WeightPart, ...] | None = None
    """Parts of the model that are stored in 8 bit if the weights are fp4. Default: no parts."""
    notes: tuple[str, ...] | None = None
    """Sentences about what the file of the model leaves open or what is approximated. Commands
    print them as warnings. Default: no sentences."""
    token_prices: Annotated[TokenPrices, Named("token_prices")] | None = None
    """Prices at which the model's tokens are sold, unless the scenario gives others. Default: runs
    report no revenue."""
    read_from: tuple[ReadFrom, ...] | None = None
    """Keys of the config.json that the model was read from. Default: the model was not read from a
    config.json."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.attention_layers is None:
            self._has_plain_attention()
        else:
            self._has_attention_of_its_kinds(self.attention_layers)
        self._has_feed_forward_parts()
        return self

    def _has_plain_attention(self) -> None:
        for key in ("heads", "kv_heads", "head_dim"):
            if not getattr(self, key):
                raise ValueError(f"{key!r} is missing; expected it, or 'attention_layers'")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads: got {self.heads}; expected a multiple of kv_heads, {self.kv_heads}"
            )
        if self.window and self.window.layers > self.layers:
            raise ValueError(
                f"{self.window.layers} window layers are more than {self.layers} layers"
            )

    def _has_attention_of_its_kinds(self, kinds: tuple[Attention, ...]) -> None:
        if self.window is not None or self.latent is not None:
            raise ValueError(
                "got 'attention_layers' with 'window' or 'latent'; expected all layers in attention_layers alone"
            )
        states = sum(kind.layers for kind in kinds if kind.state_bytes())
        is_side_by_side = states == self.layers and self.mixer_layers == 2 * self.layers
        if self.mixer_layers > self.layers and not is_side_by_side:
            raise ValueError(
                f"attention_layers has {self.mixer_layers} layers; expected at most {self.layers}, or attention and a state in each"
            )
        views = {(kind.view_tokens, kind.is_chunked) for kind in kinds if kind.view_tokens}
        if len(views) > 1:
            sizes = " and ".join(f"{tokens:,}" for tokens, _ in sorted(views))
            raise ValueError(
                f"attention_layers has windows, chunks or choices of {sizes} tokens; expected one size and one kind: several are not simulated yet"
            )

    def _has_feed_forward_parts(self) -> None:
        experts = self.experts
        if experts and experts.top_k > experts.count:
            raise ValueError(f"top_k of {experts.top_k} is more than {experts.count} experts")
        if experts and experts.dense_layers > self.layers:
            raise ValueError(
                f"{experts.dense_layers} dense layers are more than {self.layers} layers"
            )
        if self.dense is None and self.moe_layers < self.layers and not self.ffn:
            raise ValueError("'ffn' is missing: there are layers without experts")
        if self.moe_layers > self.layers or self.dense_layers > self.layers:
            raise ValueError(
                f"{self.moe_layers} layers with experts and {self.dense_layers} dense ones; expected at most {self.layers} of each"
            )

    # Layers by kind

    @cached_property
    def attention(self) -> tuple[AttentionLayers, ...]:
        """Layers by kind of attention or state, for every way to write the model."""
        if self.attention_layers is not None:
            return self.attention_layers
        heads = {"heads": self.heads, "kv_heads": self.kv_heads, "head_dim": self.head_dim}
        if self.latent is not None:
            latent = dict(self.latent)
            return (LatentLayers(layers=self.layers, heads=self.heads, **latent),)
        window = self.window
        if window is None:
            return (FullLayers(layers=self.layers, **heads),)
        windows = WindowLayers(layers=window.layers, tokens=window.tokens, **heads)
        if window.layers == self.layers:
            return (windows,)
        return (FullLayers(layers=self.layers - window.layers, **heads), windows)

    @cached_property
    def dense_parts(self) -> tuple[DenseLayers, ...]:
        """Dense feed-forward parts by width, for every way to write the model."""
        if self.dense is not None:
            return self.dense
        layers = self.layers - self.moe_layers
        return (DenseLayers(layers=layers, ffn=self.ffn),) if layers else ()

    @property
    def mixer_layers(self) -> int:
        """Number of layers that have attention or a state."""
        return sum(kind.layers for kind in self.attention)

    @property
    def full_layers(self) -> int:
        """Number of layers that cache the whole context."""
        return sum(kind.layers for kind in self.attention if kind.growing_values())

    @property
    def dense_layers(self) -> int:
        """Number of layers that have a dense feed-forward part."""
        return sum(part.layers for part in self.dense_parts)

    @property
    def moe_layers(self) -> int:
        """Number of layers that have a mixture of experts."""
        if self.experts is None:
            return 0
        if self.experts.layers is not None:
            return self.experts.layers
        return self.layers - self.experts.dense_layers

    @property
    def blocks(self) -> int:
        """Number of attention, state and feed-forward blocks: two per layer of a plain model."""
        return self.mixer_layers + self.dense_layers + self.moe_layers

    @property
    def idle_blocks(self) -> int:
        """Number of blocks that text skips."""
        idle = sum(kind.layers for kind in self.attention if kind.is_idle)
        return idle + sum(part.layers for part in self.dense_parts if part.is_idle)

    @property
    def passed_blocks(self) -> int:
        """Number of blocks that text passes."""
        return self.blocks - self.idle_blocks

    @property
    def passed_layers(self) -> float:
        """Number of layers that text passes; a layer is two blocks."""
        return self.passed_blocks / 2

    @property
    def has_states(self) -> bool:
        """Whether some layers keep a state."""
        return any(kind.state_bytes() for kind in self.attention)

    @property
    def caches_tokens(self) -> bool:
        """Whether some layers cache tokens, of the whole context or of a window."""
        return any(kind.growing_values() or kind.window_values() for kind in self.attention)

    @cached_property
    def view_tokens(self) -> int:
        """Maximum number of tokens in the limited view of a query; 0 without such layers.

        It is the length of the window or of the chunk, or the number of tokens that an indexer
        chooses. A model has at most one such size.
        """
        return max((kind.view_tokens for kind in self.attention), default=0)

    @cached_property
    def view_is_chunked(self) -> bool:
        """Whether the limited view restarts with each chunk."""
        return any(kind.is_chunked for kind in self.attention)

    def last_layers(self, count: int) -> Self:
        """Return a model of the last `count` layers, with the embedding and the output head.

        Such a model predicts several tokens (DeepSeek-V3, arXiv 2412.19437, section 2.2). If a
        model has layers of several kinds, the result has those with full attention.
        """
        update: dict[str, object] = {"layers": count, "window": None}
        if self.experts is not None:
            dense = max(self.experts.dense_layers - self.layers + count, 0)
            layers = self.experts.layers and min(self.experts.layers, count)
            update["experts"] = self.experts.model_copy(
                update={"dense_layers": dense, "layers": layers}
            )
        if self.attention_layers is not None:
            whole = max(self.attention_layers, key=lambda kind: kind.growing_values())
            update["attention_layers"] = (whole.model_copy(update={"layers": count}),)
        if self.dense is not None:
            update["dense"] = tuple(
                part.model_copy(update={"layers": min(part.layers, count)})
                for part in self.dense[-1:]
                if self.experts is None
            )
        return self.model_copy(update=update)
