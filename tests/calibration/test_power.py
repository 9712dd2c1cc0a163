"""cluster-sim calibrate --power: known constants are found again, and collectors whose readings do
not repeat do not count.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pytest import approx

from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.calibration.power import (
    KernelPower,
    Readings,
    calibrate,
    differences,
    kernel_w,
    kinds,
    readings_of,
)
from cluster_sim.cli import app as cli

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kernels_gemm.parquet"
TRUE = KernelPower(250.0, 170.0, 6e-6, 45e-12, 0.4e-12)


def table(noise: dict[str, float]) -> pa.Table:
    """Products in bf16 on a board of 1 kW, read by collectors with relative errors of their own."""
    rng = np.random.default_rng(2)
    columns: dict[str, list[object]] = {
        name: []
        for name in (
            "gemm_dtype",
            "m",
            "n",
            "k",
            "latency_ms",
            "version",
            "power_w",
            "power_limit_w",
        )
    }
    for version, error in noise.items():
        for _ in range(1200):
            m, n, k = (int(2 ** rng.uniform(*ends)) for ends in ((0, 12), (10, 15), (10, 14)))
            moved, flop = 2.0 * (n * k + m * (n + k)), 2.0 * m * n * k
            seconds = 6e-6 + max(moved / 6e12, flop / 1.2e15)
            one = Readings(
                *(np.array([value]) for value in (seconds, moved, flop, 1.0, 1000.0)),
                np.array([[n], [k]]),
            )
            watts = float(kernel_w(TRUE, one)[0] * np.exp(error * rng.standard_normal()))
            for name, value in zip(
                columns, ("bfloat16", m, n, k, 1e3 * seconds, version, watts, 1000.0), strict=True
            ):
                columns[name].append(value)
    return pa.table(columns)


def test_known_constants_are_found_again_from_the_collector_that_repeats() -> None:
    (found,) = calibrate([table({"steady 1.0": 0.03, "wild 2.0": 0.4})])
    assert found.collector == "steady 1.0"
    assert found.difference < 0.1
    assert found.errors is not None and found.repeating is not None and found.fit is not None
    assert found.errors.median == approx(
        0.6745 * 0.03, rel=0.2
    )  # of a normal error, half lie within 0.6745 of its width
    assert found.fit.busy_w + found.fit.active_w == approx(420.0, rel=0.1)
    assert found.fit.memory_j_per_byte == approx(45e-12, rel=0.25)
    assert found.fit.flop_j_per_flop == approx(0.4e-12, rel=0.15)


def test_readings_that_do_not_repeat_are_not_fitted() -> None:
    (found,) = calibrate([table({"wild 2.0": 0.4})])
    assert found.difference > 0.15
    assert found.errors is None and found.fit is None


def test_a_fit_is_the_same_every_time() -> None:
    (one,), (other,) = (list(calibrate([table({"steady 1.0": 0.03})])) for _ in range(2))
    assert one == other


def test_kernels_that_are_alike_are_compared_and_lone_ones_are_not() -> None:
    seconds, bytes_, flop = (
        np.array([1e-5, 1.01e-5, 1e-3]),
        np.array([1e6, 1e6, 1e9]),
        np.array([1e9, 1e9, 1e12]),
    )
    readings = Readings(
        seconds, bytes_, flop, np.array([400.0, 500.0, 900.0]), np.full(3, 1000.0), np.zeros((1, 3))
    )
    off = differences(readings)
    assert off[:2] == approx(np.log(500.0 / 400.0))
    assert np.isnan(off[2])


@pytest.mark.skipif(not DATA.is_file(), reason="needs the measured kernels in ../shared")
def test_on_a_b200_the_readings_of_tensorrt_llm_repeat_and_those_of_vllm_do_not() -> None:
    for collector, least, most in (("trtllm", 0.0, 0.10), ("vllm", 0.15, 1.0)):
        (rows,) = read_kernels(DATA, "b200_sxm", collector)
        assert (
            least
            <= float(np.nanmedian(differences(readings_of(dict(kinds(rows))["GEMM nvfp4"]))))
            <= most
        )


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["cluster-sim", "calibrate", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as exit_:
        return int(str(exit_.code or 0))
    return 0


def test_the_command_prints_constants_and_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kernels.parquet"
    pq.write_table(table({"steady 1.0": 0.03}), path)
    assert call(monkeypatch, path, "--device", "b200-sxm", "--power") == 0
    out = capsys.readouterr().out
    assert "NVIDIA B200 SXM: board power" in out and "bfloat16" in out and "steady" in out


def test_a_table_without_power_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kernels.parquet"
    pq.write_table(table({"steady 1.0": 0.03}).drop_columns(["power_w"]), path)
    assert call(monkeypatch, path, "--device", "b200-sxm", "--power") == 2
    assert "power_w" in capsys.readouterr().err
