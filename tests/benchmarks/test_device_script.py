"""benchmarks/device: measured on a machine that only pretends, with times and a clock that are
known.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from pytest import approx

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks" / "device"))

import compare
import measure
from board import NOTHING, Board, middle, parsed
from machine import CannotError, Timing, copied, timing
from shapes import Attention, Gemm, Kernel, Traffic, kernels

from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.hardware.device import device_named
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.decode_attention import generation_attention_s
from cluster_sim.physics.gemm import gemm_s
from cluster_sim.physics.prefill_attention import Chunk, context_attention_s

H200 = device_named("h200-sxm")
LIBRARIES = {"generation_attention": ("flashinfer",), "context_attention": ("sdpa-flash",)}


class Pretender:
    """A GPU whose kernels take 1.25 times what the catalog's H200 says, and whose every measurement
    takes `each_s` by its own clock.
    """

    memory_bytes = 40e9
    libraries = LIBRARIES

    def __init__(self, each_s: float = 0.25) -> None:
        self.now_s, self.each_s, self.asked = 0.0, each_s, list[Kernel]()

    def version(self, library: str) -> str:
        return f"{library} torch 9.9".strip()

    def timed(self, kernel: Kernel) -> Timing:
        self.asked.append(kernel)
        if isinstance(kernel, Gemm) and kernel.gemm_dtype == "fp8":
            raise CannotError("this one knows no fp8")
        self.now_s += self.each_s
        return Timing(
            1.25 * model_s(kernel),
            0.01,
            Board(650.0, 700.0, None, 1980.0),
            1e9 if isinstance(kernel, Traffic) and kernel.streams else 0.0,
        )

    def run(self, folder: Path, minutes: float = 8.0) -> tuple[int, list[str]]:
        said: list[str] = []
        return measure.measure(
            self,
            "h200_sxm",
            measure.Tables(folder),
            60.0 * minutes,
            lambda: self.now_s,
            said.append,
        ), said


def model_s(kernel: Kernel) -> float:
    assert H200.kernels is not None
    if isinstance(kernel, Gemm):
        return gemm_s(H200.kernels.gemm["bf16"], kernel.m, kernel.n, kernel.k)
    if isinstance(kernel, Traffic):
        return kernel.bytes / 4.8e12
    precision, kv_bytes = ("fp8", 1.0) if kernel.kv_cache_dtype == "fp8" else ("bf16", 2.0)
    shape = AttentionShape(kernel.heads, kernel.kv_heads, 128, kv_bytes)
    if kernel.decodes:
        return generation_attention_s(
            H200.kernels.generation[precision], shape, kernel.batch, kernel.batch * kernel.tokens
        )
    return context_attention_s(
        H200.kernels.context[precision], shape, kernel.batch, Chunk(kernel.tokens)
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def identities(folder: Path) -> list[tuple[str, ...]]:
    return [
        tuple(row[column] for column in measure.IDENTITIES[table])
        for table in measure.IDENTITIES
        for row in rows(folder / f"{table}.csv")
    ]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of one run of eight minutes."""
    folder = tmp_path_factory.mktemp("measured")
    Pretender().run(folder)
    return folder


def test_the_tables_are_what_calibrate_reads_with_enough_of_every_kind(measured: Path) -> None:
    products, attention = (
        read_kernels(measured / f"{name}.csv", "h200_sxm")[0] for name in ("gemm", "attention")
    )
    ops = attention["op"].to_pylist()
    assert (
        min(len(products), ops.count("generation_attention"), ops.count("context_attention")) >= 100
    )
    assert all(
        {"power_w", "power_limit_w", "system", "version"} < set(table.column_names)
        for table in (products, attention)
    )
    assert len(
        read_kernels(measured / "attention.csv", "h200_sxm", collector="sdpa-flash")[0]
    ) == ops.count("context_attention")
    row = rows(measured / "gemm.csv")[0]
    assert (row["power_w"], row["temperature_c"], row["sm_clock_mhz"], row["version"]) == (
        "650",
        "",
        "1980",
        "torch 9.9",
    )


def test_a_table_says_of_a_decode_kernel_how_long_its_context_is(measured: Path) -> None:
    contexts = {
        int(row["isl"]) + int(row["step"])
        for row in rows(measured / "attention.csv")
        if row["op"] == "generation_attention"
    }
    assert contexts == {1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072}


@pytest.mark.parametrize("each_s", [0.25, 7.0])
def test_a_run_ends_within_its_minutes(tmp_path: Path, each_s: float) -> None:
    machine = Pretender(each_s)
    left, said = machine.run(tmp_path, minutes=2.0)
    assert 120.0 - 2 * each_s <= machine.now_s <= 120.0
    assert said[-1] == (
        f"the time is up: {left} of {len(kernels(machine.memory_bytes, LIBRARIES))} kernels are left; run again with the same --out to continue"
    )


def test_an_interrupted_run_goes_on_where_it_was_and_loses_at_most_the_line_it_wrote(
    tmp_path: Path,
) -> None:
    Pretender().run(tmp_path, minutes=1.0)
    path = tmp_path / "gemm.csv"
    path.write_text(path.read_text()[:-9])  # ended in the middle of the last line
    before = len(identities(tmp_path)) - 1
    machine = Pretender()
    left, said = machine.run(tmp_path, minutes=1000.0)
    planned = kernels(machine.memory_bytes, LIBRARIES)
    can = {kernel for kernel in planned if kernel.kind != "GEMM fp8"}
    assert left == 0 and said[-1].startswith("done: ")
    assert sum(kernel in can for kernel in machine.asked) == len(can) - before
    found = identities(tmp_path)
    assert len(found) == len(set(found)) == len(can)


