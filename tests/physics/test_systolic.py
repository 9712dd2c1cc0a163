"""Systolic arrays: cycles by hand, laws, and products that take their time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from cluster_sim.hardware.compute import Systolic
from cluster_sim.physics.kernels import LayerKernels
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.systolic import cycles, utilisation
from tests.machines import small_gpu, tiny_model

MXU = Systolic(rows=128, columns=128)


def test_one_fold_takes_the_cycles_of_scale_sim() -> None:
    """Samajdar et al. 2020, equation 3: 2 R + C + T - 2."""
    assert cycles(Systolic(rows=8, columns=16), 100, 16, 8) == 2 * 8 + 16 + 100 - 2
    assert cycles(MXU, 1, 1, 1) == 2 * 128 + 128 + 1 - 2


def test_many_tokens_on_full_arrays_reach_the_peak_and_half_of_it_where_one_column_or_row_is_too_many() -> (
    None
):
    assert utilisation(MXU, 10_000_000, 256, 384) == approx(1.0, rel=1e-3)
    for n, k in ((129, 128), (128, 129)):
        assert utilisation(MXU, 10_000_000, n, k) == approx(129 / 256, rel=1e-3)


def test_one_token_waits_for_every_fold_to_be_loaded() -> None:
    """8192 x 8192 weights are 4096 folds of 128 cycles each: one multiply-add of 128 is used."""
    assert utilisation(MXU, 1, 8192, 8192) == approx(1 / 128, rel=1e-3)
    assert utilisation(MXU.model_copy(update={"load_cycles": 32}), 1, 8192, 8192) == approx(
        1 / 32, rel=5e-3
    )


def test_folds_are_dealt_out_to_arrays() -> None:
    """Five folds on four arrays: two after each other, and three arrays idle through the second."""
    four = Systolic(rows=128, columns=128, arrays=4)
    assert cycles(four, 1000, 5 * 128, 128) == cycles(MXU, 1000, 2 * 128, 128)
    assert utilisation(four, 10_000_000, 5 * 128, 128) == approx(5 / 8, rel=1e-3)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 8))
def test_more_of_anything_never_takes_fewer_cycles_and_the_peak_is_never_beaten(
    m: int, n: int, k: int, arrays: int
) -> None:
    unit = Systolic(rows=32, columns=64, arrays=arrays)
    assert cycles(unit, m, n, k) <= min(
        cycles(unit, m + 1, n, k), cycles(unit, m, n + 1, k), cycles(unit, m, n, k + 1)
    )
    assert 0.0 < utilisation(unit, m, n, k) <= 1.0


def test_a_product_on_arrays_takes_its_time_at_the_peak_over_its_utilisation() -> None:
    """The tiny model's head, 256 x 64 weights, a million tokens on 64 x 128: two folds, full; and
    on 64 x 192: half of the second empty.
    """
    plain = (
        LayerKernels(tiny_model(), small_gpu(), ReplicaLayout(engine="none"))
        .head()
        .seconds(1_000_000)
    )
    full, ragged = (
        LayerKernels(
            tiny_model(),
            small_gpu(systolic={"rows": 64, "columns": columns}),
            ReplicaLayout(engine="none"),
        )
        .head()
        .seconds(1_000_000)
        for columns in (128, 192)
    )
    assert full == approx(plain, rel=1e-3)
    assert ragged == approx(plain * 384 / 256, rel=1e-3)


def test_experts_on_arrays_wait_for_their_weights_as_other_products_do() -> None:
    """One token of one expert, 64 inputs and 2 x 32 outputs, on arrays of 64 x 64: 191 cycles of
    which one is used. Without arrays half a tile, here as much as the token itself, stays empty as
    well."""
    mixture = tiny_model(experts={"count": 2, "top_k": 1, "ffn": 32})
    fast = {"capacity": "10 GB", "bandwidth": "1 PB/s"}  # reading takes no time
    plain, arrays = (
        LayerKernels(
            mixture, small_gpu(memory=fast, **more), ReplicaLayout(engine="none")
        ).experts_s(1)
        for more in ({}, {"systolic": {"rows": 64, "columns": 64}})
    )
    assert arrays == approx(plain / 2 * (64 + 1 + 64 + 64 - 2), rel=1e-3)
