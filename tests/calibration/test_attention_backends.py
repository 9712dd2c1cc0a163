"""Constants of other attention back ends: found again in noise, and met by measured layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from cluster_sim.calibration.attention_backends import (
    BackendFit,
    TimedLayer,
    fit_backend,
    read_layers,
)
from cluster_sim.hardware.device import Device
from cluster_sim.schema import catalog_entry

MEASURED = Path(__file__).resolve().parents[3] / "shared" / "data" / "measurements_2026.csv"


def test_known_constants_are_found_again_in_noise() -> None:
    known = BackendFit(40e-6, 15e-9, 6.5e12)
    noise = np.random.default_rng(1).normal(1.0, 0.01, 48)
    shapes = [
        TimedLayer(batch, longest, 1.0)
        for longest in (1024, 2048, 8192)
        for batch in (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256)
    ]
    layers = [
        shape._replace(latency_s=known.latency_s(shape) * factor)
        for shape, factor in zip(shapes, noise, strict=True)
    ]
    assert fit_backend(layers) == approx(known, rel=0.03)


@pytest.mark.skipif(not MEASURED.exists(), reason="measurements are not in ../shared/data")
def test_the_catalog_has_the_constants_of_the_measured_layers_and_they_predict_other_lengths() -> (
    None
):
    layers = read_layers(MEASURED)
    assert len(layers) == 16
    fit = fit_backend(layers)
    kernels = Device.model_validate(catalog_entry("devices", "b200-sxm")).kernels
    assert kernels is not None
    for name in ("bf16_flashinfer", "fp8_flashinfer"):
        constants = kernels.block_generation[name]
        assert constants.key_s == approx(fit.key_s, rel=0.01)
        assert constants.bandwidth_bytes_per_s == approx(fit.bandwidth_bytes_per_s, rel=0.01)
    assert np.median(np.abs(fit.errors(layers))) < 0.025
    for longest in (1024, 2048):
        kept = [layer for layer in layers if layer.longest == longest]
        others = [layer for layer in layers if layer.longest != longest]
        assert np.median(np.abs(fit_backend(others).errors(kept))) < 0.05
