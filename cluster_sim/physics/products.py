"""Matrix products with the weights of one layer on one device, as an engine runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import GemmFit, fit_of_engine
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WeightPart
from cluster_sim.physics.gemm import GemmTimes
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.systolic import utilisation


class Product(NamedTuple):
    """A matrix product with the weights of one layer on one device."""

    seconds: Callable[[int], float]
    """Function from a number of tokens, at least one, to the time of the product [s]."""
    bound_tokens: float
    """Number of tokens up to which reading the weights takes longer than computing, by the data
    sheet."""


class WeightShape(NamedTuple):
    """Weights of one product on one device."""

    part: WeightPart
    """Part of the model to which the weights belong."""
    outputs: float
    inputs: float


def product_of(model: Model, device: Device, layout: ReplicaLayout, shape: WeightShape) -> Product:
    """Return the product with some of a model's weights, in their stored precision.

    The time is that of the device's measured kernel. Without a measurement, it is the rounded
    maximum of reading the weights and computing, at shares of the data sheet's peaks.
    """
    assert device.efficiency is not None
    part, outputs, inputs = shape
    precision = model.stored_in(layout.weights, part)
    computed = model.computed_in(layout.weights, part)
    compute_in, peak = device.peak.of(computed)
    bandwidth = device.fast_memory.bandwidth_bytes_per_s
    stored = model.bytes_per_parameter(layout.weights, part)
    bound_tokens = stored / bandwidth / (2.0 / peak)
    overhead, efficiency = device.overhead(layout.engine), device.efficiency
    relative = overhead.gemm.of(precision)
    # kernels were measured with formats that are multiplied in their stored precision
    fit = _fit(device, precision, layout.engine) if computed == precision else None
    if fit is not None:
        alone_s = GemmTimes.of(fit, outputs, inputs)
        hidden_s = overhead.launch_overlap * fit.launch_s
        return Product(lambda tokens: relative * (alone_s(tokens) - hidden_s), bound_tokens)
    read_s = (
        relative
        * outputs
        * inputs
        * stored
        / (efficiency.weight_bandwidth.of(precision) * bandwidth)
    )
    token_s = relative * 2.0 * outputs * inputs / (efficiency.compute.of(compute_in) * peak)
    knee = efficiency.knee
    if (unit := device.systolic) is not None:
        # reading limits no product if loading the arrays takes longer than reading what is loaded
        waits = bound_tokens < (unit.load_cycles or unit.rows)
        return Product(
            lambda tokens: rounded_max(
                read_s, token_s * tokens / utilisation(unit, tokens, outputs, inputs), knee
            ),
            0.0 if waits else bound_tokens,
        )
    return Product(lambda tokens: rounded_max(read_s, token_s * tokens, knee), bound_tokens)


def _fit(device: Device, precision: Precision, engine: str) -> GemmFit | None:
    if device.kernels is None:
        return None
    return fit_of_engine(device.kernels.gemm, precision, engine)


def rounded_max(one_s: float, other_s: float, sharpness: float) -> float:
    """Return the p-norm of two times with p = `sharpness` [s].

    It is the larger time if the two differ much, and at most 2^(1/p) times the larger one if they
    are equal.

    >>> rounded_max(3.0, 4.0, 2.0), rounded_max(0.0, 4.0, 2.0)
    (5.0, 4.0)
    """
    larger, smaller = (one_s, other_s) if one_s > other_s else (other_s, one_s)
    if not larger:
        return 0.0
    norm: float = larger * (1.0 + (smaller / larger) ** sharpness) ** (1.0 / sharpness)
    return norm
