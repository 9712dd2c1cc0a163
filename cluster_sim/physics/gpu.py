"""Time of an engine step on a replica of GPUs, with tensor, pipeline, expert and attention data parallelism."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.physics.batch_spread import BatchSpread, Spread
from cluster_sim.physics.gpu_layers import EXCHANGE, LayerTimes, PrefillAttention
from cluster_sim.physics.kernels import LayerKernels
from cluster_sim.physics.memo import Memo
from cluster_sim.physics.ramp import ALWAYS, Ramp, longest, new_ramp
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_graphs import GraphedStep, StepGraphs, launch_costs
from cluster_sim.physics.step_overlap import OverlapShape, half_of, two_batches
from cluster_sim.physics.step_work import StepWork

NO_ATTENTION = Ramp(0.0, 0.0)
"""Attention of a step that decodes no sequence, or prefills no prompt."""
WAITING = "waiting for the slowest rank"
"""Part of a step in which the other ranks wait at the experts of each layer."""


class GpuSteps:
    """Step times of one replica on GPUs.

    The time of a step is the sum of these terms:

    * Host time of the step and of each of its sequences.
    * Kernels of each layer as the engine runs them (`physics.kernels`): products, attention,
      experts, two all-reduces, element-wise operations.
    * The output head.

    With pipeline stages the batch is split into micro-batches, one per stage if there are enough
    sequences. A step then ends when every sequence has passed all stages. With attention data
    parallelism all ranks synchronise at the experts of each layer, and the slowest rank sets the
    step (`physics.batch_spread`). Steps run as CUDA
    graphs, in pieces or eager by the layout's `graphs` (`physics.step_graphs`). If weights
    have a separate memory, reading the KV cache overlaps with the rest of the step by the share
    `overlap`.

    A term that depends only on the number of tokens is computed once per number and kept.

    Parameters
    ----------
    model
        Shape of the model.
    device
        GPU that the replica runs on.
    layout
        Parallelism, precisions and engine; by default one GPU in 16 bit.

    Examples
    --------
    Llama 3.1 8B in bf16 on one H100 reads 15.0 GB of weights per step, which takes 4.5 ms at 3.35 TB/s:

    >>> from cluster_sim.schema import catalog_entry
    >>> h100 = Device.model_validate(catalog_entry("devices", "h100-sxm"))
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.1-8b"))
    >>> step_s = GpuSteps(llama, h100).ramp(StepWork(batch=1, sampled=1, growth=1, context=1000)).first_s
    >>> 0.0045 < step_s < 0.0085
    True
    """

    def __init__(self, model: Model, device: Device, layout: ReplicaLayout | None = None) -> None:
        self._model, self._layout = model, layout or ReplicaLayout()
        layout = self._layout
        self._kernels = LayerKernels(model, device, layout)
        self._layers = LayerTimes(model, device, layout, self._kernels)
        self._prefill = PrefillAttention.of(self._kernels)
        self._head = self._kernels.head()
        overhead = device.overhead(layout.engine)
        self._sequence_s = overhead.sequence_s
        self._key_compute_s = max(kind.key_compute_s() for kind in self._kernels.attention)
        self._graphs = StepGraphs(layout, launch_costs(model, device, layout))
        self._overlap = device.weight_memory.overlap if device.weight_memory is not None else 0.0
        self._batches = BatchSpread(self._kernels, layout)
        self._spread = self._batches.spreads
        self._sampling_s = Memo(self._sampling_seconds)
        self._decode_base = Memo(self._decode_base_and_floor)
        self._halved: tuple[OverlapShape, ...] = ()
        if layout.overlap == "two_batch" and self._kernels.exchanges_tokens:
            self._halved = tuple(
                OverlapShape(
                    model.moe_layers,
                    model.passed_layers,
                    self._kernels.occupied_share(has_prompts=has_prompts),
                )
                for has_prompts in (False, True)
            )

    def ramp(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that begin with `work` [s].

        From one step to the next `work.context` grows by `work.growth`, `work.windowed` by
        `work.growing`, `work.pairs` by `work.pairs_growth`, and `work.longest` by 1.
        """
        if work.ranks:
            return self.verify(work, 1)
        if self._halved and self._splits(work, 1):
            return self._two_batches(work, 1, self._sampling_s[work.sampled])
        if work.prompt_tokens:
            return self._mixed(work)
        base_s, least_s = self._decode_base[work.batch]
        _, kernels, plain, _, _, _, _ = self._spread[work.batch]
        # NOTE: this is the common case of `_together(..., self._attention(work))`, written out
        # because decoding is the hot loop: 2 us of the 25 us that a request takes.
        if plain is not None and not self._overlap:
            layers, _, (short_keys, floor_s, fixed_s, key_s) = plain
            keys = work.context / kernels
            first_s = fixed_s + key_s * keys
            if keys > short_keys and first_s >= floor_s and not least_s:
                slope_s = layers * (key_s * (work.growth / kernels))
                return new_ramp(Ramp, (base_s + layers * first_s, slope_s, ALWAYS))
        ramp = self._together(base_s, Ramp(0.0, 0.0), self._attention(work))
        return ramp.at_least(least_s)

    def verify(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of steps that verify `tokens_per_sequence` tokens per sequence [s].

        The keys of a sequence are read once for all of its tokens. Layers with a state, a chunk or
        an indexer are not supported: such models are not served with speculation.
        """
        each = tokens_per_sequence
        hosts_s = self._sequence_s * self._batches.sampled(work)
        if self._halved and self._splits(work, each):
            return self._two_batches(work, each, self._heads_s(work, each * work.batch) + hosts_s)
        base_s, floor_s = self._base_and_floor(work, each, each * work.batch)
        base_s += hosts_s
        return self._verified(work, each, base_s).at_least(floor_s)

    def draft(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of passes that draft one token per sequence [s].

        A pass reads `tokens_per_sequence` tokens of each sequence and the prompts of the step. Its
        output head sees the last token of each. The host's work per sequence is that of the step
        which verifies the drafts.
        """
        if self._halved and self._splits(work, tokens_per_sequence):
            heads_s = self._heads_s(work, work.batch)
            return self._two_batches(work, tokens_per_sequence, heads_s)
        base_s, floor_s = self._base_and_floor(work, tokens_per_sequence, work.batch)
        return self._verified(work, tokens_per_sequence, base_s).at_least(floor_s)

    def _base_and_floor(self, work: StepWork, each: int, heads: int) -> tuple[float, float]:
        """Return the time of a step without attention, and the minimum of its length [s].

        Parameters
        ----------
        work
            Counts of the step.
        each
            Number of tokens per decoding sequence.
        heads
            Number of rows of the output head for decoding sequences.
        """
        run, tokens, all_tokens = self._padded(work, each)
        layers_s = self._layers.with_prompt if work.prompt_tokens else self._layers.seconds
        base_s = layers_s[tokens, all_tokens] + run.added_s
        return base_s + self._heads_s(work, heads), run.floor_s

    def _padded(self, work: StepWork, each: int) -> tuple[GraphedStep, int, int]:
        """Return the launches of a step, and its padded tokens per rank and of all ranks."""
        tokens, all_tokens, _ = self._batches.tokens(work, each)
        run = (
            self._graphs.mixed[tokens]
            if work.prompt_tokens
            else self._graphs.decode[self._batches.decoding(work), each]
        )
        if run.tokens <= tokens:
            return run, tokens, all_tokens
        return run, run.tokens, max(all_tokens, run.tokens * self._layout.data_parallel)

    def _heads_s(self, work: StepWork, heads: int) -> float:
        """Return the time of the output head with `heads` rows of decoding sequences [s]."""
        if not work.sampled:
            return 0.0
        checked = heads + work.sampled - work.batch
        return self.head_s(self._batches.rows(work, checked))

    # Two batches in one step

    def _splits(self, work: StepWork, each: int) -> bool:
        """Return whether a step runs as two batches."""
        tokens = self._batches.tokens(work, each)[0]
        return self._layout.split_from.splits(tokens, has_prompts=bool(work.prompt_tokens))

    def _two_batches(
        self, work: StepWork, each: int, ends_s: float, *, exchanging: bool = True
    ) -> Ramp:
        """Return the lengths of steps whose exchanges overlap with the other half's computing [s].

        The launches of both halves follow each other: their minimum time counts twice.

        Parameters
        ----------
        work
            Counts of the step.
        each
            Number of tokens per decoding sequence.
        ends_s
            Time of output head and host for the sequences of both halves [s].
        exchanging
            Whether the halves exchange tokens; without, the time is that of computing alone.
        """
        has_prompts = bool(work.prompt_tokens)
        run, tokens, all_tokens = self._padded(work, each)
        attention = self._half_attention(work, each)
        times = self._layers.halves[ceil(tokens / 2), ceil(all_tokens / 2), has_prompts]
        if not exchanging:
            times = times._replace(dispatch_s=0.0, combine_s=0.0)
        whole_s = self._layers.step_s + ends_s + 2.0 * run.added_s
        ramp = two_batches(times, attention, self._halved[has_prompts]).plus(Ramp(whole_s))
        return ramp.at_least(2.0 * run.floor_s - self._layers.step_s)

    def _half_attention(self, work: StepWork, each: int) -> Ramp:
        """Return the lengths of the attention of one of two batches [s]."""
        if work.ranks:
            kernels = self._batches.of_rank
            halves = [half_of(rank, kernels[rank.batch].kernels) for rank in work.ranks]
            return longest([self._of_rank(half, each, 0.0) for half in halves])
        half = half_of(work, self._spread[work.batch].kernels)
        attention = self._attention(half, each)
        if work.prompt_tokens:
            kernels_of_prompts = self._batches.tokens(work, each)[2]
            attention = attention.plus(self._prompts(half, kernels_of_prompts))
        return attention

    def _verified(self, work: StepWork, each: int, base_s: float) -> Ramp:
        """Return the lengths of steps with `each` tokens per decoding sequence [s]."""
        if work.ranks:
            return longest([self._of_rank(rank, each, base_s) for rank in work.ranks])
        prompts = Ramp(0.0, 0.0)
        if work.prompt_tokens:
            prompts = self._prompts(work, self._batches.tokens(work, each)[2])
        return self._together(base_s, prompts, self._attention(work, each))

    def _of_rank(self, work: StepWork, each: int, base_s: float) -> Ramp:
        """Return the lengths of steps that end with the attention of one rank [s]."""
        spread = self._batches.of_rank[work.batch]
        decoding = self._attention(work, each, spread) if work.batch else NO_ATTENTION
        prompts = self._prompts(work, spread.kernels) if work.prompt_tokens else NO_ATTENTION
        return self._together(base_s, prompts, decoding)

    def tokens_s(self, tokens: int, all_tokens: int) -> float:
        """Return the time of the part of a step that depends only on its number of tokens [s].

        Attention, output head and time per sequence are excluded. `tokens` is the number of tokens
        of one rank in a micro-batch, `all_tokens` that of all ranks.
        """
        return self._layers.seconds[tokens, all_tokens]

    def head_s(self, sampled: int) -> float:
        """Return the time of the output head for `sampled` tokens, at least one [s]."""
        return self._head.seconds(sampled)

    def parts(self, work: StepWork) -> dict[str, float]:
        """Return the shares of a step's time per activity, for equal micro-batches.

        Two batches are counted together; their exchanges count by the time that they add. If
        reading the KV cache overlaps with the rest, it counts by the time that it adds to the step.
        The time by which uneven ranks take longer than even ones is waiting for the slowest.
        """
        if work.ranks:
            return self._parts_of_ranks(work)
        step_s, has_prompts = self.ramp(work).first_s, bool(work.prompt_tokens)
        tokens, all_tokens, prompt_kernels = self._batches.tokens(work, 1)
        batches, part = 1, work
        if self._halved and self._splits(work, 1):
            batches, part = 2, half_of(work, self._spread[work.batch].kernels)
            tokens, all_tokens = ceil(tokens / 2), ceil(all_tokens / 2)
        spent = {"reading weights": 0.0, "computing": 0.0}
        head_rows = ceil(work.sampled / self._spread[work.sampled].kernels)
        for product, seconds in self._layers.products_s(tokens):
            bound = "reading weights" if tokens <= product.bound_tokens else "computing"
            spent[bound] += batches * seconds
        if head_rows:
            bound = "reading weights" if head_rows <= self._head.bound_tokens else "computing"
            spent[bound] += self.head_s(head_rows)
        if self._model.experts is not None:
            experts_s = self._layers.experts_s(all_tokens, has_prompts=has_prompts)
            spent["experts"] = batches * experts_s
        caches = self._model.caches_tokens
        spent["reading KV cache" if caches else "reading states"] = (
            step_s - self.ramp(replace(work, context=0, windowed=0, longest=0)).first_s
            if self._overlap
            else batches * self._attention(part).first_s
        )
        spent["prefill attention" if caches else "scanning prompts"] = (
            batches * self._prompts(part, prompt_kernels).first_s if has_prompts else 0.0
        )
        communication = self._layers.communication(tokens, all_tokens, has_prompts=has_prompts)
        if batches > 1:
            alone_s = self._two_batches(work, 1, self._sampling_s[work.sampled], exchanging=False)
            communication[EXCHANGE] = step_s - alone_s.first_s
            communication["collectives"] *= batches
        spent |= communication
        spent["overhead"] = step_s - sum(spent.values())
        return {name: seconds / step_s for name, seconds in spent.items()}

    def _parts_of_ranks(self, work: StepWork) -> dict[str, float]:
        """Return the shares of even ranks, and that of waiting for the slowest rank."""
        even = work.spread(self._layout.data_parallel)
        kept = min(self.ramp(even).first_s / self.ramp(work).first_s, 1.0)
        shares = {name: kept * share for name, share in self.parts(even).items()}
        return shares | {WAITING: 1.0 - kept}

    def _mixed(self, work: StepWork) -> Ramp:
        """Return the lengths of steps with prompt tokens, decode included [s]."""
        tokens, all_tokens, kernels = self._batches.tokens(work, 1)
        size, added_s, floor_s = self._graphs.mixed[tokens]
        if size > tokens:
            tokens, all_tokens = size, max(all_tokens, size * self._layout.data_parallel)
        base_s = self._layers.with_prompt[tokens, all_tokens] + self._sampling_s[work.sampled]
        base_s += added_s
        decoding = self._attention(work)
        if self._overlap or work.pairs_growth:
            together = self._together(base_s, self._prompts(work, kernels), decoding)
            return together.at_least(floor_s)
        # NOTE: this is the common case of the line above, written out: 0.6 us of the 25 us of a
        # request.
        first_s, slope_s, valid_steps = decoding
        first_s = base_s + (
            first_s
            + self._prefill.seconds(
                work.prompt_tokens / kernels, work.pairs / kernels, work.window_pairs / kernels
            )
        )
        ramp = new_ramp(Ramp, (first_s, slope_s, valid_steps))
        return ramp if first_s >= floor_s else ramp.at_least(floor_s)

    def _decode_base_and_floor(self, batch: int) -> tuple[float, float]:
        """Return the time of a decode step without attention, and the minimum of its length [s]."""
        micro_batches, kernels, _, _, _, _, _ = self._spread[batch]
        part = ceil(batch / kernels)
        size, added_s, floor_s = self._graphs.decode[part, 1]
        tokens = max(part, size)
        padded = tokens * self._layout.data_parallel if tokens > part else 0
        all_tokens = max(ceil(batch / micro_batches), padded)
        base_s = self.tokens_s(tokens, all_tokens) + self._sampling_s[batch]
        return base_s + added_s, floor_s

    def _sampling_seconds(self, sampled: int) -> float:
        """Return the time of output head and host for `sampled` sequences [s]."""
        if not sampled:
            return 0.0
        head_s = self.head_s(ceil(sampled / self._spread[sampled].kernels))
        return head_s + self._sequence_s * ceil(sampled / self._layout.data_parallel)

    def _attention(self, work: StepWork, each: int = 1, spread: Spread | None = None) -> Ramp:
        """Return the lengths of the decode attention of all layers [s].

        Parameters
        ----------
        work
            Counts of the step.
        each
            Number of tokens per decoding sequence.
        spread
            Distribution of the batch; by default evenly over all ranks.
        """
        _, kernels, plain, terms, short_terms, fixed_s, blocks = spread or self._spread[work.batch]
        if plain is not None and each == 1:
            layers, _, attention = plain
            first_s, slope_s, valid_steps = attention.stretch(
                work.context / kernels, work.growth / kernels
            )
            return new_ramp(Ramp, (layers * first_s, layers * slope_s, valid_steps))
        if work.growing == work.batch:  # no view is full
            terms = short_terms
        ramp = Ramp(fixed_s)
        least_key_s = each * self._key_compute_s if each > 1 else 0.0
        for layers, is_limited, attention in terms:
            keys, growth = (
                (work.windowed, work.growing) if is_limited else (work.context, work.growth)
            )
            read = attention
            if attention.key_s < least_key_s:  # the keys are read once for all tokens of a sequence
                read = attention._replace(key_s=least_key_s)
            ramp = ramp.plus(read.stretch(keys / kernels, growth / kernels).scaled(layers))
        for layers, block in blocks:
            stretch = block.stretch(work.context / kernels, work.growth / kernels, work.longest)
            ramp = ramp.plus(stretch.scaled(layers))
        return ramp

    def _prompts(self, work: StepWork, kernels: int) -> Ramp:
        """Return the lengths of the prefill attention of all layers on one of `kernels` kernels."""
        prefill = self._prefill
        first_s = prefill.seconds(
            work.prompt_tokens / kernels, work.pairs / kernels, work.window_pairs / kernels
        )
        slope_s = prefill.growth_s(work.prompt_tokens / kernels, work.pairs_growth / kernels)
        return Ramp(first_s, slope_s)

    def _together(self, base_s: float, prompts: Ramp, decoding: Ramp) -> Ramp:
        """Return the lengths of steps of both kinds of attention and `base_s` for the rest."""
        if self._overlap:
            return prompts._replace(first_s=base_s + prompts.first_s).overlapped(
                decoding, self._overlap
            )
        return Ramp(
            base_s + (decoding.first_s + prompts.first_s),
            decoding.slope_s + prompts.slope_s,
            decoding.valid_steps,
        )
