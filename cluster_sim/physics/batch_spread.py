"""BatchSpread: distribution of batches over the ranks and pipeline stages of a replica of GPUs."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from cluster_sim.physics.attention_terms import BlockTerm, DecodeTerm
from cluster_sim.physics.kernels import LayerKernels
from cluster_sim.physics.memo import Memo
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork


class Spread(NamedTuple):
    """Distribution of a batch over the ranks and pipeline stages of a replica."""

    micro_batches: int
    """Number of micro-batches in flight."""
    kernels: int
    """Number of attention kernels that share the sequences: one per rank and micro-batch."""
    plain: DecodeTerm | None
    """Decode attention of one kernel, if all layers are of one kind and see the whole context; None
    if the batch is empty or the layers differ."""
    terms: tuple[DecodeTerm, ...]
    """Decode attention of one kernel, per kind of layers and view; empty for an empty batch."""
    short_terms: tuple[DecodeTerm, ...]
    """Decode attention of one kernel if no sequence is long enough for an indexer to choose keys.
    """
    fixed_s: float
    """Time of the states in all layers of one kernel [s]."""
    blocks: tuple[BlockTerm, ...]
    """Decode attention of one kernel by an attention back end of its own, per kind of layers."""


class BatchSpread:
    """Even distribution of batches over micro-batches, one per pipeline stage, and over ranks."""

    def __init__(self, kernels: LayerKernels, layout: ReplicaLayout) -> None:
        self._kernels, self._layout = kernels, layout
        self._is_alone = layout.data_parallel == layout.pipeline_parallel == 1
        self.spreads = Memo(self._spread)
        """Distribution of a batch, by its number of sequences."""

    def tokens(self, work: StepWork, tokens_per_sequence: int) -> tuple[int, int, int]:
        """Return (tokens per rank and micro-batch, tokens per micro-batch, prefill kernels).

        A step completes `sampled - batch` prompts. They are shared among the prefill kernels.
        """
        decoding = tokens_per_sequence * work.batch
        if self._is_alone:
            tokens = decoding + work.prompt_tokens
            return tokens, tokens, 1
        ranks = self._layout.data_parallel
        micro_batches = self.spreads[work.batch].micro_batches
        kernels = micro_batches * min(ranks, max(work.sampled - work.batch, 1))
        return (
            ceil((decoding / ranks + work.prompt_tokens * micro_batches / kernels) / micro_batches),
            ceil((decoding + work.prompt_tokens) / micro_batches),
            kernels,
        )

    def _spread(self, batch: int) -> Spread:
        ranks = self._layout.data_parallel
        micro_batches = min(self._layout.pipeline_parallel, max(ceil(batch / ranks), 1))
        kernels = micro_batches * min(ranks, max(batch, 1))
        part = ceil(batch / kernels)
        if not part:
            return Spread(micro_batches, kernels, None, (), (), 0.0, ())
        kinds = self._kernels.attention
        terms = short_terms = tuple(term for kind in kinds for term in kind.decode_terms(part))
        if any(kind.is_chosen for kind in kinds):
            short_terms = tuple(
                term for kind in kinds for term in kind.decode_terms(part, selecting=False)
            )
        fixed_s = sum(kind.layers * kind.decode_fixed_s(part) for kind in kinds)
        is_plain = len(kinds) == len(terms) == 1 and not (fixed_s or terms[0].is_limited)
        plain = terms[0] if is_plain else None
        blocks = tuple(term for kind in kinds for term in kind.block_terms(part))
        return Spread(micro_batches, kernels, plain, terms, short_terms, fixed_s, blocks)
