"""Constants of collectives: found again in noise, and errors on what was measured."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pytest import approx

from cluster_sim.calibration.collectives import (
    KINDS,
    MeasuredCollectives,
    collectives_table,
    cross_validate,
    fit_collective,
    measured,
    naive_s,
)
from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.hardware.collective_fits import CollectiveKind
from cluster_sim.hardware.device import device_named
from cluster_sim.physics.collectives import (
    all_to_all_s,
    collectives_s,
)
from tests.collective_fits import FITS

MEASUREMENTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "measurements.csv.gz"


needs_measurements = pytest.mark.skipif(
    not MEASUREMENTS.exists(),
    reason="the measured collectives are not here: ../shared/data/measurements.csv.gz",
)


@pytest.mark.parametrize("kind", ["all_reduce", "all_gather"])
def test_known_constants_are_found_again_in_noise(kind: CollectiveKind) -> None:
    known = getattr(FITS["h100-sxm"], kind)
    sizes = 2.0 ** np.arange(9, 30)
    ranks, sizes = (part.ravel() for part in np.meshgrid([2.0, 4.0, 8.0], sizes))
    exact_s = collectives_s(known, kind, ranks, sizes)
    found = fit_collective(
        kind,
        MeasuredCollectives(
            ranks,
            sizes,
            exact_s * np.exp(0.02 * np.random.default_rng(4).standard_normal(len(sizes))),
        ),
    )
    assert collectives_s(found, kind, ranks, sizes) == approx(exact_s, rel=0.04)
    if kind == "all_reduce":
        assert found.one_shot is not None
        assert found.one_shot.start_s == approx(known.one_shot.start_s, rel=0.03)
        assert found.one_shot.bandwidth_bytes_per_s == approx(
            known.one_shot.bandwidth_bytes_per_s, rel=0.1
        )
    else:
        assert found.start_s + found.rank_s == approx(known.start_s + known.rank_s, rel=0.05)


def test_too_few_or_impossible_times_are_refused() -> None:
    few = MeasuredCollectives(np.full(3, 2.0), np.array([1e3, 1e4, 1e5]), np.full(3, 1e-5))
    with pytest.raises(ValueError, match="at least 11"):
        fit_collective("all_reduce", few)
    with pytest.raises(ValueError, match="above 0"):
        fit_collective(
            "all_gather", MeasuredCollectives(np.full(9, 2.0), np.full(9, 1e3), np.zeros(9))
        )


def test_measured_operators_become_a_table_of_collectives() -> None:
    row = {
        "dataset": "aic_operators",
        "model": "operator:custom_allreduce elements=128 bf16",
        "framework": "vllm 0.24.0",
        "n_devices": 4.0,
    }
    row |= {"notes": "256 bytes; bus bw 0.1 GB/s", "value": 0.005, "hardware": "B200"}
    others = [
        row | {"model": "operator:gemm"},
        row | {"dataset": "serving"},
        row | {"model": "operator:nccl_alltoall elements=1", "framework": "nccl 2"},
    ]
    table = collectives_table(pa.Table.from_pylist([row, *others]))
    assert table.column_names == ["op", "ranks", "size_bytes", "latency_ms", "system", "version"]
    assert table["op"].to_pylist() == ["all_reduce_vllm", "all_to_all"]
    assert [part.tolist() for part in measured(table, "all_reduce_vllm")] == [
        [4.0],
        [256.0],
        [approx(5e-6)],
    ]


@cache
def collectives_of(system: str, kind: CollectiveKind) -> MeasuredCollectives:
    """Collectives measured between 1 kB and 256 MB."""
    import pyarrow.compute as pc
    import pyarrow.csv

    table = collectives_table(pyarrow.csv.read_csv(MEASUREMENTS))
    return measured(table.filter(pc.equal(table["system"], system)), kind)


def within(rows: MeasuredCollectives) -> np.ndarray:
    return (rows.size_bytes >= 1e3) & (rows.size_bytes <= 2**28)


# Median |error| over sizes that the fit has not seen; the catalog's notes have all devices and
# kinds.
@pytest.mark.slow
@needs_measurements
@pytest.mark.parametrize(
    ("system", "name", "kind"),
    [
        ("b200_sxm", "b200-sxm", "all_reduce"),
        ("h100_sxm", "h100-sxm", "all_reduce"),
        ("h200_sxm", "h200-sxm", "all_reduce_vllm"),
    ],
)
def test_all_reduces_are_predicted_within_five_percent(
    system: str, name: str, kind: CollectiveKind
) -> None:
    rows = collectives_of(system, kind)
    chosen = within(rows)
    predicted_s = cross_validate(kind, rows)
    errors = Errors.of(predicted_s[chosen], rows.seconds[chosen])
    assert errors.median < 0.055
    assert (
        errors.median
        < 0.2
        * Errors.of(naive_s(device_named(name), kind, rows)[chosen], rows.seconds[chosen]).median
    )


@pytest.mark.slow
@needs_measurements
@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("b200_sxm", "b200-sxm"),
        ("h100_sxm", "h100-sxm"),
        ("h200_sxm", "h200-sxm"),
        ("a100_sxm", "a100-sxm"),
    ],
)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "all_reduce_sglang"])
def test_the_catalog_holds_what_was_measured(system: str, name: str, kind: CollectiveKind) -> None:
    rows = collectives_of(system, kind)
    chosen = within(rows)
    predicted_s = collectives_s(getattr(FITS[name], kind), kind, rows.ranks, rows.size_bytes)
    errors = Errors.of(predicted_s[chosen], rows.seconds[chosen])
    assert errors.median < 0.08
    assert errors.p90 < 0.3


EXCHANGES = MEASUREMENTS.with_name("kernels_alltoall.parquet")


@pytest.mark.skipif(
    not EXCHANGES.exists(),
    reason="the measured exchanges are not here: ../shared/data/kernels_alltoall.parquet",
)
def test_the_catalog_s_exchange_of_a_gb200_is_that_of_measured_ones() -> None:
    """Combining in bf16: 7,168 values of 2 B of each token come from at most 8 ranks."""
    rows = [
        row
        for row in pq.read_table(EXCHANGES).to_pylist()
        if (row["kernel_source"], row["op_name"]) == ("NVLinkOneSided", "alltoall_combine")
    ]
    fit = device_named("gb200").collectives.all_to_all
    errors = [
        all_to_all_s(fit, ranks, row["num_tokens"] * min(8, ranks) * 7168 * 2)
        / (1e-3 * row["latency"])
        - 1
        for row in rows
        for ranks in [row["moe_ep_size"]]
    ]
    assert len(errors) == 100
    assert float(np.median(np.abs(errors))) < 0.04
    assert max(map(abs, errors)) < 0.25


ALL_REDUCES = MEASUREMENTS.with_name("kernels_allreduce.parquet")


@pytest.mark.skipif(
    not ALL_REDUCES.exists(),
    reason="the measured all-reduces are not here: ../shared/data/kernels_allreduce.parquet",
)
@pytest.mark.parametrize(
    ("system", "name"), [("h100_sxm", "h100-sxm"), ("b200_sxm", "b200-sxm"), ("gb300", "gb300")]
)
def test_the_catalog_holds_sglang_s_own_all_reduce(system: str, name: str) -> None:
    (table,) = read_kernels(ALL_REDUCES, system, "sglang 0.5.14")
    rows = measured(table, "all_reduce_sglang")
    chosen = within(rows)
    fit = device_named(name).collectives.all_reduce_sglang
    assert fit is not None
    predicted_s = collectives_s(fit, "all_reduce_sglang", rows.ranks, rows.size_bytes)
    assert Errors.of(predicted_s[chosen], rows.seconds[chosen]).median < 0.04
