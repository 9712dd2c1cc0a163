"""Constants of whole steps, fitted on serving runs: synthetic runs give theirs back, measured ones
the catalog's errors.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster_sim.calibration.serving import errors_of, fit_serving, leave_one_configuration_out
from cluster_sim.calibration.serving_runs import ServingRow, times_s
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.efficiency import Overhead
from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import GraphPlan, ReplicaLayout
from cluster_sim.schema import catalog_entry

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "measurements.csv.gz"
B200 = Device.model_validate(catalog_entry("devices", "b200-sxm"))
LLAMA = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))


def synthetic(device: Device, noise: float, overhead: Overhead | None = None) -> list[ServingRow]:
    """Runs of one model over the grid that public benchmarks run, their times drawn around the
    device's own.
    """
    rng, rows = np.random.default_rng(4), []
    for tensor in (1, 2, 4, 8):
        steps = GpuSteps(
            LLAMA,
            device,
            ReplicaLayout(tensor_parallel=tensor, weights="fp8", kv_cache="fp8", engine="vLLM"),
        )
        for prompt, output in ((921.6, 921.6), (921.6, 7372.8), (7372.8, 921.6)):
            for clients in (4, 16, 64, 128):
                row = ServingRow(
                    f"TP{tensor} {prompt}/{output}",
                    LLAMA,
                    tensor,
                    "fp8",
                    "fp8",
                    "vLLM",
                    clients,
                    prompt,
                    output,
                    8192,
                    1.0,
                )
                token_s, first_s, _ = times_s(steps, row, overhead or device.overhead("vLLM"))
                spread = np.exp(noise * rng.standard_normal(2))
                rows.append(replace(row, tpot_s=token_s * spread[0], ttft_s=first_s * spread[1]))
    return rows


def blurred(device: Device) -> Device:
    """The device with constants that are wrong by a fifth to a half."""
    overhead = device.overhead("vLLM").model_copy(
        update={
            "request_s": 0.02, "step_s": 5e-4, "eager_layer_s": 4e-4, "collective": 1.5, "attention": 1.4, "launch_overlap": 0.5,
            "gemm": device.overhead("vLLM").gemm.model_copy(update={"fp8": 0.8}),
        }
    )  # fmt: skip
    return device.model_copy(update={"overheads": device.overheads | {"vLLM": overhead}})


def test_runs_give_back_the_constants_that_made_them() -> None:
    rows = synthetic(B200, noise=0.02)
    fitted = fit_serving(blurred(B200), rows)
    assert np.median(np.abs(fitted.tpot_errors)) < 0.02
    assert np.median(np.abs(fitted.ttft_errors)) < 0.03
    found, true = fitted.device.overhead("vLLM"), B200.overhead("vLLM")
    assert found.gemm.of("fp8") == pytest.approx(true.gemm.of("fp8"), rel=0.1)
    assert found.attention == pytest.approx(true.attention, rel=0.1)
    assert found.collective == pytest.approx(true.collective, rel=0.15)
    assert found.eager_layer_s == pytest.approx(true.eager_layer_s, rel=0.1)


@pytest.mark.slow
def test_releases_have_constants_of_their_own_and_the_rest_of_the_release_before() -> None:
    """Only the front end differs; attention, which every run tells, is the same."""
    host = {"accept_s": 5e-3, "prompt_token_s": 6e-6}
    later = B200.overhead("vLLM").model_copy(update=host)
    device = B200.model_copy(update={"overheads": B200.overheads | {"vLLM 0.15": later}})
    before = synthetic(device, noise=0.01)
    rows = before + [replace(row, engine="vLLM 0.15") for row in synthetic(device, 0.01, later)]
    begin = blurred(device)
    begin.overheads["vLLM 0.15"] = begin.overhead("vLLM")
    fitted = fit_serving(begin, rows).device
    found = fitted.overhead("vLLM 0.15")
    for name, value in host.items():
        assert getattr(found, name) == pytest.approx(value, rel=0.25), name
    assert found.attention == pytest.approx(fitted.overhead("vLLM").attention, rel=0.05)
    assert fitted.overhead("vLLM").accept_s < 3e-3


def test_runs_with_small_prompts_give_back_the_launches_of_piecewise_graphs() -> None:
    """Prompts of 100 and 300 tokens beside a few clients run in pieces of up to 512 tokens."""
    known = {"piecewise_layer_s": 250e-6, "piece_s": 12e-6}
    overhead = B200.overhead("vLLM").model_copy(update=known)
    device = B200.model_copy(update={"overheads": B200.overheads | {"vLLM": overhead}})
    graphs = GraphPlan((1, 2, 4, 8, 16, 32, 64), (), tuple(range(16, 513, 16)))
    rows = []
    for tensor in (1, 8):
        for prompt, clients in ((100, 4), (100, 32), (300, 4), (300, 64)):
            row = ServingRow(
                "runs", LLAMA, tensor, "fp8", "fp8", "vLLM", clients, prompt, 100, 8192, 1.0
            )
            row = replace(row, graphs=graphs)
            token_s, first_s, _ = times_s(GpuSteps(LLAMA, device, row.layout), row, overhead)
            rows.append(replace(row, tpot_s=token_s, ttft_s=first_s))
    found = fit_serving(B200, rows).device.overhead("vLLM")
    assert found.piecewise_layer_s == pytest.approx(250e-6, rel=0.05)
    assert found.piece_s is not None
    assert 1e-6 < found.piece_s < 5e-5


def test_shares_of_the_peaks_are_fitted_where_no_kernels_were_measured() -> None:
    assert B200.efficiency is not None
    plain = B200.model_copy(update={"kernels": None})
    wrong = {
        "weight_bandwidth": B200.efficiency.weight_bandwidth.model_copy(update={"fp8": 0.5}),
        "kv_bandwidth": 0.6,
    }
    blurry = plain.model_copy(update={"efficiency": B200.efficiency.model_copy(update=wrong)})
    fitted = fit_serving(blurry, synthetic(plain, noise=0.02))
    assert np.median(np.abs(fitted.tpot_errors)) < 0.02
    assert fitted.device.efficiency is not None
    assert fitted.device.efficiency.weight_bandwidth.of("fp8") == pytest.approx(
        B200.efficiency.weight_bandwidth.of("fp8"), rel=0.1
    )


def test_what_the_runs_do_not_tell_stays() -> None:
    start = blurred(B200)
    fitted = fit_serving(start, synthetic(B200, noise=0.02))
    assert fitted.device.overhead("TensorRT-LLM") == start.overhead("TensorRT-LLM")
    assert fitted.device.overhead("vLLM").gemm.fp4 == start.overhead("vLLM").gemm.fp4
    assert start.efficiency is not None and fitted.device.efficiency is not None
    assert fitted.device.efficiency.expert_compute == start.efficiency.expert_compute


@pytest.mark.slow
def test_configurations_left_out_are_predicted_by_the_others() -> None:
    tpot, ttft = leave_one_configuration_out(blurred(B200), synthetic(B200, noise=0.02))
    assert np.median(np.abs(tpot)) < 0.03
    assert np.median(np.abs(ttft)) < 0.05


def test_a_wafer_and_an_empty_table_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a GPU and at least one run"):
        fit_serving(B200, [])
    with pytest.raises(ValueError, match="expected a GPU and at least one run"):
        fit_serving(
            Device.model_validate(catalog_entry("devices", "wse-3")), synthetic(B200, 0.0)[:1]
        )


@pytest.mark.slow
@pytest.mark.skipif(
    not DATA.is_file(),
    reason="the measured runs are not part of the project: ../shared/data/measurements.csv.gz is absent",
)
@pytest.mark.parametrize(
    ("hardware", "device", "tpot", "ttft"),
    [
        ("B200", "b200-sxm", 0.035, 0.13),
        ("H200", "h200-sxm", 0.036, 0.125),
        ("H100", "h100-sxm", 0.025, 0.1),
    ],
)
def test_the_catalog_s_constants_are_the_fit_to_the_measured_runs(
    hardware: str, device: str, tpot: float, ttft: float
) -> None:
    """Median errors in sample; fitting again from where the catalog stands gains little."""
    from cluster_sim.validation import read_measurements, serving_rows

    rows = serving_rows(read_measurements(DATA).runs, hardware)
    assert len(rows) > 50
    catalog = Device.model_validate(catalog_entry("devices", device))
    tpot_errors, ttft_errors = errors_of(catalog, rows)
    assert np.median(np.abs(tpot_errors)) < tpot
    assert np.nanmedian(np.abs(ttft_errors)) < ttft
    again = fit_serving(catalog, rows)
    assert np.median(np.abs(again.tpot_errors)) > np.median(np.abs(tpot_errors)) - 0.01
