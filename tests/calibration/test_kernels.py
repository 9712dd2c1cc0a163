"""cluster-sim calibrate: a table of measured kernels gives a device, its errors, or a sentence
about what is wrong.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster_sim.calibration.attention import attention_kernels
from cluster_sim.calibration.engines import by_engine
from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.cli import app as cli
from cluster_sim.hardware.device import Device, device_named
from cluster_sim.hardware.kernel_fits import fit_of_engine
from cluster_sim.physics.gemm import gemm_s

B200 = device_named("b200-sxm")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kernels_gemm.parquet"


def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
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
                    writer.writerow(
                        [
                            "bfloat16",
                            m,
                            n,
                            k,
                            1e3
                            * gemm_s(B200.kernels.gemm["bf16"], m, n, k)
                            * np.exp(noise * rng.standard_normal()),
                        ]
                    )
    return path


@pytest.mark.slow
def test_known_constants_are_found_again_and_the_file_is_a_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.yaml"
    code, table, _ = call(
        capsys,
        monkeypatch,
        synthetic(tmp_path / "kernels.csv"),
        "--device",
        "b200-sxm",
        "--out",
        out,
    )
    assert code == 0
    assert "GEMM bf16" in table
    found = device_named(str(out))
    assert isinstance(found, Device)
    assert found.kernels is not None
    assert B200.kernels is not None
    for m, n, k in ((8, 8192, 8192), (96, 3072, 6144), (2048, 10240, 8192)):
        assert gemm_s(found.kernels.gemm["bf16"], m, n, k) == pytest.approx(
            gemm_s(B200.kernels.gemm["bf16"], m, n, k), rel=0.05
        )
    assert found.kernels.gemm["fp8"] == B200.kernels.gemm["fp8"]  # what was not measured stays


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", ["--device", "b200-sxm"], "is not a table of kernels"),
        ("m,n\n1,2\n", ["--device", "b200-sxm"], "has no column op, batch_size"),
        (
            "op,ranks,size_bytes\nall_reduce,2,1\n",
            ["--device", "b200-sxm"],
            "has no column latency_ms",
        ),
        (
            "op,ranks,size_bytes,latency_ms\nall_reduce,two,1,1\n",
            ["--device", "b200-sxm"],
            "column ranks: got string; expected numbers",
        ),
        (
            "op,ranks,size_bytes,latency_ms\nall_reduce,2,1,1\n",
            ["--device", "b200-sxm"],
            "and fewer than 24 collectives",
        ),
        (
            "gemm_dtype,m,n,k,latency_ms\nfp8,1,2,3,0.0\n",
            ["--device", "b200-sxm"],
            "got no kernels with a time above 0",
        ),
        (
            "gemm_dtype,m,n,k,latency_ms\nfp8,1,2,3,0.5\n",
            ["--device", "b200-sxm"],
            "got fewer than 100 usable kernels of any kind that NVIDIA B200 SXM runs",
        ),
        (
            "phase,op_name,latency\ncontext,gdn,0.1\n",
            ["--device", "b200-sxm"],
            "has no column kernel_source, batch_size, seq_len, model_name",
        ),
        (
            "architecture,op_name,latency\nMiniMaxM3ForCausalLM,msa_context_module,0.1\n",
            ["--device", "b200-sxm"],
            "has no column kernel_source, kv_cache_dtype, gemm_type",
        ),
        (
            "gemm_dtype,m,n,k,latency_ms,system\nfp8,1,2,3,0.5,a\nfp8,1,2,3,0.5,b\n",
            ["--device", "b200-sxm"],
            "has kernels of a, b; choose one with --system",
        ),
        (
            "gemm_dtype,m,n,k,latency_ms\nfp8,1,2,3,0.5\n",
            ["--device", "b20-sxm"],
            "no device 'b20-sxm' in the catalog; did you mean 'b200-sxm'?",
        ),
    ],
)
def test_a_file_that_is_not_a_table_of_kernels_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    arguments: list[str],
    said: str,
) -> None:
    path = tmp_path / "kernels.csv"
    path.write_text(text)
    code, out, err = call(capsys, monkeypatch, path, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def measurements(path: Path) -> Path:
    """Rows of a table of measurements: products of an H100 of four matrices, and others that are no
    kernels of interest.
    """
    fits = device_named("h100-sxm").kernels
    assert fits is not None
    rng = np.random.default_rng(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "model",
                "hardware",
                "precision",
                "concurrency_or_rate",
                "value",
                "framework",
                "metric",
            ]
        )
        for n, k in ((8192, 8192), (10240, 8192), (4096, 4096), (65536, 8192)):
            for m in (1, 8, 32, 128, 512, 2048, 8192):
                milliseconds = (
                    1e3
                    * gemm_s(fits.gemm["bf16_vllm"], m, n, k)
                    * np.exp(0.02 * rng.standard_normal())
                )
                writer.writerow(
                    [
                        f"operator:gemm n={n} k={k} (a matrix)",
                        "H100",
                        "bfloat16",
                        f"m={m}",
                        milliseconds,
                        "vllm 0.24.0",
                        "operator_latency",
                    ]
                )
        writer.writerow(
            [
                "operator:generation_attention heads=64 kv=8 hd=128 (70B TP1) past=2047",
                "H100",
                "bf16/kv fp8",
                "batch=4",
                0.02,
                "vllm 0.24.0",
                "operator_latency",
            ]
        )
        writer.writerow(
            [
                "operator:nccl_all_reduce elements=256 half",
                "H100",
                "half",
                "",
                0.01,
                "nccl 2.29.2",
                "operator_latency",
            ]
        )
        writer.writerow(["llama-3.1-70b", "H100", "fp8", "16", 20.0, "vllm", "tpot_ms"])
    return path


@pytest.mark.slow
def test_few_kernels_of_a_table_of_measurements_suffice_beside_a_similar_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.yaml"
    path = measurements(tmp_path / "measurements.csv")
    code, table, _ = call(
        capsys,
        monkeypatch,
        path,
        "--device",
        "h100-sxm",
        "--engine",
        "SGLang",
        "--like",
        "h200-sxm",
        "--out",
        out,
    )
    assert code == 0
    assert "GEMM bf16" in table
    assert "attention" not in table  # one kernel
    fits, known = device_named(str(out)).kernels, device_named("h100-sxm").kernels
    assert fits is not None
    assert known is not None
    for m, n, k in ((4, 8192, 28672), (64, 16384, 8192), (4096, 8192, 8192)):
        assert gemm_s(fits.gemm["bf16_sglang"], m, n, k) == pytest.approx(
            gemm_s(known.gemm["bf16_vllm"], m, n, k), rel=0.08
        )
    assert fits.gemm["bf16"] == known.gemm["bf16"]  # the others' are kept


def test_operators_are_distinguished_by_their_shapes(tmp_path: Path) -> None:
    products, attention = read_kernels(measurements(tmp_path / "measurements.csv"), "h100_sxm")
    assert len(products) == 28
    assert products.select(["gemm_dtype", "m", "n", "k"]).to_pylist()[1] == {
        "gemm_dtype": "bfloat16",
        "m": 8,
        "n": 8192,
        "k": 8192,
    }
    decode = attention_kernels(attention)
    assert (
        decode.batch[0],
        decode.tokens[0],
        decode.heads[0],
        decode.kv_heads[0],
        decode.head_dim[0],
        decode.kv_bytes[0],
    ) == (4, 2048, 64, 8, 128, 1)
    assert decode.seconds[0] == pytest.approx(20e-6)


def decodes(path: Path, gbps: float) -> Path:
    """Decode kernels that read at that rate, whatever their shape."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "op",
                "batch_size",
                "isl",
                "step",
                "num_heads",
                "num_key_value_heads",
                "head_dim",
                "window_size",
                "kv_cache_dtype",
                "latency_ms",
            ]
        )
        for batch in (1, 4, 16, 64):
            for heads in (8, 16, 32, 64, 128):
                for step in (1023, 2047, 4095, 8191, 16383):
                    milliseconds = 1e3 * batch * (step + 1) * 4 * 8 * 128 / (gbps * 1e9)
                    writer.writerow(
                        [
                            "generation_attention",
                            batch,
                            1,
                            step,
                            heads,
                            8,
                            128,
                            0,
                            "bfloat16",
                            milliseconds,
                        ]
                    )
    return path


