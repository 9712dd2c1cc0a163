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


class Costs(NamedTuple):
    """What one layer costs on all devices, on one device alone by `ranks`."""

    matrices: Callable[[int], float]
    """Weights on one of so many devices."""
    rotated: Callable[[int], float]
    """Values that element-wise operations pass on one device."""
    decode_s: Callable[[int, int, Rates], float]
    """Seconds of a query that is the last of so many tokens, on one of so many devices."""
    pair_flop: Callable[[int], float]
    """FLOP of attention of a prompt's token that is the last of so many, on all devices."""


class Rates(NamedTuple):
    """Rates of attention."""

    bytes_per_s: float
    flop_per_s: float


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
        return Costs(lambda _: 0, lambda _: 0, lambda *_: 0.0, lambda _: 0)
    return _state(name)


def seen(name: str, tokens: int) -> int:
    """Return the keys that the last of `tokens` tokens reads."""
    if name == "chunked":
        return (tokens - 1) % 24 + 1
    limited = ("window", "sparse latent", "follower", "sparse")
    return min(tokens, 24) if name in limited else tokens


def _heads(name: str) -> Costs:
    value = 8 if name == "wide keys" else 16
    gate = 16 if name == "gated" else 0
    index_weights = (2 * 8 + 8) * HIDDEN if name == "sparse" else 0
    index_flop = 2 * 2 * 8 if name == "sparse" else 0

    def decode_s(tokens: int, ranks: int, rates: Rates) -> float:
        key_bytes = 2 / ranks * (16 + value) * 2
        total_s = seen(name, tokens) * key_bytes / rates.bytes_per_s
        if name == "sparse":
            read_s = 8 * (1 + 4 / 128) / rates.bytes_per_s
            total_s += tokens * max(read_s, index_flop / ranks / rates.flop_per_s)
        return total_s

    return Costs(
        lambda ranks: (
            HIDDEN * (4 * (16 + gate) + 2 * (16 + value) + 4 * value) / ranks + index_weights
        ),
        lambda ranks: (4 * 16 + 2 * (16 + value)) / ranks,
        decode_s,
        lambda tokens: 2 * 4 * (16 + value) * seen(name, tokens) + index_flop * tokens,
    )


def _latent(name: str) -> Costs:
    is_sparse = name != "latent"
    has_index = name == "sparse latent"
    key_flop = 2 * 4 * (32 + 8 + 32)  # scores over rank and rope, sum over rank
    index_flop = 2 * 2 * 8 if has_index else 0

    def matrices(ranks: int) -> float:
        down = HIDDEN * (24 + 32 + 8)
        up = 24 * 4 * (16 + 8) + 4 * 32 * 16 + 4 * 16 * 32 + HIDDEN * 4 * 16
        index = 24 * 2 * 8 + HIDDEN * 8 + HIDDEN * 2 if has_index else 0
        return down + up / ranks + index

    def decode_s(tokens: int, ranks: int, rates: Rates) -> float:
        read_s = 40 * 2 / rates.bytes_per_s
        total_s = seen(name, tokens) * max(read_s, key_flop / ranks / rates.flop_per_s)
        if has_index:
            read_s = 8 * (1 + 4 / 128) / rates.bytes_per_s
            total_s += tokens * max(read_s, index_flop / ranks / rates.flop_per_s)
        return total_s

    spelled_out = 2 * 4 * (16 + 8 + 16)
    return Costs(
        matrices,
        lambda ranks: 3 * 4 * 16 / ranks,
        decode_s,
        lambda tokens: (
            (key_flop if is_sparse else spelled_out) * seen(name, tokens) + index_flop * tokens
        ),
    )


def _compressed() -> Costs:
    """One entry of 32 per 4 tokens, six of them read, beside a window of 10 entries."""
    entry_flop, index_flop = 4 * 4 * 32 / 4, 2 * 2 * 8 / 4

    def matrices(ranks: int) -> float:
        down = HIDDEN * (24 + 32)
        split = 24 * 4 * 32 + 4 * 32 * 16 + 2 * 16 * HIDDEN
        entries = HIDDEN * 2 * 2 * 32
        index = 24 * 2 * 8 + HIDDEN * 2 * 2 * 8 + HIDDEN * 2
        return down + split / ranks + entries + index

    def decode_s(tokens: int, ranks: int, rates: Rates) -> float:
        index_s = max(
            8 / 4 * (1 + 4 / 128) / rates.bytes_per_s, index_flop / ranks / rates.flop_per_s
        )
        entry_s = max(32 / 4 * 2 / rates.bytes_per_s, entry_flop / ranks / rates.flop_per_s)
        window_s = max(10 * 32 * 2 / rates.bytes_per_s, _window_flop / ranks / rates.flop_per_s)
        return tokens * index_s + min(tokens, 24) * entry_s + window_s

    _window_flop = 4 * 4 * 32 * 10
    return Costs(
        matrices,
        lambda ranks: 4 * 32 / ranks + 32,
        decode_s,
        lambda tokens: index_flop * tokens + entry_flop * min(tokens, 24) + _window_flop,
    )


def _state(name: str) -> Costs:
    split, rotated, state, convolution, value_bytes, flop_per_value = {
        # q and k, v and gate; decay and step size; output
        "gated_delta_net": (
            HIDDEN * (2 * 16 + 2 * 64) + HIDDEN * 8 + 64 * HIDDEN, 2 * 16 + 64 + 64, 4 * 8 * 16, 3 * (2 * 16 + 64), 4, 7,
        ),
        "kda": (
            HIDDEN * 192 + 2 * 16 * 64 + HIDDEN * 4 + 64 * HIDDEN, 192 + 64, 4 * 16 * 16, 3 * 192, 4, 7,
        ),
        "mamba2": (
            HIDDEN * (128 + 128 + 2 * 2 * 16 + 8) + 128 * HIDDEN, 128 + 64 + 128, 128 * 16, 3 * (128 + 64), 4, 5,
        ),
        "mamba": (
            HIDDEN * 256 + 128 * (4 + 16) + 4 * 128 + 128 * HIDDEN, 2 * 128, 128 * 8, 3 * 128, 2, 9,
        ),
        "lightning": (5 * HIDDEN * 64, 4 * 64, 4 * 16 * 16, 0, 4, 5),
    }[name]  # fmt: skip
    copied = 2 * 16 * HIDDEN if name == "kda" else 0  # down to the rank of two gates
    moved_bytes = 2 * (state * value_bytes + convolution * 2)

    def decode_s(tokens: int, ranks: int, rates: Rates) -> float:
        return max(
            moved_bytes / ranks / rates.bytes_per_s,
            flop_per_value * state / ranks / rates.flop_per_s,
        )

    return Costs(
        lambda ranks: split / ranks + copied,
        lambda ranks: rotated / ranks,
        decode_s,
        lambda _: flop_per_value * state,
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
            one_s += sum(layer.decode_s(context, tp, rates) for context in contexts)
            for chunk, past in prompts:
                flop = sum(layer.pair_flop(past + query + 1) for query in range(chunk))
                one_s += flop / tp / rates.flop_per_s
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
