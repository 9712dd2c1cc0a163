"""Time of an engine step on a replica of GPUs, tensor and pipeline parallel."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil, inf
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.attention import DecodeAttention
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.kernels import LayerKernels, Product
from cluster_sim.physics.ramp import ALWAYS, larger_line, overlapped

Lines = tuple[
    DecodeAttention, DecodeAttention | None
]  # of a layer of full attention, and of one with a window where there are any


class Hops(NamedTuple):
    """From pipeline stage to pipeline stage where the two are on different nodes."""

    times: int = 0
    latency_s: float = 0.0
    """Of one of them."""
    bytes_per_s: float = inf
    """Over the lanes of all devices of a stage."""


NO_HOPS = Hops()


class GpuSteps:
    """Step times of one replica. What depends on the number of tokens alone is worked out once a
    number and kept.

    A step is: host time, of the step and of each of its sequences; for each layer its kernels as
    the engine runs them (`physics.kernels`): products, attention, experts, two all-reduces,
    element-wise work; and the output head. With pipeline stages the batch goes round in
    micro-batches, one for each stage while there are sequences enough, and a step is the time in
    which every sequence has passed all stages. With attention data parallelism sequences are spread
    evenly over the ranks, and the prompts that a step completes over as many ranks as they are; all
    ranks meet at the experts of each layer. Steps that decode only run as CUDA graphs, which were
    captured for `graph_batches`: smaller batches are padded. Where weights have a memory of their
    own, reading the KV cache hides behind the rest, or the rest behind it, by its `overlap`.
    """

    def __init__(
        self, model: Model, device: Device, tensor_parallel: int, pipeline_parallel: int, weights: Precision, kv_cache: Precision, engine: str,
        data_parallel: int = 1, expert_parallel: int = 1, graph_batches: Sequence[int] = (), between_nodes: Hops = NO_HOPS,
    ) -> None:  # fmt: skip
        self._graph_batches = sorted(graph_batches)
        self._model, self._pp, self._dp, self._overhead = (
            model,
            pipeline_parallel,
            data_parallel,
            device.overhead(engine),
        )
        self._kernels = kernels = LayerKernels(
            model,
            device,
            tensor_parallel,
            weights,
            kv_cache,
            engine,
            data_parallel,
            expert_parallel,
        )
        dense_layers, experts = model.layers - model.moe_layers, model.experts
        self._products: list[tuple[int, Product]] = [
            (model.layers, product) for product in kernels.attention_products()
        ]
        if dense_layers:
            self._products += [
                (dense_layers, product) for product in kernels.ffn_products(model.ffn)
            ]
        if experts is not None and experts.shared:
            self._products += [
                (model.moe_layers, product)
                for product in kernels.ffn_products(experts.shared * experts.ffn)
            ]
        self._head = kernels.head()
        # Hidden states of every token go from each pipeline stage to the next, inside a node or
        # over the network.
        hops, bandwidth = (
            pipeline_parallel - 1 - between_nodes.times,
            device.peer_bandwidth_bytes_per_s,
        )
        layer_s = self._overhead.layer_s + (
            self._overhead.latent_layer_s if model.latent is not None else 0.0
        )
        self._fixed_s = (
            self._overhead.step_s
            + model.layers * layer_s
            + hops * device.peer_latency_s
            + between_nodes.times * between_nodes.latency_s
        )
        self._token_s = model.layers * kernels.elementwise_token_s()
        self._token_s += (
            hops * model.hidden * ACTIVATION_BYTES / bandwidth / tensor_parallel
            if bandwidth
            else 0.0
        )
        self._token_s += (
            between_nodes.times * model.hidden * ACTIVATION_BYTES / between_nodes.bytes_per_s
        )
        self._key_compute_s = kernels.key_compute_s()
        self._eager_s = self._overhead.step_s + model.layers * self._overhead.eager_layer_s
        self._full_layers, self._window_layers = model.full_layers, model.layers - model.full_layers
        self._prompt = kernels.prompt_attention()
        self._window_prompt = (
            kernels.prompt_attention(model.window.tokens)
            if model.window is not None
            else self._prompt
        )
        self._overlap = device.weight_memory.overlap if device.weight_memory is not None else 0.0
        self._alone = pipeline_parallel == 1 and data_parallel == 1
        self._decoding: dict[int, float] = {}
        self._splits: dict[int, tuple[int, int, Lines | None]] = {}
        self._samplings: dict[int, float] = {}
        self._tokens: dict[tuple[int, int], float] = {}

    def decode(
        self, batch: int, context: float, windowed: int, growing: int
    ) -> tuple[float, float, int]:
        """(first_s, slope_s, steps for which that holds) of steps that decode one token for each of
        `batch` sequences.

        context, windowed: keys that the first step reads in layers of full attention and with a
        window; they grow by `batch` and by `growing` a step.
        """
        base_s = self._decoding.get(batch)
        if base_s is None:
            micro, ways, _ = self._split(batch)
            part = ceil(batch / ways)
            tokens = self._padded(part)
            of_all = max(ceil(batch / micro), tokens * self._dp if tokens > part else 0)
            base_s = self._decoding[batch] = self.tokens_s(tokens, of_all) + self._sampling_s(batch)
        first_s, slope_s, steps = self._attention(batch, context, windowed, growing)
        if self._overlap:
            return self._together(base_s, 0.0, 0.0, first_s, slope_s, steps)
        return (
            base_s + first_s,
            slope_s,
            steps,
        )  # as `_together`, spelled out since decoding is the hot loop

    def mixed(
        self,
        batch: int,
        context: float,
        windowed: int,
        growing: int,
        prompt: int,
        sampled: int,
        pairs: int,
        windowed_pairs: int,
        pairs_growth: int,
    ) -> tuple[float, float, int]:
        """The same for steps that also take `prompt` tokens of prompts, which see `pairs` keys;
        those grow by `pairs_growth`.
        """
        tokens, of_all, ways = self._spread(batch, prompt, sampled)
        base_s = self.tokens_s(tokens, of_all) + self._sampling_s(sampled)
        prompts_s = self._prompts_s(prompt / ways, pairs / ways, windowed_pairs / ways)
        longer_s = self._full_layers * self._prompt.pair_s * pairs_growth / ways
        first_s, slope_s, steps = self._together(
            base_s, prompts_s, longer_s, *self._attention(batch, context, windowed, growing)
        )
        first_s, slope_s, until = larger_line(self._eager_s, first_s, slope_s)
        return first_s, slope_s, min(steps, until)

    def verify(
        self,
        each: int,
        batch: int,
        growth: float,
        context: float,
        prompt: int,
        sampled: int,
        pairs: int,
        pairs_growth: int,
    ) -> tuple[float, float, int]:
        """The same for steps in which `each` tokens of every sequence are checked; models with
        windows are left out.

        A sequence's keys are read once for all of its tokens; `growth` is what a step adds to the
        context of all sequences.
        """
        _, among, lines = self._split(batch)
        checked = each * batch
        tokens, of_all, ways = self._spread(batch, prompt, sampled, each)
        if not prompt and (padded := self._padded(part := ceil(batch / among))) > part:
            tokens, of_all = each * padded, max(of_all, each * padded * self._dp)
        base_s = self.tokens_s(tokens, of_all)
        if sampled:
            _, sampling, _ = self._split(sampled)
            base_s += self.head_s(
                ceil((checked + sampled - batch) / sampling)
            ) + self._overhead.sequence_s * ceil(sampled / self._dp)
        attention_s, growth_s, steps = 0.0, 0.0, ALWAYS
        if lines is not None:
            line, _ = lines
            if each > 1:
                line = line._replace(key_s=max(line.key_s, each * self._key_compute_s))
            attention_s, growth_s, steps = line.stretch(context / among, growth / among)
        attention_s, growth_s = self._full_layers * attention_s, self._full_layers * growth_s
        if not prompt:
            return self._together(base_s, 0.0, 0.0, attention_s, growth_s, steps)
        prompts_s = self._prompts_s(prompt / ways, pairs / ways, 0.0)
        longer_s = self._full_layers * self._prompt.pair_s * pairs_growth / ways
        first_s, slope_s, steps = self._together(
            base_s, prompts_s, longer_s, attention_s, growth_s, steps
        )
        first_s, slope_s, until = larger_line(self._eager_s, first_s, slope_s)
        return first_s, slope_s, min(steps, until)

    def tokens_s(self, tokens: int, of_all: int) -> float:
        """Seconds of a step that depend on its number of tokens alone, of a rank and `of_all`: all
        but attention, head and sequences.
        """
        known = self._tokens.get((tokens, of_all))
        if known is None:
            known = self._tokens[tokens, of_all] = self._layers_s(tokens, of_all)
        return known

    def head_s(self, sampled: int) -> float:
        """Seconds of the output head for `sampled` tokens, one at least."""
        return self._head.seconds(sampled)

    def parts(
        self, batch: int, context: int, windowed: int, prompt: int, sampled: int, pairs: int
    ) -> dict[str, float]:
        """Share of a step's time by what it is spent on; counts as of `mixed`, in micro-batches of
        the same kind.

        Reading KV cache that hides behind the rest counts by what it makes the step longer.
        """

        def total_s(context: int, windowed: int) -> float:
            if prompt:
                return self.mixed(batch, context, windowed, 0, prompt, sampled, pairs, pairs, 0)[0]
            return self.decode(batch, context, windowed, 0)[0]

        step_s = total_s(context, windowed)
        tokens, of_all, ways = self._spread(batch, prompt, sampled)
        _, sampling, _ = self._split(sampled)
        spent = {"reading weights": 0.0, "computing": 0.0}
        for count, product, rows in [
            *((count, product, tokens) for count, product in self._products),
            (1, self._head, ceil(sampled / sampling)),
        ]:
            if rows:
                spent["reading weights" if rows <= product.bound_tokens else "computing"] += (
                    count * product.seconds(rows)
                )
        if self._model.experts is not None:
            spent["experts"] = self._model.moe_layers * self._kernels.experts_s(of_all)
        spent["reading KV"] = (
            step_s - total_s(0, 0)
            if self._overlap
            else self._attention(batch, context, windowed, 0)[0]
        )
        spent["prefill attention"] = (
            self._prompts_s(prompt / ways, pairs / ways, pairs / ways) if prompt else 0.0
        )
        spent["collectives"] = self._exchanges_s(tokens, of_all)
        spent["overhead"] = step_s - sum(spent.values())
        return {name: seconds / step_s for name, seconds in spent.items()}

    def _split(self, batch: int) -> tuple[int, int, Lines | None]:
        """(micro-batches, kernels over which sequences are spread: of each micro-batch and rank;
        decode attention of one of them).
        """
        known = self._splits.get(batch)
        if known is None:
            micro = min(self._pp, max(ceil(batch / self._dp), 1))
            ways, lines = micro * min(self._dp, max(batch, 1)), None
            if part := ceil(batch / ways):
                window = (
                    self._kernels.decode_attention(part, windowed=True)
                    if self._window_layers
                    else None
                )
                lines = (self._kernels.decode_attention(part), window)
            known = self._splits[batch] = (micro, ways, lines)
        return known

    def _spread(self, batch: int, prompt: int, sampled: int, each: int = 1) -> tuple[int, int, int]:
        """(tokens of a rank in a micro-batch, tokens of all ranks in it, kernels over which prompts
        are spread).

        each: tokens of a decoding sequence. Of the prompts, `sampled` - `batch` are completed.
        """
        decoding = each * batch
        if self._alone:
            return decoding + prompt, decoding + prompt, 1
        micro, _, _ = self._split(batch)
        ways = micro * min(self._dp, max(sampled - batch, 1))
        return (
            ceil((decoding / self._dp + prompt * micro / ways) / micro),
            ceil((decoding + prompt) / micro),
            ways,
        )

    def _sampling_s(self, sampled: int) -> float:
        """Output head and host time of as many sequences."""
        known = self._samplings.get(sampled)
        if known is None:
            _, ways, _ = self._split(sampled)
            known = (
                self.head_s(ceil(sampled / ways))
                + self._overhead.sequence_s * ceil(sampled / self._dp)
                if sampled
                else 0.0
            )
            self._samplings[sampled] = known
        return known

    def _attention(
        self, batch: int, context: float, windowed: int, growing: int
    ) -> tuple[float, float, int]:
        """Decode attention of all layers, as `decode`."""
        _, ways, lines = self._split(batch)
        if lines is None:
            return 0.0, 0.0, ALWAYS
        line, window_line = lines
        first_s, slope_s, steps = line.stretch(context / ways, batch / ways)
        first_s, slope_s = self._full_layers * first_s, self._full_layers * slope_s
        if window_line is not None:
            window_s, growth_s, until = window_line.stretch(windowed / ways, growing / ways)
            return (
                first_s + self._window_layers * window_s,
                slope_s + self._window_layers * growth_s,
                min(steps, until),
            )
        return first_s, slope_s, steps

    def _together(
        self,
        base_s: float,
        prompts_s: float,
        longer_s: float,
        attention_s: float,
        growth_s: float,
        steps: int,
    ) -> tuple[float, float, int]:
        """A step of decode attention, as `_attention`, attention of prompts, which takes `longer_s`
        more each step, and all else.
        """
        if not self._overlap:
            return base_s + (attention_s + prompts_s), growth_s + longer_s, steps
        first_s, slope_s, until = overlapped(
            (base_s + prompts_s, longer_s), (attention_s, growth_s), self._overlap
        )
        return first_s, slope_s, min(steps, until)

    def _prompts_s(self, tokens: float, pairs: float, windowed_pairs: float) -> float:
        """Prefill attention of all layers."""
        line, window = self._prompt, self._window_prompt
        seconds = self._full_layers * (line.fixed_s + line.token_s * tokens + line.pair_s * pairs)
        return seconds + self._window_layers * (
            window.fixed_s + window.token_s * tokens + window.pair_s * windowed_pairs
        )

    def _padded(self, batch: int) -> int:
        """The batch of the CUDA graph that a step which decodes only is run by: the next larger one
        that was captured, if any was.
        """
        place = bisect_left(self._graph_batches, batch)
        return self._graph_batches[place] if place < len(self._graph_batches) else batch

    def _exchanges_s(self, tokens: int, of_all: int) -> float:
        """Collectives of all layers."""
        dense_layers = 2 * self._model.layers - self._model.moe_layers
        seconds = dense_layers * self._kernels.all_reduce_s(tokens)
        return (
            seconds + self._model.moe_layers * self._kernels.exchange_s(of_all)
            if self._model.moe_layers
            else seconds
        )

    def _layers_s(self, tokens: int, of_all: int) -> float:
        seconds = self._fixed_s + self._token_s * tokens
        for count, product in self._products:
            seconds += count * product.seconds(tokens)
        if self._model.experts is not None:
            seconds += self._model.moe_layers * self._kernels.experts_s(of_all)
        return seconds + self._exchanges_s(tokens, of_all)
