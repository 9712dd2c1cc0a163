"""Fit of a decode-attention back end to single layers that a script of vLLM timed.

The script (vllm-project/vllm, benchmarks/kernels/benchmark_trtllm_decode_attention.py) calls one
layer from Python, outside of CUDA graphs, so that every time contains the launch. It has 64 query
heads on 8 KV heads of 128 values, and lengths that are uniform up to the longest, which one
sequence has. FlashInfer's own kernel reads a cache in 16 bit in all its rows: where the script
quantises the cache, it gives this kernel the values in 16 bit again.

The fit uses the kernel's own plan for such lengths, and not the approximation by which
`physics.block_attention` finds the length of parts: with 32 sequences, 37 parts of uniform lengths
are a sixth shorter than the longest sequence, which the approximation reads whole.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.block_attention_fit import BlockAttentionFit
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.block_attention import block_attention

_SHAPE = AttentionShape(64, 8, 128, 2.0)
_BLOCK_TOKENS = 16
_THREAD_BLOCKS = 296
"""Two per processor of a B200."""


class TimedLayer(NamedTuple):
    """One measured call of a decode-attention layer."""

    batch: int
    longest: int
    """Number of tokens of the longest sequence."""
    latency_s: float
    part: float = 0.0
    """Mean length of the parts of sequences by the plan [keys]; 0: by the approximation."""

    @property
    def keys(self) -> float:
        """Expected number of keys of all sequences."""
        return (self.batch - 1) * self.longest / 2 + self.longest

    def planned(self) -> TimedLayer:
        """Return the call with the mean length of parts over 200 draws of the lengths."""
        rng, parts = np.random.default_rng(self.batch), []
        for _ in range(200):
            lengths = rng.integers(1, self.longest, self.batch)
            lengths[-1] = self.longest
            parts.append(planned_part(lengths, _THREAD_BLOCKS // _SHAPE.kv_heads))
        return self._replace(part=float(np.mean(parts)))


class BackendFit(NamedTuple):
    """Constants of a back end, and the launch that the rows contain."""

    launch_s: float
    key_s: float
    bandwidth_bytes_per_s: float

    def latency_s(self, layer: TimedLayer) -> float:
        """Return the time of a call [s]."""
        fit = BlockAttentionFit.model_construct(
            start_s=0.0,
            key_s=self.key_s,
            bandwidth_bytes_per_s=self.bandwidth_bytes_per_s,
            thread_blocks=_THREAD_BLOCKS,
        )
        attention = block_attention(fit, _SHAPE, layer.batch)
        if layer.part:
            attention = attention._replace(part=layer.part * layer.batch / layer.keys)
        return self.launch_s + attention.stretch(layer.keys, layer.batch, layer.longest).first_s

    def errors(self, layers: Sequence[TimedLayer]) -> np.ndarray:
        """Return (fitted - measured) / measured of each call."""
        return np.array([self.latency_s(layer) / layer.latency_s - 1.0 for layer in layers])


def read_layers(path: Path) -> list[TimedLayer]:
    """Return the calls of FlashInfer's own kernel over a cache in 16 bit.

    Parameters
    ----------
    path
        Table of measurements with rows of the data set `vllm_attention_backends`.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "vllm_attention_backends"]
    found = []
    for row in rows:
        match = re.match(r"sequences=(\d+), lengths up to (\d+)", row["concurrency_or_rate"])
        if match and "flashinfer native" in row["model"] and row["precision"].startswith("bf"):
            layer = TimedLayer(int(match[1]), int(match[2]), float(row["value"]) / 1e3)
            found.append(layer.planned())
    return found


def planned_part(lengths: np.ndarray, most_parts: int) -> int:
    """Return the length of the parts into which FlashInfer cuts sequences [keys].

    It is the least number of whole blocks, at least 128 keys, that makes `most_parts` parts at
    most, and at most the longest sequence. (attention/scheduler.cuh: PrefillBinarySearchKVChunkSize)

    Examples
    --------
    >>> planned_part(np.array([1000, 2000]), 3), planned_part(np.array([1000, 2000]), 2)
    (1008, 2000)
    """
    blocks = -(-lengths // _BLOCK_TOKENS)
    low, high = 128 // _BLOCK_TOKENS, int(blocks.max())
    while low < high:
        middle = (low + high) // 2
        if (-(-blocks // middle)).sum() > most_parts:
            low = middle + 1
        else:
            high = middle
    return min(low * _BLOCK_TOKENS, int(lengths.max()))


def fit_backend(layers: Sequence[TimedLayer]) -> BackendFit:
    """Return the constants with the least squares of relative errors.

    Parameters
    ----------
    layers
        Measured calls.
    """
    from scipy.optimize import least_squares  # slow to import, and needed here only

    def made(values: np.ndarray) -> BackendFit:
        return BackendFit(values[0] * 1e-6, values[1] * 1e-9, values[2] * 1e12)

    starts = [(40.0, key_ns, 7.0) for key_ns in (6.0, 9.0, 12.0, 15.0, 18.0)]
    solved = (least_squares(lambda values: made(values).errors(layers), start) for start in starts)
    return made(min(solved, key=lambda each: each.cost).x)
