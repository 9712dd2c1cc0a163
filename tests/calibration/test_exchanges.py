"""Constants of exchanges: found again in noise, and met by measured ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pytest import approx

from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.exchange_tables import COLUMNS, exchange_table
from cluster_sim.calibration.exchanges import (
    MeasuredWay,
    calibrate_exchanges,
    fit_way,
    measured_way,
)
from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.exchange_fits import OneWayFit
from cluster_sim.physics.exchange_kinds import KINDS
from cluster_sim.physics.exchange_times import Parcels, one_way_s

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_tables = pytest.mark.skipif(
    not (DATA / "kernels_deepep.parquet").exists(),
    reason="the measured exchanges are not here: ../shared/data/kernels_deepep.parquet",
)
LOW = {
    "op_name": "ll",
    "node_num": 1,
    "hidden_size": 7168,
    "num_token": 128,
    "num_topk": 8,
    "num_experts": 256,
    "dispatch_avg_t_us": 36.7,
    "combine_avg_t_us": 67.0,
    "dispatch_transmit_us": None,
    "combine_transmit_us": None,
    "dispatch_sms": None,
    "combine_sms": None,
    "system": "h100_sxm",
    "version": "0.5.12",
}
NORMAL = LOW | {
    "op_name": "normal",
    "dispatch_avg_t_us": None,
    "combine_avg_t_us": None,
    "dispatch_transmit_us": 50.1,
    "combine_transmit_us": 82.5,
    "dispatch_sms": 20.0,
    "combine_sms": 24.0,
    "system": "gb200",
}
NVLINK = {
    "op_name": "alltoall_dispatch",
    "kernel_source": "NVLinkTwoSided",
    "moe_dtype": "nvfp4",
    "num_tokens": 256,
    "hidden_size": 7168,
    "topk": 8,
    "num_experts": 256,
    "moe_ep_size": 4,
    "latency": 0.02,
    "system": "gb200",
    "version": "1.3.0rc10",
}


def table_of(*rows: dict[str, object]) -> list[dict[str, object]]:
    table = exchange_table(pa.Table.from_pylist([*rows]))
    assert table is not None
    assert set(COLUMNS) <= set(table.column_names)
    return list(table.to_pylist())


def test_deepep_s_tables_have_microseconds_and_bytes_of_each_copy() -> None:
    """fp8 with a scale of 4 B per 128 values and a header of 16 B out, 2 B per value back."""
    rows = {(row["exchange"], row["way"]): row for row in table_of(LOW, NORMAL)}
    out, back = (rows["deepep_low_latency", way] for way in ("dispatch", "combine"))
    assert (out["row_bytes"], back["row_bytes"]) == (7168 + 56 * 4 + 16, 14336)
    assert (out["copies"], out["ranks"], out["latency_ms"]) == (8, 8, approx(0.0367))
    out, back = (rows["deepep_normal", way] for way in ("dispatch", "combine"))
    assert (out["processors"], back["processors"]) == (20, 24)
    assert (out["ranks"], out["row_bytes"]) == (4, 7168 + 56 * 4)  # a tray has four devices
    assert out["copies"] == approx(4 * (1 - 0.0966), rel=1e-3)  # C(192, 8) / C(256, 8)


def test_preparing_is_a_part_of_a_two_sided_dispatch() -> None:
    prepare = NVLINK | {"op_name": "alltoall_prepare", "latency": 0.0125}
    combine = NVLINK | {"op_name": "alltoall_combine", "latency": 0.03}
    low = NVLINK | {"op_name": "alltoall_combine_low_precision"}
    rows = {row["way"]: row for row in table_of(NVLINK, prepare, combine, low)}
    assert rows["dispatch"]["latency_ms"] == approx(0.0325)
    assert rows["dispatch"]["row_bytes"] == 7168 * 0.5625
    assert rows["dispatch"]["copies"] == 4  # as many as there are devices
    assert (rows["combine"]["latency_ms"], rows["combine"]["row_bytes"]) == (0.03, 14336)


def test_a_table_of_other_kernels_has_no_exchanges() -> None:
    assert exchange_table(pa.table({"gemm_dtype": ["fp8"], "m": [1]})) is None


@pytest.mark.parametrize("kind", ["deepep_low_latency", "deepep_normal", "nvlink_one_sided"])
def test_known_constants_are_found_again_in_noise(kind: str) -> None:
    gb200 = device_named("gb200")
    fit = gb200.exchanges.of(kind)
    assert fit is not None
    grid = np.meshgrid(2.0 ** np.arange(0, 14), [2048.0, 4096, 7168], [2.0, 8], [4.0, 16])
    tokens, hidden, copies, ranks = (part.ravel() for part in grid)
    experts = np.tile([64.0, 256.0], len(tokens) // 2)
    parcels = Parcels(
        tokens, copies, 2 * hidden, ranks, experts, np.ones(len(tokens)) * 20, np.ones(len(tokens))
    )
    exact_s = np.asarray(one_way_s(fit.combine, parcels))
    noise = np.random.default_rng(0).normal(0.0, 0.02, len(exact_s))
    shapes = np.stack([hidden, copies])
    found = fit_way(MeasuredWay(kind, parcels, shapes, exact_s * np.exp(noise)), gb200)
    assert Errors.of(one_way_s(found, parcels), exact_s).p90 < 0.02


def test_a_fit_never_makes_links_faster_than_their_wire() -> None:
    """Exchanges at twice the speed of the wire: the fit stays at the wire's 900 GB/s."""
    ones = np.ones(60)
    parcels = Parcels(np.linspace(1e4, 1e6, 60), 8 * ones, 14336 * ones, 8 * ones, 256 * ones, ones)
    fast = OneWayFit.model_validate(
        {"start": "10 us", "processor_bandwidth": "1 PB/s", "link_bandwidth": "1.8 TB/s"}
    )
    rows = MeasuredWay(
        "nvlink_one_sided", parcels, np.stack([ones]), np.asarray(one_way_s(fast, parcels))
    )
    assert fit_way(rows, device_named("gb200")).link_bandwidth_bytes_per_s <= 900e9


