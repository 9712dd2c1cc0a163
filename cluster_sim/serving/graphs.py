"""CUDA graphs of serving engines: modes, captured sizes, and their memory, as profiles state them.

Rules of sizes are data, because they differ by engine and release:

* vLLM counts tokens: 1, 2, 4, then every 8th up to 256 and every 16th beyond, up to
  min(2 x max_num_seqs x (1 + drafts), 512) and max_num_batched_tokens (0.14 to 0.25,
  `config/vllm.py` _set_cudagraph_sizes; 0.11 without drafts; from 0.28 on 1,024 on compute
  capability 10; by 0.33 also the sizes of a full batch). With drafts, sizes are rounded up to whole
  sequences (`config/compilation.py` adjust_cudagraph_sizes_for_spec_decode). Graphs of whole decode
  steps are captured up to max_num_seqs (`v1/cudagraph_dispatcher.py`).
* TensorRT-LLM counts sequences. Sizes above the executor's maximum batch, or above its tokens per
  step, are left out. If padding is on, that maximum is captured in their place
  (`_torch/pyexecutor/model_engine.py` _filter_cuda_graph_batch_sizes). Padding is off by default.
* SGLang counts sequences, up to a size by the device's memory and tensor parallelism, and the
  maximum number of running requests is captured (0.4 to 0.5, `cuda_graph_runner.py`). Since 0.5
  it has sizes of their own for piecewise prefill.

vLLM estimates the memory of graphs from two captures of each kind, the largest sizes: the first
capture of a kind counts once for all kinds, and each further graph counts as the second capture,
at least 1 MiB (0.20 to 0.33, `v1/worker/gpu_model_runner.py` profile_cudagraph_memory).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from cluster_sim.physics.replica_layout import GraphPlan
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.units import Bytes

GraphMode = Literal["none", "piecewise", "full", "full_decode_only", "full_and_piecewise"]
"""Modes of CUDA graphs, by vLLM's names."""

_LEAST_GRAPH_BYTES = 2.0**20


class StepLimits(NamedTuple):
    """Limits of the steps of one rank, on which captured sizes depend."""

    max_sequences: int
    """Maximum number of sequences."""
    max_batched_tokens: int
    """Maximum number of tokens."""
    drafts: int = 0
    """Number of drafted tokens per sequence and step."""

    @property
    def each(self) -> int:
        """Number of tokens that a decoding sequence has in a step."""
        return 1 + self.drafts


class SizeRange(Description):
    """Sizes from `first` to `last` at equal distances."""

    first: Count
    """Smallest size of the range."""
    last: Count
    """Largest size that the range may have."""
    step: Count
    """Distance between sizes."""


