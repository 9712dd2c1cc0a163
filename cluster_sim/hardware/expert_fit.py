"""Constants of the grouped products of routed experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from cluster_sim.hardware.engine_releases import maker
from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.hardware.precision import Precision
from cluster_sim.typing import Count
from cluster_sim.units import BytesPerSecond, FlopPerSecond, PositiveBytes, PositiveSeconds, Seconds

Used = Literal[
    "always",
    "one_group",
    "several_groups",
    "beside_fp8",
    "deepep_normal",
    "deepep_low_latency",
    "by_option",
]
"""Condition for using a kernel.

always: for every layout. one_group, several_groups: if each device holds parts of all experts, or
if groups of devices hold different experts. beside_fp8: for models whose other weights have 8 bit,
instead of the kernels that are always used. deepep_normal, deepep_low_latency: with this exchange
of tokens, instead of the kernels that are always used. by_option: only if an option of the engine
names the kernel; no run uses it.
"""


Tiles = Literal["best", "by_copies"]
"""Rule for the number of rows per tile.

best: the number that is fastest. by_copies: the number of copies of tokens per slot, rounded up to
a power of two, even if most copies belong to other groups.
"""


class ExpertFit(KernelFit):
    """Time of the routed experts of one layer on one device, one fit per kernel.

    The time includes routing, gathering the inputs, quantising them, both grouped products, the
    activation and the weighted sum. `physics.grouped_products` combines the constants.
    """

    kernel: str
    """Name of the measured kernel."""
    computed_in: Precision
    """Precision in which the products are computed, such as bf16 for 4-bit integers."""
    used: Used = "always"
    """Condition for using the kernel. If several kernels can be used, the fastest one counts."""
    gated: bool | None = None
    """Whether the kernel is for experts with a gate. Default: it is for experts with and without a
    gate."""
    tiles: Tiles = "best"
    """Rule for the number of rows per tile."""
    processors: Count
    """Number of streaming multiprocessors."""
    weight_bytes: PositiveBytes
    """Size of one weight including its share of the scales [B]."""
    launch_s: PositiveSeconds
    """Time of the kernels without rows [s]."""
    groups_s: Seconds = 0.0
    """Additional time of the kernels if several groups hold different experts [s]."""
    slot_s: Seconds
    """Time per slot of the device, with or without rows [s]."""
    expert_s: Seconds
    """Time per expert with rows, in addition to reading its weights [s]."""
    copy_s: Seconds
    """Time per copy of a token, including copies for experts of other groups [s]."""
    copy_inner_s: Seconds
    """Time per copy of a token and value of an expert's width on the device [s]."""
    token_hidden_s: Seconds
    """Time per token and value of its hidden state [s]: quantising, summing."""
    row_hidden_s: Seconds
    """Time per row and value of its hidden state [s]: gathering, storing."""
    row_inner_s: Seconds
    """Time per row and value of an expert's width on the device [s]: activation."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which the weights of the experts with rows are read [B/s]."""
    crowded: Annotated[float, Field(gt=0.0)]
    """Factor on the time of reading if there are more tokens than slots, for which engines choose
    other tiles."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate with any number of tiles [FLOP/s]."""
    overlap: Annotated[float, Field(ge=1.0)]
    """Exponent of the norm that combines reading and computing. With 1 they do not overlap."""
    tile_overhead: Annotated[float, Field(ge=0.0)]
    """Cost of a tile per input in addition to its elements [elements]."""
    tile_s: Seconds
    """Time per tile, independent of the number of inputs [s]."""


def expert_fits(
    fits: Mapping[str, ExpertFit], number_format: str, engine: str
) -> dict[str, ExpertFit]:
    """Return the fits of an engine's kernels for experts in a format, by key.

    A key is `FORMAT`, or `FORMAT.KERNEL` for a further kernel, and ends with `_ENGINE` for the
    engine's own kernels. A release without fits has those of its engine, and an engine without
    fits has those for all engines.

    Examples
    --------
    >>> sorted(expert_fits(dict.fromkeys(("fp8", "fp8.wide", "fp8_vllm", "fp8_block")), "fp8", ""))
    ['fp8', 'fp8.wide']
    """
    for name in (engine, maker(engine), ""):
        suffix = f"_{name.lower()}" if name else ""
        own = {key: fit for key, fit in fits.items() if _is_of(key, number_format, suffix)}
        if own:
            return own
    return {}


class ExpertUse(NamedTuple):
    """Facts that decide which kernels an engine uses for experts."""

    groups: int = 1
    """Number of groups of devices that hold different experts."""
    gated: bool = True
    """Whether the experts have a gate."""
    beside_fp8: bool = False
    """Whether other weights of the model have 8 bit."""
    exchange: str = ""
    """Kind of exchange of tokens between the groups; empty without one."""


def used_fits(fits: Mapping[str, ExpertFit], use: ExpertUse) -> tuple[ExpertFit, ...]:
    """Return the fits of the kernels that an engine can use.

    Parameters
    ----------
    fits
        Fits of the engine's kernels for the format of the experts, see `expert_fits`.
    use
        Layout and model for which the kernels are used.
    """
    possible = [fit for fit in fits.values() if fit.gated in (None, use.gated)]
    for name in (use.exchange, "beside_fp8" if use.beside_fp8 else ""):
        if special := tuple(fit for fit in possible if fit.used == name):
            return special
    by_groups = "one_group" if use.groups == 1 else "several_groups"
    return tuple(fit for fit in possible if fit.used in ("always", by_groups))


def _is_of(key: str, number_format: str, suffix: str) -> bool:
    if not key.endswith(suffix):
        return False
    kind, _, kernel = key.removesuffix(suffix).partition(".")
    return kind == number_format and "_" not in kernel
