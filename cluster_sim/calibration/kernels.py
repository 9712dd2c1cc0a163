"""Constants of a device's kernels, fitted to tables of measured kernels.

Each fit has errors on kernels outside of the fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration import attention, collectives, gemm
from cluster_sim.calibration.calibrated import Calibrated, DeviceFits
from cluster_sim.calibration.columns import numbers
from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.exchanges import calibrate_exchanges
from cluster_sim.calibration.experts import calibrate_experts
from cluster_sim.calibration.fit_options import DTYPES, FitOptions
from cluster_sim.calibration.latent_attention import calibrate_latent, calibrate_latent_products
from cluster_sim.calibration.linear_attention import calibrate_linear
from cluster_sim.calibration.similar_device import alike_attention, alike_gemm
from cluster_sim.calibration.sparse_attention import calibrate_sparse
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import KernelFits
from cluster_sim.hardware.precision import Precision

_CACHED = 0.05
"""Share of decode kernels faster than the memory above which a table counts as measured from the
cache."""


def processors_of(device: Device, tables: Sequence[pa.Table]) -> int:
    """Return the number of streaming multiprocessors; 1 if the tables do not need it.

    Parameters
    ----------
    device
        GPU, whose fits of products give the number if it has some.
    tables
        Tables of measured kernels.

    Returns
    -------
    int
        Number of streaming multiprocessors.

    Raises
    ------
    ScenarioError
        A table has matrix products or experts, and the file of the device does not give the number.
    """
    if device.kernels is not None and device.kernels.gemm:
        return next(iter(device.kernels.gemm.values())).processors
    if any({"gemm_dtype", "moe_dtype"} & set(rows.column_names) for rows in tables):
        raise ScenarioError.at(
            "--processors",
            f"is missing; expected the number of streaming multiprocessors, which the file of {device.name} does not give",
        )
    return 1


def calibrate(tables: list[pa.Table], device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    """Yield the errors and the fit of each kind of kernel in the tables.

    A kind takes up to half a minute. A collective appears once per number of ranks, always with the
    fit to all numbers. The following are skipped: kinds with too few kernels (two dozen for
    collectives), precisions that the device does not have, and decode kernels that mostly ran from
    the cache (more than one in twenty is faster than the memory allows).

    Parameters
    ----------
    tables
        Tables of measured kernels, see `read_kernels`.
    device
        Device of the measurements.
    choice
        Options that select the kernels of each fit.

    Yields
    ------
    Calibrated
        Fit of one kind of kernel, with its errors.
    """
    for table in tables:
        if "size_bytes" in table.column_names:
            yield from _collectives(table, device)
        elif "exchange" in table.column_names:
            yield from calibrate_exchanges(table, device, choice.processors)
        elif "gemm_dtype" in table.column_names:
            yield from _products(table, device, choice)
        elif "mla_dtype" in table.column_names:
            yield from calibrate_latent(table, device, choice)
        elif "bmm_dtype" in table.column_names:
            yield from calibrate_latent_products(table, device, choice)
        elif "phase" in table.column_names:
            yield from calibrate_linear(table, device, choice)
        elif "moe_dtype" in table.column_names:
            yield from calibrate_experts(table, device, choice)
        elif "architecture" in table.column_names:
            yield from calibrate_sparse(table, device, choice)
        else:
            yield from _decode(table, device, choice)
            yield from _prefill(table, device, choice)


def with_kernels(device: Device, new_fits: Iterable[DeviceFits]) -> dict[str, Any]:
    """Return the content of the device's file, with new fits replacing old ones of each kind.

    Parameters
    ----------
    device
        Device whose content is changed.
    new_fits
        New fits.

    Returns
    -------
    dict
        Content of a device file.
    """
    kernels, between, exchanges = device.kernels, device.collectives, device.exchanges
    for fits in new_fits:
        between = between.updated(fits.collectives)
        exchanges = exchanges.updated(fits.exchanges)
        if fits.kernels.model_fields_set:
            kernels = (kernels or KernelFits()).updated(fits.kernels)
    fitted = {"kernels": kernels, "collectives": between, "exchanges": exchanges}
    return device.model_copy(update=fitted).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )


def _products(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    for dtype, (precision, element_bytes) in DTYPES.items():
        rows = table.filter(pc.equal(table["gemm_dtype"], dtype))
        own, peak = device.peak.of(precision)
        if len(rows) < choice.fewest or own != precision:
            continue
        m, n, k, milliseconds = (numbers(rows, name) for name in ("m", "n", "k", "latency_ms"))
        products = gemm.Products(m, n, k, milliseconds * 1e-3)
        silicon = gemm.Silicon(
            element_bytes, peak, device.memory.bandwidth_bytes_per_s, choice.processors
        )
        like = alike_gemm(choice, device, precision)
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
        like = alike_attention(choice, device, precision, lambda fits: fits.generation)

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
        like = alike_attention(choice, device, precision, lambda fits: fits.context)

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
    """Yield the kernels of one kind, by precision of the KV cache, if there are enough of them.

    Prompts of one token are omitted, because engines run decode kernels for them. 16-bit queries on
    an 8-bit cache are omitted if there are 8-bit queries too, because engines prefer those.
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
            yield DTYPES[dtype][0], attention.attention_kernels(cached)


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