class GraphSizes(Description):
    """Rule of the sizes for which an engine captures CUDA graphs."""

    unit: Literal["tokens", "sequences"] = "tokens"
    """Unit of the sizes. tokens: tokens of a step, drafts included. sequences: decoding
    sequences."""
    sizes: tuple[Count, ...] = ()
    """Single sizes that are captured."""
    ranges: tuple[SizeRange, ...] = ()
    """Ranges of sizes."""
    largest: Count | None = None
    """Largest size that is captured. Default: only the limits of the engine's steps."""
    per_sequence: Annotated[float, Field(gt=0.0)] | None = None
    """Largest size in tokens, per sequence of `max_sequences`. Default: sizes do not depend on
    it."""
    counts_drafts: bool = True
    """Whether `per_sequence` counts a sequence with its drafted tokens."""
    captures_limit: bool = False
    """Whether the largest allowed size is captured in place of the sizes that are too large."""
    captures_full_batch: bool = False
    """Whether the tokens of `max_sequences` decoding sequences, with and without drafts, are sizes
    as well."""
    padding: bool = True
    """Whether a smaller step is padded to the next size. Without padding only steps of exactly a
    captured size run as graphs."""

    def captured(self, limits: StepLimits) -> tuple[int, ...]:
        """Return the captured sizes in the rule's own unit, ascending."""
        listed = set(self.sizes)
        for sizes in self.ranges:
            listed.update(range(sizes.first, sizes.last + 1, sizes.step))
        if self.captures_full_batch and self.unit == "tokens":
            listed |= {limits.max_sequences, limits.max_sequences * limits.each}
        limit = self._limit(limits)
        kept = {size for size in listed if size <= limit}
        if self.captures_limit and kept != listed and limit:
            kept.add(limit)
        return tuple(sorted(kept))

    def _limit(self, limits: StepLimits) -> int:
        """Return the largest size that may be captured."""
        if self.unit == "sequences":
            limit = min(limits.max_sequences, limits.max_batched_tokens // limits.each)
        else:
            limit = limits.max_batched_tokens
            if self.per_sequence is not None:
                each = limits.each if self.counts_drafts else 1
                limit = min(limit, int(self.per_sequence * limits.max_sequences * each))
        return limit if self.largest is None else min(limit, self.largest)


class GraphMemory(Description):
    """Memory of CUDA graphs that an engine takes from the KV cache."""

    first_bytes: Bytes
    """Memory of the first graph that is captured, of the largest size [B]."""
    further_bytes: Bytes = _LEAST_GRAPH_BYTES
    """Memory of each further graph [B], at least 1 MiB."""

    def reserve_bytes(self, plan: GraphPlan) -> float:
        """Return the memory that the engine reserves on each device for its graphs [B].

        >>> memory = GraphMemory.model_validate({"first": "1 GB", "further": "2 MB"})
        >>> memory.reserve_bytes(GraphPlan((1, 2, 4), (), (1, 2, 4, 8)))  # 1 GB + (2 + 3) x 2 MB
        1010000000.0
        """
        if not plan.counts:
            return 0.0
        further = sum(count - 1 for count in plan.counts)
        return self.first_bytes + further * max(self.further_bytes, _LEAST_GRAPH_BYTES)


def graph_plan(
    mode: GraphMode, sizes: GraphSizes, prefill_sizes: GraphSizes | None, limits: StepLimits
) -> GraphPlan:
    """Return the sizes for which an engine captures graphs of whole steps and of pieces.

    Parameters
    ----------
    mode
        Mode of CUDA graphs.
    sizes
        Rule of the sizes.
    prefill_sizes
        Rule of the sizes of steps with a prompt; None if it is the same one.
    limits
        Limits of the steps of one rank.

    Returns
    -------
    GraphPlan
        Captured sizes by kind of graph.

    Examples
    --------
    Decode graphs end at `max_sequences`, and piecewise graphs at twice as many tokens:

    >>> rule = GraphSizes.model_validate({"sizes": [1, 2, 4, 8, 16], "per_sequence": 2})
    >>> graph_plan("full_and_piecewise", rule, None, StepLimits(4, 8192))[:3]
    ((1, 2, 4), (), (1, 2, 4, 8))
    """
    if mode == "none":
        return GraphPlan()
    has_decode = mode.startswith("full_")
    each = limits.each if has_decode else 1
    tokens = _whole_sequences(sizes.captured(limits), each) if sizes.unit == "tokens" else ()
    decode: Iterable[int] = ()
    if has_decode and sizes.unit == "sequences":
        decode = sizes.captured(limits)
    elif has_decode:
        decode = (size // each for size in tokens if size <= each * limits.max_sequences)
    steps = tokens if prefill_sizes is None else prefill_sizes.captured(limits)
    return GraphPlan(
        decode_sequences=tuple(decode),
        step_tokens=steps if mode == "full" else (),
        piece_tokens=steps if mode in ("piecewise", "full_and_piecewise") else (),
        padding=sizes.padding,
    )


def _whole_sequences(sizes: tuple[int, ...], each: int) -> tuple[int, ...]:
    """Return sizes rounded up to sequences of `each` tokens, without those above the largest."""
    rounded = {-(-size // each) * each for size in sizes}
    return tuple(sorted(size for size in rounded if size <= max(sizes)))
