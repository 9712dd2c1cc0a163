"""Matrix products: laws everywhere, and points by mental arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

from cluster_sim.physics.gemm import gemm_s, gemms_s, laid_out
from tests.gemm_fits import B200, PLAIN, fit_of, shapes


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
