"""Times of steps with layers of every kind, query by query and key by key.

Each kind is spelled out here by itself: its matrices, the bytes that a query reads, the arithmetic
of one query and one key. The device is `tests.machines.small_gpu`, which has no measured kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cluster_sim.hardware.device import Device
from tests.oracles import StepSeconds

HIDDEN, VOCABULARY, FFN = 64, 256, 128
INDEX = {"top_k": 24, "heads": 2, "head_dim": 8}
HEADS = {"heads": 4, "kv_heads": 2, "head_dim": 16}
LATENT = {"heads": 4, "q_rank": 24, "kv_rank": 32, "rope_dim": 8, "nope_dim": 16, "v_dim": 16}

KINDS: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"} | HEADS,
    "gated": {"kind": "full", "gated": True} | HEADS,
    "wide keys": {"kind": "full", "value_dim": 8} | HEADS,
    "window": {"kind": "window", "tokens": 24} | HEADS,
    "chunked": {"kind": "chunked", "tokens": 24} | HEADS,
    "latent": {"kind": "latent"} | LATENT,
    "sparse latent": {"kind": "latent", "indexer": INDEX} | LATENT,
    "follower": {"kind": "latent", "indexer": {"top_k": 24}} | LATENT,
    "sparse": {"kind": "full", "indexer": INDEX | {"head_weights": False}} | HEADS,
    "compressed": {
        "kind": "compressed", "heads": 4, "head_dim": 32, "q_rank": 24, "output_groups": 2, "output_rank": 16, "tokens": 10, "ratio": 4,
        "overlap": True, "indexer": {"top_k": 6, "heads": 2, "head_dim": 8},
    },
    "gated_delta_net": {"kind": "gated_delta_net", "key_heads": 2, "value_heads": 4, "key_dim": 8, "value_dim": 16},
    "kda": {"kind": "kda", "key_heads": 4, "value_heads": 4, "key_dim": 16, "value_dim": 16, "gate_rank": 16, "output_gate_rank": 16},
    "mamba2": {"kind": "mamba2", "heads": 8, "head_dim": 16, "groups": 2, "state": 16},
    "mamba": {"kind": "mamba", "inner": 128, "state": 8, "step_rank": 4, "state_precision": "bf16"},
    "lightning": {"kind": "lightning", "heads": 4, "head_dim": 16},
    "cross": {"kind": "cross"} | HEADS,
}  # fmt: skip
"""Small layers of every kind, as a model writes them; they go together in one model."""


class Rates(NamedTuple):
    """Rates of attention."""

    bytes_per_s: float
    flop_per_s: float


class Costs(NamedTuple):
    """What one layer costs on one of `ranks` devices."""

    matrices: Callable[[int], float]
    """Weights, by `ranks`."""
    rotated: Callable[[int], float]
    """Values that element-wise operations pass, by `ranks`."""
    decode_s: Callable[[int, int, Rates, bool], float]
    """Seconds of a query that is the last of so many tokens, by `ranks`, and by whether any query
    of the step has as many keys as an indexer chooses."""
    prompt_s: Callable[[int, int, Rates, bool], float]
    """Seconds of a prompt's token that is the last of so many, likewise."""
    prompts_s: Callable[[int, Rates], float] = lambda *_: 0.0
    """Seconds of a step with prompts, whatever their number, by `ranks`."""


def costs_of(name: str) -> Costs:
    """Return what a layer of `KINDS` costs, worked out by hand from its description."""
    kind = KINDS[name]
    if name in ("full", "gated", "wide keys", "window", "chunked", "sparse"):
        return _heads(name)
    if kind["kind"] == "latent":
        return _latent(name)
    if name == "compressed":
        return _compressed()
    if name == "cross":
        return Costs(lambda _: 0, lambda _: 0, lambda *_: 0.0, lambda *_: 0.0)
    return _mamba() if name == "mamba" else _state(name)


def seen(name: str, tokens: int) -> int:
    """Return the keys that the last of `tokens` tokens reads."""
    if name == "chunked":
        return (tokens - 1) % 24 + 1
    limited = ("window", "sparse latent", "follower", "sparse")
    return min(tokens, 24) if name in limited else tokens


INDEX_KEY_BYTES = 8 * (1 + 4 / 128)
INDEX_FLOP = 2 * 2 * 8


