"""Times of the projections in measured blocks, according to this project's fits."""

from __future__ import annotations

import numpy as np

from cluster_sim.calibration.sparse_blocks import Layer, ProductsSeconds
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import fit_of_engine
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.gemm import gemms_s, laid_out
from cluster_sim.typing import Array

_PRODUCTS_OF = {"SGLang": "vLLM"}
"""Engine whose products stand in for those of another engine. Both engines run DeepGEMM, FlashInfer
and CUTLASS, and no separate measurements of SGLang are published."""


def block_products(device: Device, engine: str) -> ProductsSeconds:
    """Return the function from a layer, a precision and tokens to the time of its projections [s].

    The share of every launch that the engine hides is subtracted. If the precision has no fit, the
    times are NaN.
    """
    fits = device.kernels.gemm if device.kernels is not None else {}
    hidden = device.overhead(engine).launch_overlap

    def products_s(layer: Layer, precision: Precision, tokens: Array) -> Array:
        fit = fit_of_engine(fits, precision, _PRODUCTS_OF.get(engine, engine))
        seconds = np.full(len(tokens), np.nan)
        if fit is not None:
            shapes = layer.products()
            seconds = np.sum(
                [
                    gemms_s(fit, laid_out(tokens, n, k, fit.element_bytes, fit.processors))
                    for n, k in shapes
                ],
                axis=0,
            )
            seconds -= len(shapes) * hidden * fit.launch_s
        return seconds

    return products_s
