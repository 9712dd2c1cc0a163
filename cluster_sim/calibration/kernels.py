"""Constants of a device's kernels, fitted to tables of measured kernels.

Each fit comes with its errors on kernels that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration import attention, collectives, gemm
from cluster_sim.calibration.errors import Errors
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import GemmFit, KernelFit, KernelFits, fit_name
from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.hardware.precision import Precision

_DTYPES: dict[str, tuple[Precision, float]] = {
    "bfloat16": ("bf16", 2.0),
    "bf16": ("bf16", 2.0),
    "fp8": ("fp8", 1.0),
    "nvfp4": ("fp4", 0.5625),
    "fp4": ("fp4", 0.5625),
}
"""Precision and bytes per weight by the names of the tables."""
_FEWEST = 100
"""Number of kernels of one kind for five folds of a dozen constants."""
_FEWEST_ALIKE = 20
"""Number of kernels of one kind with the constants of a similar device to lean on."""
_CACHED = 0.05
"""Share of decode kernels faster than the memory from which a table tells of the cache."""

Fit = TypeVar("Fit", bound=KernelFit)


class DeviceFits(NamedTuple):
    """Fits of some kinds of kernels of a device."""

    kernels: KernelFits = KernelFits()
    collectives: CollectiveFits = CollectiveFits()


@dataclass(frozen=True)
class Calibrated:
    """Fit of one kind of kernel, with its errors by cross-validation over shapes."""

    kind: str
    rows: int
    """Number of kernels that it was fitted to."""
    errors: Errors
    naive: Errors
    """Errors of a roofline: peak bandwidth and peak FLOP/s, whichever is slower; of a collective,
    latency and bandwidth of the links."""
    fits: DeviceFits


@dataclass(frozen=True)
class FitOptions:
    """Choice of the kernels of a table that are fitted, and how."""

    processors: int
    """Number of streaming multiprocessors of the device."""
    engine: str = ""
    """Engine whose kernels these are; its fits are kept apart, as `fp8_vllm`."""
    like: Device | None = None
    """Similar device, whose constants hold where few kernels do not tell: twenty of a kind suffice
    then, not a hundred."""
    widest_fp8: int = 10**6
    """Widest heads over an 8-bit cache that count: beyond, an engine may fall back to kernels
    several times as slow."""

    @property
    def fewest(self) -> int:
        """Number of kernels of one kind that a fit needs."""
        return _FEWEST if self.like is None else _FEWEST_ALIKE

    def key(self, precision: str) -> str:
        """Return the name under which the fit of a precision is kept."""
        return fit_name(precision, self.engine)


def processors_of(device: Device, tables: Sequence[pa.Table]) -> int:
    """Return the streaming multiprocessors of a device; 1 where the tables need no such number.

    Raises
    ------
    ScenarioError
        A table has matrix products, and the device's file does not say how many there are.
    """
    if device.kernels is not None and device.kernels.gemm:
        return next(iter(device.kernels.gemm.values())).processors
    if any("gemm_dtype" in rows.column_names for rows in tables):
        raise ScenarioError.at(
            "--processors", f"is missing: the file of {device.name} does not say how many it has"
        )
    return 1


def calibrate(tables: list[pa.Table], device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    """Yield the errors and the fit of each kind of kernel in the tables.

    They take up to half a minute each. A collective comes once per number of ranks, always with the
    fit to all of them. Passed over are kinds with too few kernels (of collectives, two dozen),
    precisions that the device does not have, and decode kernels that mostly ran from the cache (one
    in twenty faster than the memory could be).
    """
    for table in tables:
        if "size_bytes" in table.column_names:
            yield from _collectives(table, device)
        elif "gemm_dtype" in table.column_names:
            yield from _products(table, device, choice)
        else:
            yield from _decode(table, device, choice)
            yield from _prefill(table, device, choice)


def with_kernels(device: Device, found: Iterable[DeviceFits]) -> dict[str, Any]:
    """Return the device as a file has it, with new fits in place of the same kinds of its own."""
    kernels, between = device.kernels, device.collectives
    for fits in found:
        between = between.updated(fits.collectives)
        if fits.kernels.model_fields_set:
            kernels = (kernels or KernelFits()).updated(fits.kernels)
    return device.model_copy(update={"kernels": kernels, "collectives": between}).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )


def _products(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    for dtype, (precision, element_bytes) in _DTYPES.items():
        rows = table.filter(pc.equal(table["gemm_dtype"], dtype))
        own, peak = device.peak.of(precision)
        if len(rows) < choice.fewest or own != precision:
            continue
        m, n, k, milliseconds = (
            np.asarray(rows[name].to_numpy(), dtype=float) for name in ("m", "n", "k", "latency_ms")
        )
        products = gemm.Products(m, n, k, milliseconds * 1e-3)
        silicon = gemm.Silicon(
            element_bytes, peak, device.memory.bandwidth_bytes_per_s, choice.processors
        )
        like = _alike_gemm(choice, device, precision)
        fit = gemm.fit_gemm(products, silicon, like=like)
        yield Calibrated(
            f"GEMM {precision}",
            len(rows),
            gemm.cross_validate(products, silicon, like),
            Errors.of(gemm.naive_s(products, silicon), products.seconds),
            DeviceFits(kernels=KernelFits(gemm={choice.key(precision): fit})),
        )


def _decode(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    for precision, kernels in _attention(table, "generation_attention", choice):
        naive_s = attention.naive_generation(device, kernels)
        if np.mean(naive_s > kernels.seconds) > _CACHED:
            continue
        like = _alike_attention(choice, device, precision, lambda fits: fits.generation)

        def fit(kernels: attention.AttentionKernels, like: Any = like) -> Any:
            return attention.fit_generation(kernels, like)

        yield Calibrated(
            f"generation attention {precision}",
            len(kernels),
            attention.cross_validate(kernels, fit, attention.predict_generation),
            Errors.of(naive_s, kernels.seconds),
            DeviceFits(kernels=KernelFits(generation={choice.key(precision): fit(kernels)})),
        )


def _prefill(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    for precision, kernels in _attention(table, "context_attention", choice):
        like = _alike_attention(choice, device, precision, lambda fits: fits.context)

        def fit(kernels: attention.AttentionKernels, like: Any = like) -> Any:
            return attention.fit_context(kernels, device.memory.bandwidth_bytes_per_s, like)

        yield Calibrated(
            f"context attention {precision}",
            len(kernels),
            attention.cross_validate(kernels, fit, attention.predict_context),
            Errors.of(attention.naive_context(device, kernels), kernels.seconds),
            DeviceFits(kernels=KernelFits(context={choice.key(precision): fit(kernels)})),
        )


def _attention(
    table: pa.Table, op: str, choice: FitOptions
) -> Iterator[tuple[Precision, attention.AttentionKernels]]:
    """Yield the kernels of one kind by the precision of the KV cache, where there are enough.

    Prompts of one token are left out: engines run decode kernels on them. So are 16-bit queries on
    an 8-bit cache where there are 8-bit ones as well, which an engine that has them takes.
    """
    rows = table.filter(pc.equal(table["op"], op))
    if op == "context_attention":
        rows = rows.filter(pc.greater(rows["isl"], 1))
    for dtype in ("bfloat16", "fp8"):
        cached = rows.filter(pc.equal(rows["kv_cache_dtype"], dtype))
        if dtype == "fp8":
            cached = cached.filter(pc.less_equal(cached["head_dim"], choice.widest_fp8))
            if (
                "attn_dtype" in cached.column_names
                and pc.any(narrow := pc.equal(cached["attn_dtype"], "fp8")).as_py()
            ):
                cached = cached.filter(narrow)
        if len(cached) >= choice.fewest:
            yield _DTYPES[dtype][0], attention.attention_kernels(cached)


def _alike_gemm(choice: FitOptions, device: Device, precision: Precision) -> GemmFit | None:
    """Return the similar device's fit of products, its rates scaled to this device."""
    nearest = _nearest(choice, precision, lambda fits: fits.gemm)
    if nearest is None or choice.like is None:
        return None
    name, fit = nearest
    fitted = next(own for own, _ in _DTYPES.values() if name.startswith(own))
    compute = device.peak.of(precision)[1] / choice.like.peak.of(fitted)[1]
    return _scaled(fit, choice.like, device, compute)


