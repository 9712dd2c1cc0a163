"""Measured kernels of latent attention of DeepSeek-V3, in the columns of aiconfigurator.

Kernels alone work on `num_heads` query heads of each of `batch_size` sequences. In decode a query
reads `isl + step` keys; in prefill `isl` is the prompt. Absorbed projections (`mla_gen_pre` of
queries, `mla_gen_post` of outputs) have `num_tokens` tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.columns import numbers
from cluster_sim.hardware.device import Device
from cluster_sim.physics.latent_attention import ACTIVATION_BYTES, LatentShape
from cluster_sim.typing import Array

ATTENTION_COLUMNS = (
    "op_name",
    "mla_dtype",
    "kv_cache_dtype",
    "num_heads",
    "batch_size",
    "isl",
    "step",
    "table",
    "latency_ms",
)
"""Columns that a table of kernels alone must have."""
PRODUCT_COLUMNS = ("op_name", "bmm_dtype", "num_tokens", "num_heads", "latency_ms")
"""Columns that a table of absorbed projections must have."""
KV_BYTES = {"bfloat16": 2.0, "fp8": 1.0}
"""Size of one cached value, by the names of precisions in the tables [B]."""

_LATENT, _RANK, _EXPANDED = 576.0, 512.0, 320.0
"""Numbers of cached values, of those without the rotary part, and of values of a head's key and
value, in DeepSeek-V3 (config.json: kv_lora_rank 512, qk_rope_head_dim 64, qk_nope_head_dim 128,
v_head_dim 128)."""
_MATRIX = (128.0, 512.0)
"""Shape of the matrix of one head in an absorbed projection of DeepSeek-V3."""
_HOST_S = 8e-5
"""Median time of the smallest kernels above which it is the host's: it launched them one by one
[s]."""


@dataclass(frozen=True, slots=True)
class LatentKernels:
    """Measured kernels, one per row."""

    heads: Array
    batch: Array
    tokens: Array
    """Numbers of tokens per sequence: cached tokens in decode, new tokens in prefill."""
    kv_bytes: Array
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> LatentKernels:
        """Return some of the rows, by index or by mask."""
        return LatentKernels(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def shape(self) -> LatentShape:
        """Shape of each kernel."""
        return LatentShape(self.heads, _LATENT, _RANK, _EXPANDED, self.kv_bytes)

    @property
    def shapes(self) -> Array:
        """Numbers that must be excluded together: heads and batch."""
        return np.stack([self.heads, self.batch])


@dataclass(frozen=True, slots=True)
class LatentProducts:
    """Measured absorbed projections, one per row."""

    heads: Array
    tokens: Array
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> LatentProducts:
        """Return some of the rows, by index or by mask."""
        return LatentProducts(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def matrix(self) -> tuple[float, float]:
        """Shape of the matrix of one head."""
        return _MATRIX

    @property
    def shapes(self) -> Array:
        """Numbers that must be excluded together: the heads."""
        return self.heads[None]

    def naive_s(self, device: Device, weight_bytes: float) -> Array:
        """Return the time of each product at the device's peaks [s]."""
        rows, columns = _MATRIX
        moved = rows * columns * weight_bytes + self.tokens * (rows + columns) * ACTIVATION_BYTES
        naive_s: Array = np.maximum(
            self.heads * moved / device.memory.bandwidth_bytes_per_s,
            self.heads * self.tokens * 2.0 * rows * columns / device.peak.bf16_flop_per_s,
        )
        return naive_s


def latent_kernels(rows: pa.Table, dtype: str) -> LatentKernels:
    """Return the kernels with a precision of the KV cache, by its name in the table."""
    rows = rows.filter(pc.equal(rows["kv_cache_dtype"], dtype))
    return LatentKernels(
        heads=numbers(rows, "num_heads"),
        batch=numbers(rows, "batch_size"),
        tokens=numbers(rows, "isl") + numbers(rows, "step"),
        kv_bytes=np.full(len(rows), KV_BYTES[dtype]),
        seconds=numbers(rows, "latency_ms") * 1e-3,
    )


def latent_products(rows: pa.Table) -> LatentProducts:
    """Return the absorbed projections of a table."""
    return LatentProducts(
        numbers(rows, "num_heads"),
        numbers(rows, "num_tokens"),
        numbers(rows, "latency_ms") * 1e-3,
    )


def expanding_prompts(rows: pa.Table) -> pa.Table:
    """Return the prefill kernels on expanded keys and values; prompts of one token are omitted.

    Those of SGLang on Hopper (`flash_attention`) were measured in the latent space, three times as
    slow. SGLang expands prompts without a cached prefix, and with one of 8,192 tokens or more
    (sglang 0.5.14, python/sglang/srt/models/deepseek_common/attention_backend_handler.py).
    """
    rows = rows.filter(pc.greater(rows["isl"], 1))
    if "kernel_source" not in rows.column_names:
        return rows
    return rows.filter(pc.not_equal(rows["kernel_source"], "flash_attention"))


def starts_from_host(kernels: LatentKernels) -> bool:
    """Return whether the smallest kernels took as long as launches by the host."""
    small = (kernels.batch <= 4.0) & (kernels.tokens <= 256.0)
    return bool(small.any() and np.median(kernels.seconds[small]) > _HOST_S)