SYSTEMS = {
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "b200_sxm": "b200-sxm",
    "b300_sxm": "b300-sxm",
    "gb200": "gb200",
    "gb300": "gb300",
}


@needs_tables
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_catalog_holds_what_was_measured(system: str) -> None:
    device = device_named(SYSTEMS[system])
    (table,) = read_kernels(DATA / "kernels_deepep.parquet", system)
    for kind in ("deepep_low_latency", "deepep_normal"):
        fit = device.exchanges.of(kind)
        assert fit is not None
        for way, constants in (("dispatch", fit.dispatch), ("combine", fit.combine)):
            rows = measured_way(table, kind, way, fit.dispatch.processors)
            errors = Errors.of(one_way_s(constants, rows.parcels), rows.seconds)
            assert errors.median < 0.05
            assert errors.p90 < 0.16


@needs_tables
def test_the_catalog_s_nvlink_kernels_are_those_measured_on_gb200() -> None:
    device = device_named("gb200")
    table = exchange_table(pq.read_table(DATA / "kernels_alltoall.parquet"))
    for kind in ("nvlink_one_sided", "nvlink_two_sided"):
        fit = device.exchanges.of(kind)
        assert fit is not None
        for way, constants in (("dispatch", fit.dispatch), ("combine", fit.combine)):
            rows = measured_way(table, kind, way, 1)
            errors = Errors.of(one_way_s(constants, rows.parcels), rows.seconds)
            assert errors.median < 0.05
            assert errors.p90 < 0.12


@needs_tables
@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "system"), [("kernels_deepep", "b200_sxm"), ("kernels_alltoall", "gb200")]
)
def test_exchanges_of_shapes_left_out_are_predicted_within_eight_percent(
    file: str, system: str
) -> None:
    (table,) = read_kernels(DATA / f"{file}.parquet", system)
    fitted = list(calibrate_exchanges(table, device_named(SYSTEMS[system]), 148))
    assert len(fitted) == 4
    assert {each.kind.split()[0] for each in fitted} <= set(KINDS)
    for each in fitted:
        assert each.errors.median < 0.08
        assert each.errors.median < 0.25 * each.naive.median
