"""Collectives: points worked out by hand, laws in size and links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from cluster_sim.calibration.collectives import (
    KINDS,
)
from cluster_sim.hardware.collective_fits import CollectiveFit, CollectiveFits, CollectiveKind
from cluster_sim.physics.collectives import (
    BEYOND_MEASURED_S,
    all_gather_s,
    all_reduce_s,
    all_to_all_s,
    collectives_s,
    reduce_scatter_s,
)
from tests.collective_fits import FITS

LINE = CollectiveFit.model_validate(
    {"start": "10 us", "rank": "1 us", "link_bandwidth": "100 GB/s"}
)


SWITCHED = CollectiveFit.model_validate(
    {"start": "10 us", "link_bandwidth": "100 GB/s", "in_switch": 1.75}
)


BOTH = CollectiveFit.model_validate(
    {
        "start": "20 us",
        "link_bandwidth": "100 GB/s",
        "one_shot": {"start": "4 us", "rank": "1 us", "bandwidth": "100 GB/s", "overlap": 2},
    }
)


CLIMBING = CollectiveFit.model_validate(
    {"start": "1 us", "link_bandwidth": "100 GB/s", "climb": "16 us", "climb_exponent": 0.5}
)


def test_a_lone_device_waits_for_nobody() -> None:
    assert all_reduce_s(None, 1, 1e6) == all_gather_s(LINE, 1, 1e6) == 0.0


def test_a_group_without_a_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="no fit for a collective of 4"):
        all_reduce_s(None, 4, 1e6)


def test_a_ring_all_reduce_moves_two_times_n_minus_one_nths_of_the_tensor() -> None:
    # 4 ranks: 10 + 3 x 1 us, and 1.5 x 4 MB at 100 GB/s are 60 us; a gather or a scatter moves half
    # of that
    assert all_reduce_s(LINE, 4, 4e6) == approx(73e-6)
    for half_s in (all_gather_s, reduce_scatter_s, all_to_all_s):
        assert half_s(LINE, 4, 4e6) == approx(43e-6)


def test_switches_that_sum_save_large_groups_alone_their_share_of_the_links() -> None:
    assert all_reduce_s(SWITCHED, 8, 10e6) == approx(110e-6)  # 1.75 x 10 MB, less by 1.75
    assert all_reduce_s(SWITCHED, 4, 10e6) == approx(160e-6)  # 1.5 x 10 MB


def test_small_tensors_are_read_in_one_shot_and_large_ones_go_round() -> None:
    # 5 ranks: start 4 + 4 = 8 us; 4 x 150 kB at 100 GB/s are 6 us: 10 us by Pythagoras
    assert all_reduce_s(BOTH, 5, 150e3) == approx(10e-6)
    assert all_reduce_s(BOTH, 5, 10e6) == approx(
        180e-6
    )  # 20 us and 1.6 x 10 MB, against 400 us in one shot


def test_a_small_group_of_devices_linked_in_pairs_has_the_links_among_its_own() -> None:
    # 8 devices with 7 links of 10 GB/s each: of 8 MB the rank sends 7/4 over all its links, 200 us;
    # 2 ranks send 8 MB over one link, 800 us; in one shot they read 1 MB from each other in 100 us
    keys = {"start": "1 us", "link_bandwidth": "70 GB/s", "meshed": 8}
    mesh = CollectiveFit.model_validate(keys)
    assert all_reduce_s(mesh, 8, 8e6) == approx(201e-6)
    assert all_reduce_s(mesh, 2, 8e6) == approx(801e-6)
    shot = {"start": "1 us", "bandwidth": "70 GB/s"}
    both = CollectiveFit.model_validate(keys | {"start": "20 us", "one_shot": shot})
    assert all_reduce_s(both, 2, 1e6) == approx(101e-6)
    assert float(collectives_s(mesh, "all_reduce", 2, 8e6)) == approx(801e-6)


def test_an_engine_runs_its_own_kernel_where_it_has_one() -> None:
    kernels = CollectiveFits(all_reduce=LINE, all_reduce_vllm=SWITCHED)
    assert all_reduce_s(kernels.all_reduce_of("vLLM"), 4, 10e6) == approx(160e-6)  # 10 + 150 us
    assert all_reduce_s(kernels.all_reduce_of("SGLang"), 4, 10e6) == approx(163e-6)  # 13 + 150 us
    assert all_reduce_s(CollectiveFits(all_reduce=LINE).all_reduce_of("vLLM"), 4, 10e6) == approx(
        163e-6
    )
    with pytest.raises(ValueError, match="no fit"):
        all_reduce_s(CollectiveFits().all_reduce_of("vLLM"), 4, 10e6)


def test_bandwidth_climbs_with_the_size() -> None:
    # 2 ranks: 1.6 MB cross in 16 us at full rate, and take twice that there; 4 us take 4 + sqrt(16
    # x 4) = 12 us
    assert all_reduce_s(CLIMBING, 2, 1.6e6) == approx(33e-6)
    assert all_reduce_s(CLIMBING, 2, 0.4e6) == approx(13e-6)


def test_a_group_larger_than_measured_takes_a_little_more_than_the_largest() -> None:
    assert all_reduce_s(LINE, 72, 1e6) == approx(all_reduce_s(LINE, 8, 1e6) + BEYOND_MEASURED_S)


def test_other_flows_on_the_links_stretch_the_bytes_and_not_the_start() -> None:
    assert all_reduce_s(LINE.at(0.5), 4, 4e6) == approx(13e-6 + 120e-6)


@pytest.mark.parametrize("name", FITS)
@given(data=st.data())
def test_more_bytes_or_less_of_the_links_never_take_less_time(
    name: str, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from([kind for kind in KINDS if getattr(FITS[name], kind)]))
    fit, ranks = getattr(FITS[name], kind), data.draw(st.integers(2, 72))
    size, more = data.draw(st.floats(0.0, 1e12)), data.draw(st.floats(0.0, 1e10))
    law_s = all_reduce_s if "all_reduce" in kind else all_to_all_s
    seconds = law_s(fit, ranks, size)
    assert 0.0 < seconds <= law_s(fit, ranks, size + more)
    assert seconds <= law_s(fit.at(data.draw(st.floats(0.01, 1.0))), ranks, size)
    assert law_s(fit, ranks, size * (1 + 1e-9)) == approx(seconds, rel=1e-6)  # no jumps


# NVIDIA's TensorRT-LLM blog on wide expert parallelism: dispatch and combine in bf16 on GB200 [us].
BLOG = [
    (8, 1, 19, 31), (8, 64, 22, 34), (8, 256, 51, 53), (8, 1024, 166, 176), (8, 2048, 312, 323),
    (64, 1, 28, 33), (64, 64, 29, 38), (64, 256, 65, 63), (64, 1024, 209, 199), (64, 2048, 399, 372),
]  # fmt: skip


@pytest.mark.parametrize(("ranks", "tokens", "dispatch_us", "combine_us"), BLOG)
def test_experts_of_a_gb200_rack_are_reached_as_fast_as_nvidia_published(
    ranks: int, tokens: int, dispatch_us: float, combine_us: float
) -> None:
    """Each of 7,168 values of 2 B goes to 8 experts. The fit has seen other runs, up to 32 ranks."""
    both_s = 2 * all_to_all_s(FITS["gb200"].all_to_all, ranks, tokens * 8 * 7168 * 2)
    within = 0.04 if tokens >= 1024 else 0.35
    assert both_s == approx((dispatch_us + combine_us) * 1e-6, rel=within)


@given(st.sampled_from(KINDS), st.sampled_from((2, 4, 8)), st.floats(1.0, 1e10))
def test_many_at_once_take_what_each_takes(kind: CollectiveKind, ranks: int, size: float) -> None:
    fit = getattr(FITS["h100-sxm"], kind)
    law_s = all_reduce_s if "all_reduce" in kind else reduce_scatter_s
    assert collectives_s(fit, kind, [ranks], [size])[0] == approx(law_s(fit, ranks, size))


def test_sglang_s_own_all_reduce_holds_since_its_release() -> None:
    fits = FITS["b200-sxm"]
    assert fits.all_reduce_of("SGLang 0.5.14") is fits.all_reduce_of("SGLang 0.6")
    assert fits.all_reduce_of("SGLang 0.5.14") is fits.all_reduce_sglang
    for engine in ("SGLang 0.5", "SGLang 0.5.12", "SGLang 2025-09", "SGLang", "TensorRT-LLM 1.2"):
        assert fits.all_reduce_of(engine) is fits.all_reduce
    assert fits.all_reduce_of("vLLM 0.22") is fits.all_reduce_vllm
