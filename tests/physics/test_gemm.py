"""The matrix products' constants: found again where they are known, lawful everywhere, and what
they are worth on measured kernels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from cluster_sim.calibration.gemm import Products, Silicon, cross_validate, errors, fit_gemm
from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.kernel_fits import GemmFit
from cluster_sim.physics.gemm import gemm_s, gemms_s, laid_out

KERNELS = Path(__file__).resolve().parents[3] / "shared" / "data" / "kernels_gemm.parquet"
needs_kernels = pytest.mark.skipif(
    not KERNELS.is_file(), reason="the measured kernels are not beside this checkout (shared/data)"
)

# 100 processors at 1 PFLOP/s and 5 TB/s; a tile of 128 x 128 computes as fast as any other of its
# size
PLAIN = {
    "processors": 100,
    "element": "2 B",
    "launch": "2 us",
    "bandwidth": "5 TB/s",
    "compute": "1 PFLOP/s",
    "overlap": 8.0,
    "tile_overhead": 0.0,
    "epilogue": "0 s",
    "split": "1 us",
    "partial_bandwidth": "1 TB/s",
    "slowdown": 0.0,
    "row": "0 s",
    "activation": "0 s",
}
B200 = PLAIN | {
    "processors": 148,
    "bandwidth": "6.4 TB/s",
    "compute": "1.8 PFLOP/s",
    "overlap": 2.4,
    "tile_overhead": 2700.0,
    "epilogue": "20 ps",
}
B200 |= {"slowdown": 0.13, "row": "0.2 ns", "activation": "0.3 ps"}


def fit_of(keys: dict[str, object]) -> GemmFit:
    return GemmFit.model_validate(keys)


def shapes(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    m, n, k = np.exp2(rng.uniform((0.0, 5.0, 5.0), (14.0, 16.0, 16.0), (rows, 3))).round().T
    return m, n, k


def test_the_smallest_product_takes_the_launch():
    assert gemm_s(fit_of(PLAIN), 1, 1, 1) == approx(2e-6, rel=0.01)


def test_one_token_takes_as_long_as_its_weights_are_read():
    # 16,384 x 16,384 x 2 B = 537 MB at 5 TB/s
    assert gemm_s(fit_of(PLAIN), 1, 16384, 16384) == approx(2e-6 + 107.4e-6, rel=0.02)


def test_a_huge_product_runs_at_the_peak():
    # 2 x 2^16 x 2^16 x 2^16 FLOP at 1 PFLOP/s: 0.563 s
    assert gemm_s(fit_of(PLAIN), 65536, 65536, 65536) == approx(0.563, rel=0.01)


def test_a_long_product_is_slowed_by_its_share():
    assert gemm_s(fit_of(PLAIN | {"slowdown": 0.2}), 65536, 65536, 65536) == approx(
        0.563 * 1.2, rel=0.01
    )


def test_one_processor_takes_a_tile_that_cannot_be_split():
    # a tile of 32 x 128, 32 deep, on one processor of 10 TFLOP/s: 26 ns beside 2 us, which moving
    # 14 kB does not lengthen
    assert gemm_s(fit_of(PLAIN), 32, 128, 32) == approx(2.026e-6, rel=0.002)


def test_deep_products_of_few_outputs_split_their_depth():
    # 32 x 128 outputs, k = 65,536: unsplit 53.7 us; in 8 parts 6.7 us + 2.8 us to join them, in 16
    # parts 3.4 us + 4 us,
    # beside 3.4 us to 6 us for 21 MB of weights and inputs
    assert 2e-6 + 7e-6 < gemm_s(fit_of(PLAIN), 32, 128, 65536) < 2e-6 + 10e-6


def test_quantising_costs_by_the_token_and_by_the_element():
    plain, quantising = fit_of(PLAIN), fit_of(PLAIN | {"row": "1 ns", "activation": "1 ps"})
    assert gemm_s(quantising, 1000, 4096, 8192) - gemm_s(plain, 1000, 4096, 8192) == approx(
        1e-6 + 8.192e-6
    )


@pytest.mark.parametrize("keys", [PLAIN, B200], ids=["plain", "b200"])
@pytest.mark.parametrize(("n", "k"), [(4096, 4096), (8192, 28672), (128, 7168), (128256, 4096)])
def test_more_tokens_never_take_less_time(keys: dict[str, object], n: int, k: int):
    fit = fit_of(keys)
    seconds = gemms_s(fit, laid_out(np.arange(1, 5000), n, k, fit.element_bytes, fit.processors))
    assert (np.diff(seconds) >= -1e-12 * seconds[1:]).all()


def test_more_outputs_and_more_inputs_never_take_less_time():
    fit = fit_of(B200)
    for m in (1, 100, 3000):
        for n, k in ((np.arange(1, 5000), 4096), (4096, np.arange(1, 5000))):
            seconds = gemms_s(fit, laid_out(m, n, k, fit.element_bytes, fit.processors))
            assert (np.diff(seconds) >= -1e-12 * seconds[1:]).all()


def test_sizes_far_outside_the_measured_ones_stay_between_the_roofline_and_twenty_times_it():
    fit = fit_of(B200)
    for m in (1, 10, 10**7):
        for n in (128, 10**6):
            for k in (1, 10**6):
                least_s = max(
                    2.0 * m * n * k / fit.compute_flop_per_s,
                    2.0 * n * k / fit.bandwidth_bytes_per_s,
                )
                assert (
                    max(least_s, fit.launch_s)
                    < gemm_s(fit, m, n, k)
                    < 20 * least_s + 20e-6 + 1e-9 * m + 1e-11 * m * (n + k)
                )


def test_one_product_and_many_agree():
    fit = fit_of(B200)
    m, n, k = shapes(20, seed=3)
    many = gemms_s(fit, laid_out(m, n, k, fit.element_bytes, fit.processors))
    assert [gemm_s(fit, *size) for size in zip(m, n, k, strict=True)] == approx(many.tolist())


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


def test_a_product_that_waits_for_memory_takes_twice_as_long_on_half_the_bus():
    """One token: 107.4 us of 109.4 us are moving, which double; launching does not."""
    fit = fit_of(PLAIN)
    whole, half = (gemm_s(fit.at(1.0, bandwidth), 1, 16384, 16384) for bandwidth in (1.0, 0.5))
    assert half - 2e-6 == approx(2 * (whole - 2e-6), rel=0.02)


def test_a_product_that_computes_does_not_notice_half_the_bus():
    fit = fit_of(PLAIN)
    assert gemm_s(fit.at(1.0, 0.5), 65536, 65536, 65536) == approx(
        gemm_s(fit, 65536, 65536, 65536), rel=1e-3
    )


def test_a_product_that_computes_takes_twice_as_long_at_half_the_clock_and_one_that_moves_as_the_clock_to_the_013():
    fit = fit_of(PLAIN)
    assert gemm_s(fit.at(0.5), 65536, 65536, 65536) == approx(
        2 * gemm_s(fit, 65536, 65536, 65536), rel=1e-3
    )
    assert gemm_s(fit.at(0.795), 1, 16384, 16384) - 2e-6 / 0.795 == approx(
        107.4e-6 / 0.971, rel=0.02
    )  # 0.795^0.13 = 0.971
    assert gemm_s(fit.at(0.5), 1, 1, 1) == approx(4e-6, rel=0.01)


def test_the_full_clock_and_the_whole_bus_change_nothing():
    assert fit_of(B200).at(1.0, 1.0) == fit_of(B200)


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
