"""Time of an engine step on a replica of GPUs, tensor and pipeline parallel."""

from __future__ import annotations

from math import ceil
from typing import Literal

from cluster_sim.hardware import Device, Precision
from cluster_sim.model import Model
from cluster_sim.physics.collectives import all_reduce_s
from cluster_sim.physics.ramp import ALWAYS, larger_line
from cluster_sim.physics.transformer import decode_flop_per_key, distinct_experts, kv_layer_bytes, prefill_flop_per_pair

ACTIVATION_BYTES = 2  # hidden states travel in 16 bit


class GpuSteps:
    """Step times of one replica. What depends on the number of tokens alone is worked out once a number and kept.

    A step is: a fixed host time; for each layer the GEMMs (reading the weights and computing, the smaller of the two partly
    hidden), attention, an overhead, and two all-reduces; and the output head. Roofline with fitted efficiencies (Williams,
    Waterman, Patterson, CACM 52(4), 2009), which are of whole steps, and a rounded corner. With pipeline stages the batch goes
    round in micro-batches, one for each stage while there are sequences enough, and a step is the time in which every sequence
    has passed all stages.
    """

    def __init__(
        self, model: Model, device: Device, tensor_parallel: int, pipeline_parallel: int, weights: Precision, kv_cache: Precision, engine: str
    ) -> None:
        assert device.efficiency is not None
        self._model, self._device, self._weights = model, device, weights
        self._overhead, self._knee = device.overhead(engine), device.efficiency.knee
        self._tp, self._pp = tensor_parallel, pipeline_parallel
        eta, peak_bf16, bandwidth = device.efficiency, device.peak.bf16_flop_per_s, device.memory.bandwidth_bytes_per_s
        kv_s = kv_layer_bytes(model, kv_cache, tensor_parallel) / (eta.kv_bandwidth * self._overhead.attention * bandwidth)
        self._key_compute_s = model.full_layers * decode_flop_per_key(model) / tensor_parallel / (eta.attention_compute * peak_bf16)
        if model.latent:  # every query head shares the latent vector, so decoding can be bound by compute
            kv_s = max(kv_s, decode_flop_per_key(model) / tensor_parallel / (eta.attention_compute * peak_bf16))
        pair_s = prefill_flop_per_pair(model) / tensor_parallel / (eta.attention_compute * peak_bf16)
        window_layers = model.layers - model.full_layers
        self._key_s, self._window_key_s = model.full_layers * kv_s, window_layers * kv_s
        self._pair_s, self._window_pair_s = model.full_layers * pair_s, window_layers * pair_s
        self._decode: dict[int, tuple[float, float, float]] = {}
        self._tokens: dict[int, float] = {}
        self._eager_s = self._overhead.step_s + model.layers * self._overhead.eager_layer_s
        self._add_layers()

    def decode(self, batch: int, context: float, windowed: int, growing: int) -> tuple[float, float, int]:
        """(first_s, slope_s, steps for which that holds) of steps that decode one token for each of `batch` sequences.

        context, windowed: keys that the first step reads in layers of full attention and with a window; they grow by
        `batch` and by `growing` a step.
        """
        known = self._decode.get(batch)
        if known is None:
            micro = min(self._pp, batch)
            base_s = self.tokens_s(ceil(batch / micro)) + self.head_s(ceil(batch / micro))
            known = self._decode[batch] = (base_s, self._key_s / micro, self._window_key_s / micro)
        base_s, key_s, window_key_s = known
        return base_s + key_s * context + window_key_s * windowed, key_s * batch + window_key_s * growing, ALWAYS

    def mixed(
        self, batch: int, context: float, windowed: int, growing: int, prompt: int, sampled: int, pairs: int, windowed_pairs: int, pairs_growth: int
    ) -> tuple[float, float, int]:
        """The same for steps that also take `prompt` tokens of prompts, which see `pairs` keys; those grow by `pairs_growth`."""
        micro = min(self._pp, max(batch, 1))
        base_s = self.tokens_s(ceil((batch + prompt) / micro)) + (self.head_s(ceil(sampled / micro)) if sampled else 0.0)
        keys_s = self._key_s * context + self._window_key_s * windowed + self._pair_s * pairs + self._window_pair_s * windowed_pairs
        slope_s = self._key_s * batch + self._window_key_s * growing + self._pair_s * pairs_growth
        return larger_line(self._eager_s, base_s + keys_s / micro, slope_s / micro)

    def verify(
        self, each: int, batch: int, growth: float, context: float, prompt: int, sampled: int, pairs: int, pairs_growth: int
    ) -> tuple[float, float, int]:
        """The same for steps in which `each` tokens of every sequence are checked; models with windows are left out.

        A sequence's keys are read once for all of its tokens; `growth` is what a step adds to the context of all sequences.
        """
        micro = min(self._pp, max(batch, 1))
        checked = each * batch
        base_s = self.tokens_s(ceil((checked + prompt) / micro)) + self.head_s(ceil((checked + sampled - batch) / micro))
        key_s = max(self._key_s, each * self._key_compute_s) if each > 1 else self._key_s
        first_s = base_s + (key_s * context + self._pair_s * pairs) / micro
        slope_s = (key_s * growth + self._pair_s * pairs_growth) / micro
        return larger_line(self._eager_s, first_s, slope_s) if prompt else (first_s, slope_s, ALWAYS)

    def tokens_s(self, tokens: int) -> float:
        """Seconds of a step that depend on its number of tokens alone: all but attention and the output head."""
        known = self._tokens.get(tokens)
        if known is None:
            known = self._tokens[tokens] = self._layers_s(tokens)
        return known

    def head_s(self, sampled: int) -> float:
        """Seconds of the output head for `sampled` tokens."""
        read_s, token_s = self._head_line
        return self._product_s(read_s, token_s * sampled)

    def _product_s(self, read_s: float, compute_s: float) -> float:
        """A product's time: the p-norm of reading and computing, both at least."""
        larger, smaller = (read_s, compute_s) if read_s > compute_s else (compute_s, read_s)
        if not larger:
            return 0.0
        return larger * (1.0 + (smaller / larger) ** self._knee) ** (1.0 / self._knee)  # type: ignore[no-any-return]  # float ** float

    def parts(self, batch: int, context: int, windowed: int, prompt: int, pairs: int) -> dict[str, float]:
        """Share of a step's time by what it is spent on; counts as of `mixed`, in micro-batches of the same kind."""
        micro = min(self._pp, max(batch, 1))
        tokens = ceil((batch + prompt) / micro)
        lines = [*self._dense_lines, self._head_line]
        spent = {
            "reading weights": sum(read_s for read_s, token_s in lines if read_s >= token_s * tokens),
            "computing": sum(token_s * tokens for read_s, token_s in lines if read_s < token_s * tokens),
            "reading KV": (self._key_s * context + self._window_key_s * windowed) / micro,
            "prefill attention": self._pair_s * pairs / micro,
        }
        if (experts := self._model.experts) is not None:
            read_s = self._expert_read_s * distinct_experts(experts.count, experts.top_k, tokens)
            spent["reading weights" if read_s >= self._expert_token_s * tokens else "computing"] += max(read_s, self._expert_token_s * tokens)
        total_s = self.tokens_s(tokens) + self.head_s(tokens) + spent["reading KV"] + spent["prefill attention"]
        spent["collectives and overhead"] = total_s - sum(spent.values())
        return {name: seconds / total_s for name, seconds in spent.items()}

    def _layers_s(self, tokens: int) -> float:
        seconds = self._fixed_s + self._hop_token_s * tokens
        for read_s, token_s in self._dense_lines:
            seconds += self._product_s(read_s, token_s * tokens)
        if (experts := self._model.experts) is not None:
            touched = distinct_experts(experts.count, experts.top_k, tokens)
            seconds += self._product_s(self._expert_read_s * touched, self._expert_token_s * tokens)
        if self._tp > 1:
            reduce_s = all_reduce_s(self._device.all_reduce, self._tp, tokens * self._model.hidden * ACTIVATION_BYTES)
            seconds += 2 * self._model.layers * self._overhead.collective * reduce_s
        return seconds

    def _gemm_line(self, parameters: float, part: Literal["embedding", "attention", "ffn"]) -> tuple[float, float]:
        """(seconds to read `parameters` weights once, seconds to compute with them a token)."""
        device, eta = self._device, self._device.efficiency
        assert eta is not None
        stored = self._model.bytes_a_parameter(self._weights, part)
        precision: Precision = "bf16" if part in self._model.kept_bf16 else self._weights
        compute_in, peak = device.peak.of(precision)
        read_s = parameters * stored / (eta.weight_bandwidth.of(precision) * device.memory.bandwidth_bytes_per_s * self._tp)
        return read_s, 2.0 * parameters / (eta.compute.of(compute_in) * self._overhead.compute * peak * self._tp)

    def _add_layers(self) -> None:
        """Every product of all layers as a line, and what a step costs whatever it does."""
        model, device, eta = self._model, self._device, self._device.efficiency
        assert eta is not None
        _, peak = device.peak.of(self._weights)
        parts: list[tuple[int, float, Literal["embedding", "attention", "ffn"]]] = [
            (model.layers, model.attention_parameters, "attention"),
            (model.layers - model.moe_layers, model.ffn_parameters, "ffn"),
        ]
        if model.experts is not None:
            parts.append((model.moe_layers, model.experts.shared * model.expert_parameters, "ffn"))
            parts.append((model.moe_layers, model.router_parameters, "embedding"))
            one = model.moe_layers * model.expert_parameters
            stored = model.bytes_a_parameter(self._weights, "ffn")
            self._expert_read_s = one * stored / (eta.expert_bandwidth * device.memory.bandwidth_bytes_per_s * self._tp)
            self._expert_token_s = 2.0 * model.experts.top_k * one / (eta.expert_compute * self._overhead.compute * peak * self._tp)
        lines = [(count, *self._gemm_line(parameters, part)) for count, parameters, part in parts if count and parameters]
        self._dense_lines = [(count * read_s, count * token_s) for count, read_s, token_s in lines]
        self._head_line = self._gemm_line(model.vocabulary * model.hidden, "embedding")
        # Hidden states of every token go from each pipeline stage to the next.
        hops, bandwidth = self._pp - 1, device.peer_bandwidth_bytes_per_s
        self._fixed_s = self._overhead.step_s + model.layers * self._overhead.layer.of(self._weights) + hops * device.peer_latency_s
        self._hop_token_s = hops * model.hidden * ACTIVATION_BYTES / bandwidth / self._tp if bandwidth else 0.0