def _alike_attention(
    choice: FitOptions,
    device: Device,
    precision: Precision,
    of: Callable[[KernelFits], Mapping[str, Fit]],
) -> Fit | None:
    """Return the similar device's fit of attention, its rates scaled to this device."""
    nearest = _nearest(choice, precision, of)
    if nearest is None or choice.like is None:
        return None
    compute = device.peak.bf16_flop_per_s / choice.like.peak.bf16_flop_per_s
    return _scaled(nearest[1], choice.like, device, compute)


def _nearest(
    choice: FitOptions, precision: Precision, of: Callable[[KernelFits], Mapping[str, Fit]]
) -> tuple[str, Fit] | None:
    """Return the name and the fit of the similar device that come nearest to what is fitted.

    Where it has none for the engine, another engine's stands in, and where it has none of the
    precision, another one's does.
    """
    fits = of(choice.like.kernels) if choice.like and choice.like.kernels else {}
    if not fits:
        return None
    name = min(
        fits,
        key=lambda name: (
            name != choice.key(precision),
            name != precision,
            not name.startswith(precision),
        ),
    )
    return name, fits[name]


def _scaled(fit: Fit, there: Device, here: Device, compute: float) -> Fit:
    """Return a fit with its rates scaled from one device to another, computing by `compute`."""
    memory = here.memory.bandwidth_bytes_per_s / there.memory.bandwidth_bytes_per_s
    scales = {
        "bandwidth_bytes_per_s": memory,
        "tile_bandwidth_bytes_per_s": memory,
        "compute_flop_per_s": compute,
    }
    return scaled_by(fit, scales)


def _collectives(table: pa.Table, device: Device) -> Iterator[Calibrated]:
    for kind in collectives.KINDS:
        rows = collectives.measured(table, kind)
        if len(rows.seconds) < collectives.FEWEST:
            continue
        fits = CollectiveFits(**{kind: collectives.fit_collective(kind, rows)})
        predicted_s = collectives.cross_validate(kind, rows)
        naive_s = collectives.naive_s(device, kind, rows)
        for ranks in np.unique(rows.ranks):
            alike = rows.ranks == ranks
            errors, naive = (
                Errors.of(seconds[alike], rows.seconds[alike]) for seconds in (predicted_s, naive_s)
            )
            yield Calibrated(
                f"{kind} of {ranks:.0f}",
                int(alike.sum()),
                errors,
                naive,
                DeviceFits(collectives=fits),
            )