def test_what_the_machine_cannot_do_is_said_once_with_the_reason(tmp_path: Path) -> None:
    machine = Pretender()
    _, said = machine.run(tmp_path, minutes=1.0)
    machine.run(tmp_path, minutes=1.0)
    assert said[0] == "skipped GEMM fp8: this one knows no fp8"
    assert rows(tmp_path / "skipped.csv") == [
        {"kind": "GEMM fp8", "reason": "this one knows no fp8"}
    ]


def test_kernels_that_take_a_quarter_longer_are_predicted_a_fifth_too_fast(
    measured: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["compare.py", *map(str, sorted(measured.glob("*.csv"))), "--device", "h200-sxm"],
    )
    assert compare.main() == 0
    printed = {
        " ".join(line.split()[:-7]): line.split()[-6:-3]
        for line in capsys.readouterr().out.splitlines()[2:]
    }
    for kind in (
        "GEMM bf16",
        "generation attention flashinfer bfloat16",
        "generation attention flashinfer fp8",
        "context attention sdpa-flash bfloat16",
    ):
        assert printed[kind] == ["20.0%", "20.0%", "-20.0%"]
    assert printed["copy"] == ["-", "-", "-"]


def test_the_roofline_of_a_read_beside_copies_counts_what_they_moved(tmp_path: Path) -> None:
    path = tmp_path / "traffic.csv"
    path.write_text(
        "op,bytes,streams,copied_bytes,latency_ms\nread_beside_copies,2400000000,2,2400000000,1.25\n"
    )
    (one,) = compare.compared(path, H200)  # 4.8 GB at 4.8 TB/s: 1 ms
    assert one.kind == "read beside 2 copying"
    assert one.naive_s / one.measured_s == approx(0.8)
    assert compare.line(one).split()[-3:] == ["20.0%", "20.0%", "-20.0%"]


def test_the_roofline_of_a_product_is_its_traffic_or_its_compute(tmp_path: Path) -> None:
    path = tmp_path / "gemm.csv"
    path.write_text(
        "gemm_dtype,m,n,k,latency_ms\nbfloat16,1,8192,8192,0.1\nbfloat16,8192,8192,8192,1.0\n"
    )
    (one,) = compare.compared(path, H200)
    moved_bytes = 2 * (8192 * 8192 + 8192 + 8192)
    assert one.naive_s == approx(np.array([moved_bytes / 4.8e12, 2 * 8192**3 / 989e12]))


def test_no_table_and_no_such_device_are_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gemm.csv").write_text("m,n\n1,2\n")
    for arguments, said in (
        ([tmp_path / "gemm.csv", "--device", "h200-sxm"], "has no column"),
        ([tmp_path / "x.csv", "--device", "h2"], "no device 'h2'"),
    ):
        monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, arguments)])
        assert compare.main() == 2
        assert said in capsys.readouterr().err


def test_without_pytorch_the_script_says_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["measure.py", "--out", str(tmp_path)])
    assert measure.main() == 2
    assert (
        capsys.readouterr().err
        == "measure.py: PyTorch is not installed; install it to measure kernels\n"
    )


def test_every_kernel_fits_is_planned_once_and_every_kind_comes_soon() -> None:
    planned = kernels(10e9, LIBRARIES)
    assert len(set(planned)) == len(planned)
    assert max(kernel.bytes for kernel in planned) <= 10e9
    assert {kernel.kind for kernel in planned} == {kernel.kind for kernel in planned[:6]}
    products = {(kernel.n, kernel.k) for kernel in planned if isinstance(kernel, Gemm)}
    assert {
        (10240, 8192),
        (8192, 8192),
        (57344, 8192),
        (8192, 28672),
    } < products  # Llama 70B on one device
    assert {
        (1280, 8192),
        (8192, 1024),
        (7168, 8192),
        (8192, 3584),
        (16032, 8192),
    } < products  # and on eight


def test_bytes_of_kernels_by_hand() -> None:
    assert Gemm("fp8", 2, 10, 100).bytes == 10 * 100 + 2 * 100 + 2 * 2 * 10
    assert Attention("", True, 2, 1024, 8, 1).bytes == 2 * (2 * 1024 * 256 + 2 * 8 * 256)
    assert Attention("", False, 1, 1000, 4, 2, "bfloat16").flop == 4 * 4 * 128 * 500_500


def test_copies_that_a_read_cuts_through_count_by_their_parts() -> None:
    assert copied([1.0, 2.0, 4.0, 8.0], began_s=1.5, ended_s=5.0) == approx(0.5 + 1.0 + 0.25)
    assert copied([1.0, 2.0, 4.0], began_s=1.0, ended_s=4.0) == approx(2.0)


def test_a_timing_is_the_median_and_how_far_nine_of_ten_lie_apart() -> None:
    found = timing([10.0, *range(11, 20), 20.0])
    assert (found.seconds, found.spread) == (15.0, approx((19.0 - 11.0) / 15.0))
    assert timing([1.0, 3.0]).seconds == 2.0


def test_what_a_board_does_not_tell_is_left_out() -> None:
    assert parsed("651.20, 700.00, 61, 1755") == Board(651.2, 700.0, 61.0, 1755.0)
    assert parsed("[N/A], 700.00, 61, [N/A]") == Board(None, 700.0, 61.0, None)
    assert parsed("No devices were found") == NOTHING
    readings = [Board(power_w, 700.0, None, 1980.0) for power_w in (90.0, 640.0, 660.0)]
    assert middle(readings) == Board(650.0, 700.0, None, 1980.0)  # the first third is left out
