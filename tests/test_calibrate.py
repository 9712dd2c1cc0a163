"""cluster-sim calibrate: a table of measured kernels gives a device, its errors, or a sentence about what is wrong."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from cluster_sim import cli
from cluster_sim.hardware import Device, device_named
from cluster_sim.physics.gemm import gemm_s

B200 = device_named("b200-sxm")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "kernels_gemm.parquet"


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["cluster-sim", "calibrate", *map(str, arguments)])
    code: object = 0
    try:
        cli.main()
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return int(str(code or 0)), captured.out, captured.err


def synthetic(path: Path, noise: float = 0.02) -> Path:
    """Products as the catalog's B200 runs them in bf16, their times drawn around its own, as a CSV."""
    assert B200.kernels is not None
    rng = np.random.default_rng(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gemm_dtype", "m", "n", "k", "latency_ms"])
        for n in (512, 2048, 4096, 8192, 28672):
            for k in (1024, 4096, 8192):
                for m in (1, 4, 16, 64, 128, 256, 512, 1024, 4096):
                    writer.writerow(["bfloat16", m, n, k, 1e3 * gemm_s(B200.kernels.gemm["bf16"], m, n, k) * np.exp(noise * rng.standard_normal())])
    return path


def test_known_constants_are_found_again_and_the_file_is_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "mine.yaml"
    code, table, _ = call(capsys, monkeypatch, synthetic(tmp_path / "kernels.csv"), "--device", "b200-sxm", "--out", out)
    assert code == 0
    assert "GEMM bf16" in table
    found = device_named(str(out))
    assert isinstance(found, Device)
    assert found.kernels is not None
    assert B200.kernels is not None
    for m, n, k in ((8, 8192, 8192), (96, 3072, 6144), (2048, 10240, 8192)):
        assert gemm_s(found.kernels.gemm["bf16"], m, n, k) == pytest.approx(gemm_s(B200.kernels.gemm["bf16"], m, n, k), rel=0.05)
    assert found.kernels.gemm["fp8"] == B200.kernels.gemm["fp8"]  # what was not measured stays


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", ["--device", "b200-sxm"], "is no table of kernels"),
        ("m,n\n1,2\n", ["--device", "b200-sxm"], "has no column op, batch_size"),
        ("op,ranks,size_bytes\nall_reduce,2,1\n", ["--device", "b200-sxm"], "has no column latency_ms"),
        ("op,ranks,size_bytes,latency_ms\nall_reduce,two,1,1\n", ["--device", "b200-sxm"], "column ranks: came string; wanted numbers"),
        ("op,ranks,size_bytes,latency_ms\nall_reduce,2,1,1\n", ["--device", "b200-sxm"], "fewer than 24 collectives"),
        ("gemm_dtype,m,n,k,latency_ms\nfp8,1,2,3,0.0\n", ["--device", "b200-sxm"], "holds no kernels with a time above 0"),
        ("gemm_dtype,m,n,k,latency_ms\nfp8,1,2,3,0.5\n", ["--device", "b200-sxm"], "holds fewer than a hundred kernels of any kind that NVIDIA B200 SXM runs"),
        ("gemm_dtype,m,n,k,latency_ms,system\nfp8,1,2,3,0.5,a\nfp8,1,2,3,0.5,b\n", ["--device", "b200-sxm"], "holds kernels of a, b; name one with --system"),
        ("gemm_dtype,m,n,k,latency_ms\nfp8,1,2,3,0.5\n", ["--device", "b20-sxm"], "no device 'b20-sxm' in the catalog; did you mean 'b200-sxm'?"),
    ],
)
def test_what_is_no_table_of_kernels_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, arguments: list[str], said: str
) -> None:
    path = tmp_path / "kernels.csv"
    path.write_text(text)
    code, out, err = call(capsys, monkeypatch, path, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
