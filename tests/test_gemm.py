"""The matrix products' constants: found again where they are known, lawful everywhere, and what they are worth on measured kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from cluster_sim.calibration.gemm import cross_validate, errors, fit_gemm
from cluster_sim.hardware import GemmFit
from cluster_sim.physics.gemm import gemm_s, gemms_s, laid_out

KERNELS = Path(__file__).resolve().parents[2] / "shared" / "data" / "kernels_gemm.parquet"
needs_kernels = pytest.mark.skipif(not KERNELS.is_file(), reason="the measured kernels are not beside this checkout (shared/data)")

# 100 processors at 1 PFLOP/s and 5 TB/s; a tile of 128 x 128 computes as fast as any other of its size
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
B200 = PLAIN | {"processors": 148, "bandwidth": "6.4 TB/s", "compute": "1.8 PFLOP/s", "overlap": 2.4, "tile_overhead": 2700.0, "epilogue": "20 ps"}
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
    assert gemm_s(fit_of(PLAIN | {"slowdown": 0.2}), 65536, 65536, 65536) == approx(0.563 * 1.2, rel=0.01)


def test_one_processor_takes_a_tile_that_cannot_be_split():
    # a tile of 32 x 128, 32 deep, on one processor of 10 TFLOP/s: 26 ns beside 2 us, which moving 14 kB does not lengthen
    assert gemm_s(fit_of(PLAIN), 32, 128, 32) == approx(2.026e-6, rel=0.002)


def test_deep_products_of_few_outputs_split_their_depth():
    # 32 x 128 outputs, k = 65,536: unsplit 53.7 us; in 8 parts 6.7 us + 2.8 us to join them, in 16 parts 3.4 us + 4 us,
    # beside 3.4 us to 6 us for 21 MB of weights and inputs
    assert 2e-6 + 7e-6 < gemm_s(fit_of(PLAIN), 32, 128, 65536) < 2e-6 + 10e-6


def test_quantising_costs_by_the_token_and_by_the_element():
    plain, quantising = fit_of(PLAIN), fit_of(PLAIN | {"row": "1 ns", "activation": "1 ps"})
    assert gemm_s(quantising, 1000, 4096, 8192) - gemm_s(plain, 1000, 4096, 8192) == approx(1e-6 + 8.192e-6)


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
                least_s = max(2.0 * m * n * k / fit.compute_flop_per_s, 2.0 * n * k / fit.bandwidth_bytes_per_s)
                assert max(least_s, fit.launch_s) < gemm_s(fit, m, n, k) < 20 * least_s + 20e-6 + 1e-9 * m + 1e-11 * m * (n + k)


def test_one_product_and_many_agree():
    fit = fit_of(B200)
    m, n, k = shapes(20, seed=3)
    many = gemms_s(fit, laid_out(m, n, k, fit.element_bytes, fit.processors))
    assert [gemm_s(fit, *size) for size in zip(m, n, k, strict=True)] == approx(many.tolist())


def test_a_fit_predicts_fresh_shapes_within_two_percent_through_noise_of_three():
    known = fit_of(B200)
    m, n, k = shapes(400, seed=1)
    noise = np.random.default_rng(2).normal(1.0, 0.03, len(m))
    seconds = gemms_s(known, laid_out(m, n, k, known.element_bytes, known.processors)) * noise
    found = fit_gemm(m, n, k, seconds, 2.0, 2.25e15, 7.7e12, 148)
    assert found == fit_gemm(m, n, k, seconds, 2.0, 2.25e15, 7.7e12, 148)
    m, n, k = shapes(1000, seed=5)
    off = errors(found, m, n, k, gemms_s(known, laid_out(m, n, k, 2.0, 148)))
    assert off.median < 0.01
    assert off.p90 < 0.02


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="at least 11 kernels"):
        fit_gemm([1] * 5, [1] * 5, [1] * 5, [1e-6] * 5, 2.0, 1e15, 1e12, 100)
    with pytest.raises(ValueError, match="above 0 s"):
        fit_gemm([1] * 20, [1] * 20, [1] * 20, [0.0] * 20, 2.0, 1e15, 1e12, 100)


# As fitted to these kernels (B200 in fp8 and fp4: and to those of the GB200 with n > 2560, which the rows of the B200 lack),
# with slack above the errors that five folds of unseen weight matrices came to: device and
# precision; system, type and collector of the rows; median and 90th percentile of the error allowed; constants.
MEASURED = {
    "h200-sxm bf16": (
        "h200_sxm",
        "bfloat16",
        "vllm",
        0.06,
        0.16,
        {
            "processors": 132,
            "element": "2 B",
            "launch": "2.349 us",
            "bandwidth": "4.164 TB/s",
            "compute": "786.9 TFLOP/s",
            "overlap": 2.201,
            "tile_overhead": 0.0,
            "epilogue": "38.53 ps",
            "split": "816.7 ns",
            "partial_bandwidth": "1.114 TB/s",
            "slowdown": 0.1183,
            "row": "0 s",
            "activation": "0 s",
        },
    ),
    "b200-sxm bf16": (
        "b200_sxm",
        "bfloat16",
        "vllm",
        0.08,
        0.22,
        {
            "processors": 148,
            "element": "2 B",
            "launch": "1.854 us",
            "bandwidth": "6.326 TB/s",
            "compute": "1.791 PFLOP/s",
            "overlap": 2.362,
            "tile_overhead": 2676.0,
            "epilogue": "24.04 ps",
            "split": "983.8 ns",
            "partial_bandwidth": "921.5 GB/s",
            "slowdown": 0.1332,
            "row": "0 s",
            "activation": "0 s",
        },
    ),
    "b200-sxm fp8": (
        "b200_sxm",
        "fp8",
        "trtllm",
        0.055,
        0.13,
        {
            "processors": 148,
            "element": "1 B",
            "launch": "13.54 us",
            "bandwidth": "6.207 TB/s",
            "compute": "2.915 PFLOP/s",
            "overlap": 2.042,
            "tile_overhead": 2723.0,
            "epilogue": "9.645 ps",
            "split": "0.9998 us",
            "partial_bandwidth": "333.9 GB/s",
            "slowdown": 0.0,
            "row": "227.5 ps",
            "activation": "0.9973 ps",
        },
    ),
    "b200-sxm fp4": (
        "b200_sxm",
        "nvfp4",
        "trtllm",
        0.045,
        0.14,
        {
            "processors": 148,
            "element": "0.5625 B",
            "launch": "5.608 us",
            "bandwidth": "5.473 TB/s",
            "compute": "9 PFLOP/s",
            "overlap": 3.686,
            "tile_overhead": 49790.0,
            "epilogue": "0 s",
            "split": "56.8 us",
            "partial_bandwidth": "225.6 TB/s",
            "slowdown": 0.0,
            "row": "733.1 ps",
            "activation": "0.4422 ps",
        },
    ),
}


@needs_kernels
@pytest.mark.parametrize("which", MEASURED)
def test_measured_kernels_are_predicted_as_well_as_reported(which: str):
    import pyarrow.parquet as pq

    system, precision, collector, median, p90, keys = MEASURED[which]
    table = pq.read_table(KERNELS, filters=[("system", "=", system), ("gemm_dtype", "=", precision)])
    mine = np.array([version.startswith(collector) for version in table["version"].to_pylist()])
    m, n, k, milliseconds = (table[name].to_numpy()[mine][::3] for name in ("m", "n", "k", "latency_ms"))
    off = errors(fit_of(keys), m, n, k, milliseconds * 1e-3)
    assert len(m) > 500
    assert off.median < median
    assert off.p90 < p90


@needs_kernels
def test_few_kernels_of_an_h200_already_tell_of_weight_matrices_not_seen():
    import pyarrow.parquet as pq

    table = pq.read_table(KERNELS, filters=[("system", "=", "h200_sxm"), ("gemm_dtype", "=", "bfloat16")])
    m, n, k, milliseconds = (table[name].to_numpy()[::20] for name in ("m", "n", "k", "latency_ms"))
    off = cross_validate(m, n, k, milliseconds * 1e-3, 2.0, 989e12, 4.8e12, 132, folds=2)
    assert off.median < 0.07
