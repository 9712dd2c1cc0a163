"""BatchSpread: distribution of batches over the ranks and pipeline stages of a replica of GPUs.

A scheduler says what each attention data-parallel rank does in a step (`StepWork.ranks`). All ranks
meet at the experts of each layer, so the rank with the most tokens sets the time of products, and
the rank with the longest attention that of attention: engines pad decode batches to the largest
rank (vLLM, `v1/worker/dp_utils.py`; SGLang, `layers/dp_attention.py`, max_len). Where prompts are
not padded and these are two different ranks, the sum is an upper bound. Work without ranks is
spread evenly.
"""

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
    """Distribution of batches over micro-batches, one per pipeline stage, and over ranks."""

    def __init__(self, kernels: LayerKernels, layout: ReplicaLayout) -> None:
        self._kernels, self._layout = kernels, layout
        self._is_alone = layout.data_parallel == layout.pipeline_parallel == 1
        self.spreads = Memo(self._spread)
        """Even distribution of a batch, by its number of sequences."""
        self.of_rank: Memo[int, Spread] = Memo(lambda batch: self._spread(batch, 1))
        """Distribution of the batch of one rank, by its number of sequences."""

    def decoding(self, work: StepWork) -> int:
        """Return the number of decoding sequences of one attention kernel, on the largest rank."""
        if not work.ranks:
            return ceil(work.batch / self.spreads[work.batch].kernels)
        largest = max(rank.batch for rank in work.ranks)
        return ceil(largest / self.of_rank[largest].kernels)

    def rows(self, work: StepWork, checked: int) -> int:
        """Return the number of rows of the output head on the largest rank.

        Parameters
        ----------
        work
            Counts of the step, with sampled tokens.
        checked
            Number of rows on all ranks.
        """
        if not work.ranks:
            return ceil(checked / self.spreads[work.sampled].kernels)
        sampled = max(rank.sampled for rank in work.ranks)
        return -(-checked * sampled // (work.sampled * self.of_rank[sampled].kernels))

    def sampled(self, work: StepWork) -> int:
        """Return the number of sampled sequences of the largest rank."""
        if not work.ranks:
            return ceil(work.sampled / self._layout.data_parallel)
        return max(rank.sampled for rank in work.ranks)

    def tokens(self, work: StepWork, tokens_per_sequence: int) -> tuple[int, int, int]:
        """Return (tokens per rank and micro-batch, tokens per micro-batch, prefill kernels).

        A step completes `sampled - batch` prompts. Work that is spread evenly shares them among the
        prefill kernels; for the work of ranks, the kernels are those of one rank.
        """
        if work.ranks:
            return self._tokens_of_ranks(work, tokens_per_sequence)
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

    def _tokens_of_ranks(self, work: StepWork, each: int) -> tuple[int, int, int]:
        micro_batches = self.of_rank[max(rank.batch for rank in work.ranks)].micro_batches
        largest = max(each * rank.batch + rank.prompt_tokens for rank in work.ranks)
        every = each * work.batch + work.prompt_tokens
        return ceil(largest / micro_batches), ceil(every / micro_batches), micro_batches

    def _spread(self, batch: int, ranks: int | None = None) -> Spread:
        """Return the distribution of a batch over ranks; by default over all of the replica."""
        ranks = ranks or self._layout.data_parallel
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
