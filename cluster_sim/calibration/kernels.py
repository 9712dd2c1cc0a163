"""A table of measured kernels -> a device's kernel constants, and how well they predict kernels
they were not fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration import attention, collectives, gemm, operators
from cluster_sim.calibration.errors import Errors
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import GemmFit, KernelFits
from cluster_sim.hardware.precision import Precision
from cluster_sim.schema import Description

_GEMM_COLUMNS = ("gemm_dtype", "m", "n", "k", "latency_ms")
_ATTENTION_COLUMNS = (
    "op", "batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim", "window_size", "kv_cache_dtype", "latency_ms",
)  # fmt: skip
# What the tables call a precision, as we do, and the bytes of one weight.
_DTYPES: dict[str, tuple[Precision, float]] = {
    "bfloat16": ("bf16", 2.0),
    "bf16": ("bf16", 2.0),
    "fp8": ("fp8", 1.0),
    "nvfp4": ("fp4", 0.5625),
    "fp4": ("fp4", 0.5625),
}
_FEWEST = 100  # kernels of one kind, for five folds of a dozen constants
_FEWEST_ALIKE = 20  # the same with the constants of a similar device to lean on
# share of decode kernels faster than the memory from which a table tells of the cache, not of the
# device
_CACHED = 0.05

Fit = TypeVar("Fit", bound=Description)


@dataclass(frozen=True)
class Calibrated:
    """One kind of kernel: what it was fitted on, errors by cross-validation over shapes beside the
    naive roofline's, and the fit.
    """

    kind: str
    rows: int
    errors: Errors
    naive: Errors
    """Of peak bandwidth and peak FLOP/s, whichever is slower; of a collective, latency and
    bandwidth of the links."""
    fits: KernelFits | CollectiveFits


@dataclass(frozen=True)
class FitOptions:
    """What of a table is fitted, and how."""

    processors: int
    """Streaming multiprocessors of the device."""
    engine: str = ""
    """Whose kernels these are; the fits of an engine are kept apart, as `fp8_vllm`."""
    like: Device | None = None
    """A similar device, whose constants hold where few kernels do not tell: twenty of a kind
    suffice then, not a hundred."""
    widest_fp8: int = 10**6
    """Widest heads over an 8-bit cache that count: beyond, an engine may fall back to kernels
    several times as slow."""

    @property
    def fewest(self) -> int:
        """Kernels of one kind that a fit needs."""
        return _FEWEST if self.like is None else _FEWEST_ALIKE

    def key(self, precision: str) -> str:
        """What the fit of a precision is kept under."""
        return f"{precision}_{self.engine.lower()}" if self.engine else precision


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


def read_kernels(path: Path, system: str | None = None, collector: str = "") -> list[pa.Table]:
    """The kernels in a Parquet or CSV file, products, attention and collectives in tables of their
    own: of `system`, where the file has several, and of the collector whose `version` begins so.

    The file has the columns of aiconfigurator's tables, or those of a table of measurements
    (`operators`). Raises ScenarioError for a file that cannot be read, lacks columns, or holds no
    such rows.
    """
    import pyarrow.csv
    import pyarrow.parquet

    if not path.is_file():
        raise ScenarioError.at(str(path), "no such file")
    try:
        table = (
            pyarrow.csv.read_csv(path)
            if path.suffix in (".csv", ".gz")
            else pyarrow.parquet.read_table(path)
        )
    except (pa.ArrowInvalid, OSError) as fault:
        raise ScenarioError.at(
            str(path), f"is no table of kernels: {str(fault).splitlines()[0]}"
        ) from fault
    tables = (
        [_checked(path, table)]
        if not set(operators.COLUMNS) <= set(table.column_names)
        else operators.tables(table)
    )
    if set(collectives.MEASURED_COLUMNS) <= set(table.column_names):
        tables.append(collectives.collectives_table(table))
    chosen = [rows for rows in (_rows(path, one, system, collector) for one in tables) if len(rows)]
    if not chosen:
        raise ScenarioError.at(str(path), "holds no kernels with a time above 0")
    return chosen


def _checked(path: Path, table: pa.Table) -> pa.Table:
    kinds = {
        "size_bytes": collectives.COLUMNS,
        "gemm_dtype": _GEMM_COLUMNS,
        "op": _ATTENTION_COLUMNS,
    }
    wanted = next(
        (columns for name, columns in kinds.items() if name in table.column_names),
        _ATTENTION_COLUMNS,
    )
    if missing := [name for name in wanted if name not in table.column_names]:
        raise ScenarioError.at(
            str(path),
            f"has no column {', '.join(missing)}; wanted {', or '.join(', '.join(columns) for columns in kinds.values())}",
        )
    for name in ("latency_ms", "ranks", "size_bytes"):
        if name in table.column_names and not (
            pa.types.is_integer(kind := table.schema.field(name).type) or pa.types.is_floating(kind)
        ):
            raise ScenarioError.at(str(path), f"column {name}: came {kind}; wanted numbers")
    return table


def _rows(path: Path, table: pa.Table, system: str | None, collector: str) -> pa.Table:
    if "system" in table.column_names:
        systems = sorted(str(name) for name in pc.unique(table["system"]).to_pylist())
        if system not in systems and len(systems) > 1:
            raise ScenarioError.at(
                str(path), f"holds kernels of {', '.join(systems)}; name one with --system"
            )
        if system in systems:
            table = table.filter(pc.equal(table["system"], system))
    if collector and "version" in table.column_names:
        table = table.filter(pc.starts_with(table["version"], pattern=collector))
    return table.filter(pc.greater(table["latency_ms"], 0.0))


def calibrate(tables: list[pa.Table], device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    """Each kind of kernel in the tables with its errors and its fit, one after the other: they take
    up to half a minute each.

    A collective comes once for each number of ranks, always with the fit to all of them.
    Passed over are kinds with too few kernels (of collectives, two dozen), precisions that the
    device does not have, and decode kernels that mostly ran from the cache (one in twenty faster
    than the memory could be).
    """
    for table in tables:
        if "size_bytes" in table.column_names:
            yield from _collectives(table, device)
        elif "gemm_dtype" in table.column_names:
            yield from _products(table, device, choice)
        else:
            yield from _decode(table, device, choice)
            yield from _prefill(table, device, choice)


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
        like = _alike(choice, device, precision, lambda kernels: kernels.gemm)
        fits = KernelFits(gemm={choice.key(precision): gemm.fit_gemm(products, silicon, like=like)})
        naive = Errors.of(gemm.naive_s(products, silicon), products.seconds)
        yield Calibrated(
            f"GEMM {precision}",
            len(rows),
            gemm.cross_validate(products, silicon, like),
            naive,
            fits,
        )


def _decode(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    for precision, kernels in _attention(table, "generation_attention", choice):
        naive_s = attention.naive_generation(device, kernels)
        if np.mean(naive_s > kernels.seconds) > _CACHED:
            continue
        like = _alike(choice, device, precision, lambda kernels: kernels.generation)

        def fit(kernels: attention.AttentionKernels, like: Any = like) -> Any:
            return attention.fit_generation(kernels, like)

        errors = attention.cross_validate(kernels, fit, attention.predict_generation)
        fits = KernelFits(generation={choice.key(precision): fit(kernels)})
        yield Calibrated(
            f"generation attention {precision}",
            len(kernels),
            errors,
            Errors.of(naive_s, kernels.seconds),
            fits,
        )


def _prefill(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    for precision, kernels in _attention(table, "context_attention", choice):
        like = _alike(choice, device, precision, lambda kernels: kernels.context)

        def fit(kernels: attention.AttentionKernels, like: Any = like) -> Any:
            return attention.fit_context(kernels, device.memory.bandwidth_bytes_per_s, like)

        errors = attention.cross_validate(kernels, fit, attention.predict_context)
        fits = KernelFits(context={choice.key(precision): fit(kernels)})
        naive = Errors.of(attention.naive_context(device, kernels), kernels.seconds)
        yield Calibrated(f"context attention {precision}", len(kernels), errors, naive, fits)


def _attention(
    table: pa.Table, op: str, choice: FitOptions
) -> Iterator[tuple[Precision, attention.AttentionKernels]]:
    """The kernels of one kind by the precision of the KV cache, where there are enough.

    Prompts of one token are left out: engines run decode kernels on them. So are 16-bit queries on
    an 8-bit cache where there are 8-bit ones as well, which an engine that has them takes.
    """
    rows = table.filter(pc.equal(table["op"], op))
    if op == "context_attention":
        rows = rows.filter(pc.greater(rows["isl"], 1))
    for dtype in ("bfloat16", "fp8"):
        mine = rows.filter(pc.equal(rows["kv_cache_dtype"], dtype))
        if dtype == "fp8":
            mine = mine.filter(pc.less_equal(mine["head_dim"], choice.widest_fp8))
            if (
                "attn_dtype" in mine.column_names
                and pc.any(narrow := pc.equal(mine["attn_dtype"], "fp8")).as_py()
            ):
                mine = mine.filter(narrow)
        if len(mine) >= choice.fewest:
            yield _DTYPES[dtype][0], attention.attention_kernels(mine)


def _alike(
    choice: FitOptions,
    device: Device,
    precision: Precision,
    of: Callable[[KernelFits], Mapping[str, Fit]],
) -> Fit | None:
    """The similar device's fit of a precision, its rates times those of this device over those of
    that one.

    Where it has none for the engine, another engine's stands in, and where it has none of the
    precision, another one's does.
    """
    if choice.like is None or choice.like.kernels is None:
        return None
    fits = of(choice.like.kernels)
    if not fits:
        return None
    nearest = min(
        fits,
        key=lambda name: (
            name != choice.key(precision),
            name != precision,
            not name.startswith(precision),
        ),
    )
    fit, there, here = fits[nearest], choice.like.peak, device.peak
    memory = device.memory.bandwidth_bytes_per_s / choice.like.memory.bandwidth_bytes_per_s
    compute = here.bf16_flop_per_s / there.bf16_flop_per_s
    if isinstance(fit, GemmFit):
        compute = here.of(precision)[1] / next(
            there.of(one)[1] for one, _ in _DTYPES.values() if nearest.startswith(one)
        )
    scales = {
        "bandwidth_bytes_per_s": memory,
        "tile_bandwidth_bytes_per_s": memory,
        "compute_flop_per_s": compute,
    }
    return fit.model_copy(
        update={
            name: getattr(fit, name) * scale
            for name, scale in scales.items()
            if name in type(fit).model_fields
        }
    )


def _collectives(table: pa.Table, device: Device) -> Iterator[Calibrated]:
    for kind in collectives.KINDS:
        rows = collectives.measured(table, kind)
        if len(rows.seconds) < collectives.FEWEST:
            continue
        fits = CollectiveFits(**{kind: collectives.fit_collective(kind, rows)})
        predicted_s, naive_s = (
            collectives.cross_validate(kind, rows),
            collectives.naive_s(device, kind, rows),
        )
        for ranks in np.unique(rows.ranks):
            of = rows.ranks == ranks
            errors = [
                Errors.of(seconds[of], rows.seconds[of]) for seconds in (predicted_s, naive_s)
            ]
            yield Calibrated(f"{kind} of {ranks:.0f}", int(of.sum()), errors[0], errors[1], fits)


def with_kernels(device: Device, found: list[KernelFits | CollectiveFits]) -> dict[str, Any]:
    """The device as a file writes it, its kernels and collectives those that were found, and the
    others it had.
    """
    kernels, between = device.kernels, device.collectives
    for fits in found:
        if isinstance(fits, CollectiveFits):
            between = between.model_copy(
                update={kind: getattr(fits, kind) for kind in fits.model_fields_set}
            )
            continue
        had = kernels or KernelFits()
        kernels = KernelFits(
            gemm=had.gemm | fits.gemm,
            generation=had.generation | fits.generation,
            context=had.context | fits.context,
        )
    return device.model_copy(update={"kernels": kernels, "collectives": between}).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
