"""Constants of latent attention: found again in made-up times, and met by measured kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pytest import approx

from cluster_sim.calibration.engines import newest_version
from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.calibration.kernels import calibrate
from cluster_sim.calibration.latent_attention import (
    REACHED,
    fit_context,
    fit_generation,
    fit_product,
    predict_context,
    predict_generation,
    predict_product,
)
from cluster_sim.calibration.latent_kernels import (
    LatentKernels,
    LatentProducts,
    expanding_prompts,
    latent_kernels,
    starts_from_host,
)
from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.latent_fit import (
    LatentContextFit,
    LatentGenerationFit,
    LatentProductFit,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
B200 = device_named("b200-sxm")


def drawn(rows: int, longest: int, seconds: float = 1.0) -> LatentKernels:
    """Kernels of every size, all with the same time."""
    rng = np.random.default_rng(5)
    return LatentKernels(
        heads=2.0 ** rng.integers(0, 8, rows),
        batch=2.0 ** rng.integers(0, 9, rows),
        tokens=2.0 ** rng.integers(1, longest, rows),
        kv_bytes=np.ones(rows),
        seconds=np.full(rows, seconds),
    )


def test_constants_of_decode_are_found_again() -> None:
    true = LatentGenerationFit.model_construct(
        start_s=9e-6, sequence_s=2e-8, head_s=6e-10, rise=1.5, short_keys=256, long_start_s=1.1e-5,
        long_sequence_s=1e-8, long_head_s=8e-10, bandwidth_bytes_per_s=6e12, reread=0.5,
        half_sequences=1.0, compute_flop_per_s=2.5e15, tile_rows=128, overlap=4.0,
    )  # fmt: skip
    kernels = drawn(600, 17)
    kernels = replace(kernels, seconds=predict_generation(true, kernels))
    fit = fit_generation(kernels, 4.5e15)
    assert (fit.short_keys, fit.tile_rows) == (256, 128)
    assert fit.bandwidth_bytes_per_s == approx(6e12, rel=0.01)
    assert fit.compute_flop_per_s == approx(2.5e15, rel=0.02)
    np.testing.assert_allclose(predict_generation(fit, kernels), kernels.seconds, rtol=0.01)


def test_constants_of_prefill_are_found_again() -> None:
    true = LatentContextFit.model_construct(
        start_s=1.5e-5, head_s=2e-8, long_start_s=1.3e-5, long_head_s=1.5e-8, extra_keys=400.0,
        key_s=8e-9, compute_flop_per_s=1.4e15,
    )  # fmt: skip
    kernels = drawn(500, 15)
    kernels = replace(kernels, seconds=predict_context(true, kernels))
    fit = fit_context(kernels, 2.25e15)
    assert fit.compute_flop_per_s == approx(1.4e15, rel=0.01)
    np.testing.assert_allclose(predict_context(fit, kernels), kernels.seconds, rtol=0.01)


def test_constants_of_absorbed_projections_are_found_again() -> None:
    true = LatentProductFit.model_construct(
        start_s=4.5e-6, weight_bytes=2.0, bandwidth_bytes_per_s=6e12, cache_bytes=60e6,
        cache_bandwidth_bytes_per_s=1.2e13, compute_flop_per_s=9e14, token_s=2e-11, rise=1.5,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    heads, tokens = 2.0 ** rng.integers(0, 8, 300), 2.0 ** rng.integers(0, 14, 300)
    products = LatentProducts(heads, tokens, np.ones(300))
    products = replace(products, seconds=predict_product(true, products))
    fit = fit_product(products, 2.0)
    assert fit.cache_bytes == 60e6
    np.testing.assert_allclose(predict_product(fit, products), products.seconds, rtol=0.02)


def test_a_compute_rate_that_no_kernel_shows_is_below_the_peak() -> None:
    kernels = drawn(300, 17)
    reading_s = 1e-5 + kernels.batch * kernels.tokens * 576.0 / 6e12
    fit = fit_generation(replace(kernels, seconds=reading_s), 1e15)
    assert fit.compute_flop_per_s <= REACHED * 1e15


def test_the_newest_version_is_that_of_the_largest_number() -> None:
    table = pa.table({"version": ["1.3.0rc9", "1.3.0rc20", "1.3.0rc10"], "latency_ms": [1.0, 2, 3]})
    assert newest_version(table)["latency_ms"].to_pylist() == [2.0]


def test_kernels_that_the_host_started_are_known_by_the_smallest_ones() -> None:
    assert starts_from_host(drawn(200, 17, seconds=2e-4))
    assert not starts_from_host(drawn(200, 17, seconds=1e-5))


def row(**changes: Any) -> dict[str, Any]:
    """Decode with 16 heads of 8 sequences of 1,000 keys."""
    keys = {"op_name": "mla_generation", "mla_dtype": "bfloat16", "kv_cache_dtype": "fp8"}
    sizes = {"num_heads": 16, "batch_size": 8, "isl": 1, "step": 999, "latency_ms": 0.02}
    return keys | sizes | {"table": "generation_mla_perf", "kernel_source": "default"} | changes


def test_prompts_in_the_latent_space_and_of_one_token_are_no_kernels_of_prefill() -> None:
    rows = [
        row(isl=100, latency_ms=1.0),
        row(isl=1, latency_ms=2.0),
        row(isl=100, kernel_source="flash_attention", latency_ms=3.0),
    ]
    assert expanding_prompts(pa.Table.from_pylist(rows))["latency_ms"].to_pylist() == [1.0]


def test_the_new_token_is_a_key_too() -> None:
    (kernels,) = [latent_kernels(pa.Table.from_pylist([row()]), "fp8")]
    assert kernels.tokens.tolist() == [1000.0]
    assert kernels.seconds.tolist() == [approx(20e-6)]


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "kernels_mla_generation.parquet").is_file(),
    reason="the measured kernels are not beside this checkout (shared/data)",
)
@pytest.mark.parametrize(
    ("name", "column", "dtype", "kinds"),
    [
        ("generation", "kv_cache_dtype", "fp8", 1),
        ("context", "kv_cache_dtype", "fp8", 1),
        ("bmm", "bmm_dtype", "bfloat16", 2),
    ],
)
def test_kernels_of_left_out_shapes_are_within_eight_percent(
    name: str, column: str, dtype: str, kinds: int
) -> None:
    (table,) = read_kernels(DATA / f"kernels_mla_{name}.parquet", "b200_sxm")
    alike = table.filter(
        pc.and_(pc.equal(table["engine"], "trtllm"), pc.equal(table[column], dtype))
    )
    results = list(calibrate([alike], B200, FitOptions(148)))
    assert len(results) == kinds
    for result in results:
        assert result.errors.median < 0.08, result.kind
        assert result.naive.median > 0.5, result.kind