def test_decode_kernels_that_are_faster_than_the_memory_are_not_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A B200 reads 7.7 TB/s: kernels at 9 TB/s came from its cache."""
    code, _, err = call(
        capsys, monkeypatch, decodes(tmp_path / "cached.csv", 9000.0), "--device", "b200-sxm"
    )
    assert code == 2
    assert "got fewer than 100 usable kernels" in err
    assert (
        call(capsys, monkeypatch, decodes(tmp_path / "read.csv", 7000.0), "--device", "b200-sxm")[0]
        == 0
    )


def test_an_engine_without_kernels_of_its_own_runs_those_of_all() -> None:
    fits = {"fp8": 1, "fp8_vllm": 2}
    assert [fit_of_engine(fits, "fp8", engine) for engine in ("vLLM", "SGLang")] == [2, 1]
    assert fit_of_engine(fits, "fp4", "vLLM") is None


def of_engines(*names: str) -> pa.Table:
    return pa.table({"engine": list(names)})


def test_the_kernels_of_the_first_engine_hold_for_those_without_any() -> None:
    table = of_engines("vllm", "sglang", "vllm", "trtllm")
    kept = {engine: (name, len(rows)) for engine, name, rows in by_engine(table, FitOptions(1))}
    assert kept == {"TensorRT-LLM": ("", 1), "SGLang": ("SGLang", 1), "vLLM": ("vLLM", 2)}


def test_one_engine_can_be_chosen() -> None:
    table = of_engines("vllm", "trtllm")
    ((engine, name, rows),) = by_engine(table, FitOptions(1, engine="vLLM"))
    assert (engine, name, len(rows)) == ("vLLM", "vLLM", 1)


def test_a_table_of_one_engine_need_not_name_it() -> None:
    ((engine, name, rows),) = by_engine(pa.table({"x": [1, 2]}), FitOptions(1, engine="SGLang"))
    assert (engine, name, len(rows)) == ("SGLang", "SGLang", 2)