def _heads(name: str) -> Costs:
    value = 8 if name == "wide keys" else 16
    gate = 16 if name == "gated" else 0
    index_weights = (2 * 8 + 8) * HIDDEN if name == "sparse" else 0
    key_flop = 2 * 4 * (16 + value)

    def decode_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        key_s = 2 / ranks * (16 + value) * 2 / rates.bytes_per_s
        if name != "sparse":
            return seen(name, tokens) * key_s
        key_s = max(key_s, key_flop / ranks / rates.flop_per_s)
        index_s = tokens * INDEX_KEY_BYTES / rates.bytes_per_s if is_long else 0.0
        return seen(name, tokens) * key_s + index_s

    def prompt_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        index_flop = INDEX_FLOP * tokens if name == "sparse" and is_long else 0
        return (key_flop * seen(name, tokens) / ranks + index_flop) / rates.flop_per_s

    return Costs(
        lambda ranks: (
            HIDDEN * (4 * (16 + gate) + 2 * (16 + value) + 4 * value) / ranks + index_weights
        ),
        lambda ranks: (4 * 16 + 2 * (16 + value)) / ranks,
        decode_s,
        prompt_s,
    )


def _latent(name: str) -> Costs:
    is_sparse, has_index = name != "latent", name == "sparse latent"
    key_flop = 2 * 4 * (32 + 8 + 32)  # scores over rank and rope, sum over rank
    spelled_out = 2 * 4 * (16 + 8 + 16)

    def matrices(ranks: int) -> float:
        down = HIDDEN * (24 + 32 + 8)
        up = 24 * 4 * (16 + 8) + 4 * 32 * 16 + 4 * 16 * 32 + HIDDEN * 4 * 16
        index = 24 * 2 * 8 + HIDDEN * 8 + HIDDEN * 2 if has_index else 0
        return down + up / ranks + index

    def decode_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        key_s = max(40 * 2 / rates.bytes_per_s, key_flop / ranks / rates.flop_per_s)
        index_s = tokens * INDEX_KEY_BYTES / rates.bytes_per_s if has_index and is_long else 0.0
        return seen(name, tokens) * key_s + index_s

    def prompt_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        flop = key_flop if is_sparse and is_long else spelled_out
        index_flop = INDEX_FLOP * tokens if has_index and is_long else 0
        return (flop * seen(name, tokens) / ranks + index_flop) / rates.flop_per_s

    return Costs(matrices, lambda ranks: 3 * 4 * 16 / ranks, decode_s, prompt_s)


def _compressed() -> Costs:
    """One entry of 32 per 4 tokens, six of them read, beside a window of 10 entries."""
    entry_flop, window_flop = 4 * 4 * 32 / 4, 4 * 4 * 32 * 10

    def matrices(ranks: int) -> float:
        down = HIDDEN * (24 + 32)
        split = 24 * 4 * 32 + 4 * 32 * 16 + 2 * 16 * HIDDEN
        entries = HIDDEN * 2 * 2 * 32
        index = 24 * 2 * 8 + HIDDEN * 2 * 2 * 8 + HIDDEN * 2
        return down + split / ranks + entries + index

    def decode_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        index_s = tokens * INDEX_KEY_BYTES / 4 / rates.bytes_per_s if is_long else 0.0
        entry_s = max(32 / 4 * 2 / rates.bytes_per_s, entry_flop / ranks / rates.flop_per_s)
        window_s = max(10 * 32 * 2 / rates.bytes_per_s, window_flop / ranks / rates.flop_per_s)
        return index_s + min(tokens, 24) * entry_s + window_s

    def prompt_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        flop = (entry_flop * min(tokens, 24) + window_flop) / ranks
        return (flop + (INDEX_FLOP / 4 * tokens if is_long else 0)) / rates.flop_per_s

    return Costs(matrices, lambda ranks: 4 * 32 / ranks + 32, decode_s, prompt_s)


def _mamba() -> Costs:
    """A state of 128 x 8 in 16 bit and a convolution over 128 channels, 9 FLOP per value."""
    moved_bytes = 2 * (128 * 8 * 2 + 3 * 128 * 2)

    def decode_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        computed_s = 9 * 128 * 8 / ranks / rates.flop_per_s
        return max(moved_bytes / ranks / rates.bytes_per_s, computed_s)

    return Costs(
        lambda ranks: (HIDDEN * 256 + 128 * 20 + 4 * 128 + 128 * HIDDEN) / ranks,
        lambda ranks: 2 * 128 / ranks,
        decode_s,
        lambda tokens, ranks, rates, is_long: 9 * 128 * 8 / ranks / rates.flop_per_s,
    )


