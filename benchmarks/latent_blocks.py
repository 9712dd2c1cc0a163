"""Compare fits of kernels with measured blocks of latent attention, which no fit has seen.

    python benchmarks/latent_blocks.py DIR

DIR holds kernels_mla_generation.parquet and kernels_mla_context.parquet, with aiconfigurator's
tables `mla_generation_module_perf` and `mla_context_module_perf`. A block is a layer of
DeepSeek-V3: the projections, the absorbed projections of decode, and attention. Its predicted time
is the sum of these kernels alone. What a block takes beyond (norms, rotary embedding, quantising,
writing the cache, gaps between kernels) is printed as the median difference of small blocks; blocks
of more than 0.3 ms show the errors of the large kernels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster_sim.calibration.engines import ENGINES
from cluster_sim.calibration.latent_attention import (
    predict_context,
    predict_generation,
    predict_product,
)
from cluster_sim.calibration.latent_kernels import LatentKernels, LatentProducts, latent_kernels
from cluster_sim.calibration.sparse_blocks import PRECISIONS
from cluster_sim.hardware.device import Device, device_named
from cluster_sim.hardware.kernel_fits import KernelFits, fit_of_engine
from cluster_sim.llm.layers import LatentLayers
from cluster_sim.physics.gemm import gemms_s, laid_out
from cluster_sim.physics.latent_times import product_fit
from cluster_sim.typing import Array

HIDDEN = 7168
DEVICES = {
    name: name.replace("_", "-") for name in ("b200_sxm", "b300_sxm", "h100_sxm", "h200_sxm")
}
LARGE_S = 3e-4
KEYS = ("system", "engine", "kv_cache_dtype", "gemm_type")


def projections_s(fits: KernelFits, engine: str, dtype: str, kernels: LatentKernels) -> Array:
    """Return the time of the projections of each block [s]; NaN without a fit."""
    fit = fit_of_engine(fits.gemm, PRECISIONS[dtype], engine)
    seconds = np.full(len(kernels), np.nan)
    for heads in np.unique(kernels.heads) if fit is not None else ():
        layer = LatentLayers(
            layers=1,
            heads=int(heads),
            q_rank=1536,
            kv_rank=512,
            rope_dim=64,
            nope_dim=128,
            v_dim=128,
        )
        decoding = layer.latent_heads(1)
        assert fit is not None and decoding is not None
        alike = kernels.heads == heads
        shapes = [each for each in layer.products(HIDDEN, 1) if each not in decoding.absorbed]
        seconds[alike] = sum(
            gemms_s(fit, laid_out(kernels.batch[alike], *shape, fit.element_bytes, fit.processors))
            for shape in shapes
        )
    return seconds


def decode_s(device: Device, engine: str, dtypes: tuple[str, str], kernels: LatentKernels) -> Array:
    """Return the time of blocks of decode [s]."""
    fits = device.kernels or KernelFits()
    kv_cache, dtype = dtypes
    attention = fit_of_engine(fits.latent_generation, PRECISIONS[kv_cache], engine)
    assert attention is not None
    stored = "bf16" if PRECISIONS[dtype] == "fp4" else PRECISIONS[dtype]
    seconds = predict_generation(attention, kernels) + projections_s(fits, engine, dtype, kernels)
    products = LatentProducts(kernels.heads, kernels.batch, kernels.seconds)
    for absorbed in (fits.latent_queries, fits.latent_outputs):
        fit = product_fit(absorbed, stored, engine)
        assert fit is not None
        seconds = seconds + predict_product(fit, products)
    return seconds


def prefill_s(
    device: Device, engine: str, dtypes: tuple[str, str], kernels: LatentKernels
) -> Array:
    """Return the time of blocks of prefill, whose keys and values one product expands [s]."""
    fits = device.kernels or KernelFits()
    kv_cache, dtype = dtypes
    attention = fit_of_engine(fits.latent_context, PRECISIONS[kv_cache], engine)
    assert attention is not None
    tokens = kernels.batch * kernels.tokens
    block = LatentKernels(kernels.heads, tokens, kernels.tokens, kernels.kv_bytes, kernels.seconds)
    seconds = predict_context(attention, kernels) + projections_s(fits, engine, dtype, block)
    fit = fit_of_engine(fits.gemm, PRECISIONS[dtype], engine)
    for heads in np.unique(kernels.heads) if fit is not None else ():
        assert fit is not None
        alike = kernels.heads == heads
        laid = laid_out(tokens[alike], heads * 256, 512, fit.element_bytes, fit.processors)
        seconds[alike] += gemms_s(fit, laid)
    return seconds


def report(table: pa.Table, *, decoding: bool) -> None:
    """Print the errors of each device, engine and precision."""
    for group in (
        table.group_by(list(KEYS))
        .aggregate([])
        .sort_by([(k, "ascending") for k in KEYS])
        .to_pylist()
    ):
        rows = table
        for key in KEYS:
            rows = rows.filter(pc.equal(rows[key], group[key]))
        device = device_named(DEVICES.get(group["system"], group["system"]))
        engine, kv_cache = ENGINES[group["engine"]], group["kv_cache_dtype"]
        kernels = latent_kernels(rows, kv_cache)
        predict = decode_s if decoding else prefill_s
        predicted_s = predict(device, engine, (kv_cache, group["gemm_type"]), kernels)
        off = np.abs(predicted_s / kernels.seconds - 1.0)
        is_large = kernels.seconds > LARGE_S
        is_small = kernels.batch * kernels.tokens <= 2048
        further_s = np.median((kernels.seconds - predicted_s)[is_small])
        print(
            f"{group['system']:9}{engine:13}{'decode' if decoding else 'prefill':8}KV {kv_cache:9}"
            f"products {group['gemm_type']:10}{len(kernels):5} blocks, {np.median(off):6.1%}, large ones"
            f" {np.median(off[is_large]):6.1%}; small ones take {further_s * 1e6:.0f} us more"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    for phase in ("generation", "context"):
        table = pq.read_table(directory / f"kernels_mla_{phase}.parquet")
        table = table.filter(pc.equal(table["table"], f"mla_{phase}_module_perf"))
        table = table.rename_columns(
            ["latency_ms" if n == "latency" else n for n in table.column_names]
        )
        if phase == "context":
            table = table.filter(pc.greater(table["isl"], 1))
        report(table, decoding=phase == "generation")


if __name__ == "__main__":
    main()
