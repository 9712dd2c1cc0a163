"""Constants of matrix products: found again where they are known, and met by measured kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cluster_sim.calibration.gemm import Products, Silicon, cross_validate, errors, fit_gemm
from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.kernel_fits import GemmFit
from cluster_sim.physics.gemm import gemms_s, laid_out
from tests.gemm_fits import B200, fit_of, shapes

KERNELS = Path(__file__).resolve().parents[3] / "shared" / "data" / "kernels_gemm.parquet"


needs_kernels = pytest.mark.skipif(
    not KERNELS.is_file(), reason="the measured kernels are not beside this checkout (shared/data)"
)


def products(sizes: tuple[np.ndarray, np.ndarray, np.ndarray], seconds: np.ndarray) -> Products:
    return Products(
        *(np.asarray(count, dtype=float) for count in sizes), np.asarray(seconds, dtype=float)
    )


def timed(
    fit: GemmFit, sizes: tuple[np.ndarray, np.ndarray, np.ndarray], noise: float = 0.0
) -> Products:
    seconds = gemms_s(fit, laid_out(*sizes, fit.element_bytes, fit.processors))
    return products(sizes, seconds * np.random.default_rng(2).normal(1.0, noise, len(seconds)))


B200_PEAKS = Silicon(2.0, 2.25e15, 7.7e12, 148)


@pytest.mark.slow
def test_a_fit_predicts_fresh_shapes_within_two_percent_through_noise_of_three():
    known = fit_of(B200)
    kernels = timed(known, shapes(400, seed=1), noise=0.03)
    found = fit_gemm(kernels, B200_PEAKS)
    assert found == fit_gemm(kernels, B200_PEAKS)
    off = errors(found, timed(known, shapes(1000, seed=5)))
    assert off.median < 0.01
    assert off.p90 < 0.02


def test_twenty_kernels_and_a_similar_device_tell_as_much():
    """The device runs as the B200 above, but at four fifths of its bandwidth and with twice its
    launch; thirty kernels alone are off more.
    """
    known = fit_of(B200 | {"bandwidth": "5.1 TB/s", "launch": "4 us"})
    kernels, fresh = (
        timed(known, shapes(20, seed=1), noise=0.03),
        timed(known, shapes(1000, seed=5)),
    )
    off = errors(fit_gemm(kernels, B200_PEAKS, like=fit_of(B200)), fresh)
    assert off.median < 0.02
    assert off.median < errors(fit_gemm(kernels, B200_PEAKS), fresh).median


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="at least 11 kernels"):
        fit_gemm(products(([1] * 5, [1] * 5, [1] * 5), [1e-6] * 5), B200_PEAKS)
    with pytest.raises(ValueError, match="above 0 s"):
        fit_gemm(products(([1] * 20, [1] * 20, [1] * 20), [0.0] * 20), B200_PEAKS)


# The catalog's fits on the rows that they come from, with slack above the errors on unseen weight
# matrices: device and key;
# system, type and collector of the rows; median and 90th percentile of the error allowed. Two
# products of a B200 in bf16 that
# differ by one token differ by 5.8 % of their time (median of 344 pairs, vLLM), more than it leaves
# any formula to gain.
MEASURED = [
    ("b200-sxm", "bf16_vllm", "b200_sxm", "bfloat16", "vllm", 0.07, 0.20),
    ("b200-sxm", "fp8", "b200_sxm", "fp8", "trtllm", 0.045, 0.12),
    ("b200-sxm", "fp4", "b200_sxm", "nvfp4", "trtllm", 0.03, 0.10),
    ("gb200", "fp8_vllm", "gb200", "fp8", "vllm", 0.06, 0.18),
    ("h200-sxm", "bf16_vllm", "h200_sxm", "bfloat16", "vllm", 0.05, 0.14),
]


@needs_kernels
@pytest.mark.parametrize(
    ("device", "key", "system", "precision", "collector", "median", "p90"), MEASURED
)
def test_measured_kernels_are_predicted_as_well_as_reported(
    device: str, key: str, system: str, precision: str, collector: str, median: float, p90: float
):
    import pyarrow.parquet as pq

    kernels = device_named(device).kernels
    assert kernels is not None
    table = pq.read_table(
        KERNELS, filters=[("system", "=", system), ("gemm_dtype", "=", precision)]
    )
    mine = np.array([version.startswith(collector) for version in table["version"].to_pylist()])
    m, n, k, milliseconds = (
        table[name].to_numpy()[mine][::3] for name in ("m", "n", "k", "latency_ms")
    )
    off = errors(kernels.gemm[key], products((m, n, k), milliseconds * 1e-3))
    assert len(m) > 500
    assert off.median < median
    assert off.p90 < p90


@pytest.mark.slow
@needs_kernels
def test_few_kernels_of_an_h200_already_tell_of_weight_matrices_not_seen():
    import pyarrow.parquet as pq

    table = pq.read_table(
        KERNELS, filters=[("system", "=", "h200_sxm"), ("gemm_dtype", "=", "bfloat16")]
    )
    m, n, k, milliseconds = (table[name].to_numpy()[::20] for name in ("m", "n", "k", "latency_ms"))
    off = cross_validate(
        products((m, n, k), milliseconds * 1e-3), Silicon(2.0, 989e12, 4.8e12, 132)
    )
    assert off.median < 0.07
