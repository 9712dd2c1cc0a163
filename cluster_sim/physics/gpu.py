"""Time of an engine step on a replica of GPUs, tensor and pipeline parallel."""

from __future__ import annotations

from math import ceil

from cluster_sim.hardware import Device, Precision
from cluster_sim.model import Model
from cluster_sim.physics.collectives import all_reduce_s
from cluster_sim.physics.transformer import decode_flop_per_key, distinct_experts, kv_layer_bytes, prefill_flop_per_pair

ACTIVATION_BYTES = 2  # hidden states travel in 16 bit


class GpuSteps:
    """Step times of one replica. What depends on the number of tokens alone is worked out once a number and kept.

    A step is: a fixed host time; for each layer the GEMMs (the slower of reading the weights and of computing), attention,
    an overhead, and two all-reduces; and the output head. Roofline with fitted efficiencies (Williams, Waterman, Patterson,
    CACM 52(4), 2009), which are of whole steps. With pipeline stages the batch goes round in micro-batches, one for each
    stage while there are sequences enough, and a step is the time in which every sequence has passed all stages.
    """

    def __init__(self, model: Model, device: Device, tensor_parallel: int, pipeline_parallel: int, weights: Precision, kv_cache: Precision) -> None:
        assert device.efficiency is not None
        self._model, self._device, self._weights = model, device, weights
        self._tp, self._pp = tensor_parallel, pipeline_parallel
        eta, peak_bf16, bandwidth = device.efficiency, device.peak.bf16_flop_per_s, device.memory.bandwidth_bytes_per_s
        kv_s = kv_layer_bytes(model, kv_cache, tensor_parallel) / (eta.kv_bandwidth * bandwidth)
        if model.latent:  # every query head shares the latent vector, so decoding can be bound by compute
            kv_s = max(kv_s, decode_flop_per_key(model) / tensor_parallel / (eta.attention_compute * peak_bf16))
        pair_s = prefill_flop_per_pair(model) / tensor_parallel / (eta.attention_compute * peak_bf16)
        window_layers = model.layers - model.full_layers
        self._key_s, self._window_key_s = model.full_layers * kv_s, window_layers * kv_s
        self._pair_s, self._window_pair_s = model.full_layers * pair_s, window_layers * pair_s
        self._decode: dict[int, tuple[float, float, float]] = {}
        self._tokens: dict[int, float] = {}
        self._head: dict[int, float] = {}

    def decode(self, batch: int, context: int, windowed: int, growing: int) -> tuple[float, float, int]:
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
        return base_s + key_s * context + window_key_s * windowed, key_s * batch + window_key_s * growing, _ALWAYS

    def mixed(
        self, batch: int, context: int, windowed: int, growing: int, prompt: int, sampled: int, pairs: int, windowed_pairs: int, pairs_growth: int
    ) -> tuple[float, float, int]:
        """The same for steps that also take `prompt` tokens of prompts, which see `pairs` keys; those grow by `pairs_growth`."""
        micro = min(self._pp, max(batch, 1))
        base_s = self.tokens_s(ceil((batch + prompt) / micro)) + (self.head_s(ceil(sampled / micro)) if sampled else 0.0)
        keys_s = self._key_s * context + self._window_key_s * windowed + self._pair_s * pairs + self._window_pair_s * windowed_pairs
        slope_s = self._key_s * batch + self._window_key_s * growing + self._pair_s * pairs_growth
        return base_s + keys_s / micro, slope_s / micro, _ALWAYS

    def tokens_s(self, tokens: int) -> float:
        """Seconds of a step that depend on its number of tokens alone: all but attention and the output head."""
        known = self._tokens.get(tokens)
        if known is None:
            known = self._tokens[tokens] = self._layers_s(tokens)
        return known

    def head_s(self, sampled: int) -> float:
        """Seconds of the output head for `sampled` tokens."""
        known = self._head.get(sampled)
        if known is None:
            known = self._head[sampled] = self._gemm_s(self._model.vocabulary * self._model.hidden, sampled, "embedding")
        return known

    def _layers_s(self, tokens: int) -> float:
        model, device, eta = self._model, self._device, self._device.efficiency
        assert eta is not None
        reduce_s = all_reduce_s(device.all_reduce, self._tp, tokens * model.hidden * ACTIVATION_BYTES)
        compute_in, _ = device.peak.of(self._weights)
        layer_s = self._gemm_s(model.attention_parameters, tokens, "attention") + eta.layer_overhead.of(compute_in) + 2 * reduce_s
        dense_layers = model.layers - model.moe_layers
        ffn_s = dense_layers * (self._gemm_s(model.ffn_parameters, tokens, "ffn") if dense_layers else 0.0)
        if model.moe_layers:
            ffn_s += model.moe_layers * self._experts_s(tokens)
        stages_s = (self._pp - 1) * self._hop_s(tokens)
        return eta.step_overhead_s + model.layers * layer_s + ffn_s + stages_s

    def _gemm_s(self, parameters: float, tokens: int, part: str) -> float:
        """A dense product with `parameters` weights: as slow as reading them once, or as computing with them."""
        device, eta = self._device, self._device.efficiency
        assert eta is not None
        stored = self._model.bytes_a_parameter(self._weights, part)  # type: ignore[arg-type]  # one of three names
        compute_in, peak = device.peak.of("bf16" if part in self._model.kept_bf16 else self._weights)
        read_s = parameters * stored / (eta.weight_bandwidth * device.memory.bandwidth_bytes_per_s * self._tp)
        compute_s = 2.0 * tokens * parameters / (eta.compute.of(compute_in) * peak * self._tp)
        return max(read_s, compute_s)

    def _experts_s(self, tokens: int) -> float:
        """One layer's experts: those that are touched are read, each token computes with its own; router and shared ones."""
        model, device, eta = self._model, self._device, self._device.efficiency
        assert eta is not None and model.experts is not None
        stored = model.bytes_a_parameter(self._weights, "ffn")
        _, peak = device.peak.of(self._weights)
        touched = distinct_experts(model.experts.count, model.experts.top_k, tokens)
        read_s = touched * model.expert_parameters * stored / (eta.expert_bandwidth * device.memory.bandwidth_bytes_per_s * self._tp)
        compute_s = 2.0 * tokens * model.experts.top_k * model.expert_parameters / (eta.expert_compute * peak * self._tp)
        shared_s = self._gemm_s(model.experts.shared * model.expert_parameters, tokens, "ffn")
        return max(read_s, compute_s) + shared_s + self._gemm_s(model.router_parameters, tokens, "embedding")

    def _hop_s(self, tokens: int) -> float:
        """Hidden states of `tokens` from one pipeline stage to the next."""
        device = self._device
        bandwidth = device.peer_bandwidth_bytes_per_s
        size = tokens * self._model.hidden * ACTIVATION_BYTES
        return device.peer_latency_s + (size / bandwidth / self._tp if bandwidth else 0.0)


_ALWAYS = 1 << 62  # steps: no kernel changes sides of its roofline while the batch stays, since every term is one line