def _state(name: str) -> Costs:
    """Matrices of heads, in 32 bit, scanned in chunks of 64 tokens."""
    split, rotated, heads, key, value, channels = {
        # q and k, v and gate; decay and step size; output
        "gated_delta_net": (HIDDEN * (32 + 128) + HIDDEN * 8 + 64 * HIDDEN, 32 + 64 + 64, 4, 8, 16, 96),
        "kda": (HIDDEN * 192 + 2 * 16 * 64 + HIDDEN * 4 + 64 * HIDDEN, 192 + 64, 4, 16, 16, 192),
        "mamba2": (HIDDEN * (128 + 128 + 64 + 8) + 128 * HIDDEN, 128 + 64 + 128, 8, 16, 16, 192),
        "lightning": (5 * HIDDEN * 64, 4 * 64, 4, 16, 16, 0),
    }[name]  # fmt: skip
    copied = 2 * 16 * HIDDEN if name == "kda" else 0  # down to the rank of two gates
    state_bytes = heads * key * value * 4
    scan = 128 * (key + value) + 4 * key * value
    if name in ("gated_delta_net", "kda"):
        scan += 128 * (2 * key + value) + 2 * key * value

    def decode_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        convolution_bytes = channels * (2 * 3 + 2) * 2
        return (2 * state_bytes + convolution_bytes) / ranks / rates.bytes_per_s

    def prompt_s(tokens: int, ranks: int, rates: Rates, is_long: bool) -> float:
        moved_s = channels * 2 * 2 / ranks / rates.bytes_per_s
        return heads * scan / ranks / rates.flop_per_s + moved_s

    return Costs(
        lambda ranks: split / ranks + copied,
        lambda ranks: rotated / ranks,
        decode_s,
        prompt_s,
        lambda ranks, rates: 2 * state_bytes / ranks / rates.bytes_per_s,
    )


def step_s_of(layers: list[tuple[str, int]], device: Device, tp: int) -> StepSeconds:
    """Return the time of a step of a model with these kinds of layers, each with a dense
    feed-forward part, in 16 bit.
    """
    eta, bandwidth = device.efficiency, device.memory.bandwidth_bytes_per_s
    overhead, fit = device.overheads["default"], device.collectives.all_reduce
    assert eta is not None
    assert fit is not None
    assert fit.one_shot is not None
    one_shot, peak = fit.one_shot, device.peak.bf16_flop_per_s
    rates = Rates(eta.kv_bandwidth * bandwidth, eta.attention_compute * peak)
    costs = [(costs_of(name), count, name) for name, count in layers]
    blocks = sum(count * (1 if name == "cross" else 2) for _, count, name in costs)

    def product_s(weights: float, tokens: int) -> float:
        read_s = weights * 2 / (eta.weight_bandwidth.bf16 * bandwidth)
        compute_s = 2 * tokens * weights / (eta.compute.bf16 * peak)
        return float((read_s**eta.knee + compute_s**eta.knee) ** (1 / eta.knee))

    def reduce_s(size: float) -> float:
        if tp == 1:
            return 0.0
        return min(
            one_shot.start_s + (tp - 1) * size / one_shot.bandwidth_bytes_per_s,
            fit.start_s + 2 * (tp - 1) / tp * size / fit.link_bandwidth_bytes_per_s,
        )

    def step_s(contexts: list[int], prompts: list[tuple[int, int]], sampled: int) -> float:
        tokens = len(contexts) + sum(chunk for chunk, _ in prompts)
        is_long = any(context >= 24 for context in contexts)
        reads_long = any(past + chunk > 24 for chunk, past in prompts)
        latent = sum(count for _, count, name in costs if name in _LATENT_LAYERS)
        total_s = overhead.step_s + overhead.sequence_s * sampled + blocks / 2 * overhead.layer_s
        total_s += latent * overhead.latent_layer_s
        total_s += blocks * overhead.collective * reduce_s(tokens * HIDDEN * 2)
        total_s += blocks / 2 * 2 * 8 * HIDDEN * tokens / (0.8 * bandwidth)
        for layer, count, _ in costs:
            inner = 3 * FFN / tp
            passed = 2 * layer.rotated(tp) + inner
            one_s = 2 * passed * tokens / (0.8 * bandwidth)
            one_s += product_s(layer.matrices(tp), tokens) if layer.matrices(tp) else 0.0
            one_s += product_s(3 * HIDDEN * FFN / tp, tokens)
            one_s += sum(layer.decode_s(context, tp, rates, is_long) for context in contexts)
            for chunk, past in prompts:
                for query in range(chunk):
                    one_s += layer.prompt_s(past + query + 1, tp, rates, reads_long)
            if prompts:
                one_s += layer.prompts_s(tp, rates)
            total_s += count * one_s
        if sampled:
            total_s += product_s(VOCABULARY * HIDDEN / tp, sampled)
        return (
            max(total_s, overhead.step_s + blocks / 2 * overhead.eager_layer_s)
            if prompts
            else total_s
        )

    return step_s


_LATENT_LAYERS = ("latent", "sparse latent", "follower", "compressed")
