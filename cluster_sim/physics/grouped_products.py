"""Time of the routed experts of one layer on one device, from measured kernels.

The experts are grouped products: each expert with rows multiplies its rows with its own weights.
A row is a copy of a token for one expert on the device. The formula includes routing, gathering,
quantising, the activation and the weighted sum, because kernels were measured with them.

Range of the measurements: hidden states of 1,024 to 8,192 values, 8 to 896 experts of 704 to
16,384 values, split over up to 32 devices, in up to 64 groups; 1 to 16,384 tokens of all groups.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from cluster_sim.hardware.expert_fit import ExpertFit
from cluster_sim.typing import Number

TILE_ROWS = (8, 16, 32, 64, 128, 256)
"""Possible numbers of rows per tile of the output."""
TILE_COLUMNS = 128
"""Number of columns per tile of the output."""


class ExpertShape(NamedTuple):
    """Experts of one layer on one device; numbers, or arrays of one value per kernel."""

    hidden: Number
    """Number of values of a hidden state."""
    inner: Number
    """Number of values of an expert's width on the device."""
    matrices: Number
    """Number of matrices of an expert: 3 with a gate, 2 without."""
    slots: Number
    """Number of experts on the device."""
    groups: Number = 1
    """Number of groups of devices that hold different experts."""


class ExpertRows(NamedTuple):
    """Rows of one step on one device; numbers, or arrays of one value per kernel."""

    tokens: Number
    """Number of tokens that the device routes."""
    copies: Number
    """Number of copies of these tokens, for experts of all groups."""
    rows: Number
    """Number of copies for experts of the device."""
    active: Number
    """Number of experts of the device with rows."""
    tiles: tuple[Number, ...]
    """Number of tiles over the rows of all experts, for each number in `TILE_ROWS`."""


def expected_tiles(rows: Number, active: Number) -> tuple[Number, ...]:
    """Return the numbers of tiles over `rows` that are distributed over experts at random.

    An expert has at least one tile. With more rows, half of its last tile is empty on average.

    >>> expected_tiles(1024.0, 2.0)[-1]  # 512 rows per expert are two tiles of 256 and a half
    5.0
    """
    return tuple(_larger(active, rows / size + 0.5 * active) for size in TILE_ROWS)


def grouped_s(fit: ExpertFit, shape: ExpertShape, load: ExpertRows) -> Number:
    """Return the time of the experts of one layer on one device [s].

        t = launch + [groups > 1] groups_time + slots slot + active expert + (read^o + busy^o)^(1/o)
            + copies (copy + inner copy_inner) + tokens hidden token_hidden
            + rows (hidden row_hidden + inner row_inner)
        read = active matrices hidden inner weight_bytes / bandwidth, times `crowded` if there are
            more tokens than slots
        busy = min over the tile sizes of
                 waves((matrices - 1) inner) (hidden (128 size + tile_overhead) c + tile)
               + waves(hidden) (inner (128 size + tile_overhead) c + tile)
        waves(columns) = max(1, tiles columns / 128 / processors),  c = 2 processors / compute

    with o = overlap. The first product has (matrices - 1) inner columns and `hidden` inputs, the
    second `hidden` columns and `inner` inputs. With `tiles: by_copies` the size is given by copies
    per slot instead of the minimum. Weights of an expert are read once, in parallel with computing.

    Source: roofline as in Williams, Waterman, Patterson, CACM 52(4), 2009; grouped products as in
    NVIDIA CUTLASS, "Grouped GEMM"; sizes of tiles as in FlashInfer and TensorRT-LLM
    (`tile_tokens_dim` of trtllm_fused_moe), which round rows per expert up to a power of two.

    Parameters
    ----------
    fit
        Constants of the kernel.
    shape
        Experts on the device; may hold arrays.
    load
        Rows of the step; may hold arrays.

    Returns
    -------
    Number
        Time [s], of the shape of the arrays.
    """
    read_s = _read_s(fit, shape, load)
    busy_s = _busy_s(fit, shape, load)
    longer_s = _larger(read_s, busy_s)
    both_s = longer_s * (
        (read_s / longer_s) ** fit.overlap + (busy_s / longer_s) ** fit.overlap
    ) ** (1.0 / fit.overlap)
    passes_s = (
        load.copies * (fit.copy_s + shape.inner * fit.copy_inner_s)
        + load.tokens * shape.hidden * fit.token_hidden_s
        + load.rows * (shape.hidden * fit.row_hidden_s + shape.inner * fit.row_inner_s)
    )
    experts_s = shape.slots * fit.slot_s + load.active * fit.expert_s
    start_s = fit.launch_s + (shape.groups > 1) * fit.groups_s
    return start_s + experts_s + both_s + passes_s


def _read_s(fit: ExpertFit, shape: ExpertShape, load: ExpertRows) -> Number:
    weights = shape.matrices * shape.hidden * shape.inner
    read_s = load.active * weights * fit.weight_bytes / fit.bandwidth_bytes_per_s
    return read_s * (1.0 + (fit.crowded - 1.0) * (load.tokens > shape.slots))


def _busy_s(fit: ExpertFit, shape: ExpertShape, load: ExpertRows) -> Number:
    """Return the time of the processors [s]; the minimum over the tile sizes, or that of one."""
    element_s = 2.0 * fit.processors / fit.compute_flop_per_s
    first_columns = (shape.matrices - 1) * shape.inner / TILE_COLUMNS / fit.processors
    second_columns = shape.hidden / TILE_COLUMNS / fit.processors
    sizes_s = []
    for size, tiles in zip(TILE_ROWS, load.tiles, strict=True):
        input_s = (size * TILE_COLUMNS + fit.tile_overhead) * element_s
        first_s = _larger(1.0, tiles * first_columns) * (shape.hidden * input_s + fit.tile_s)
        second_s = _larger(1.0, tiles * second_columns) * (shape.inner * input_s + fit.tile_s)
        sizes_s.append(first_s + second_s)
    if fit.tiles == "by_copies":
        copies = load.copies / shape.slots
        return sum(
            _is_size(size, copies) * time_s for size, time_s in zip(TILE_ROWS, sizes_s, strict=True)
        )
    return reduce(_smaller, sizes_s)


def _is_size(size: int, copies: Number) -> Number:
    """Return whether copies per slot, rounded up to a power of two, are a size of tiles.

    Fewer copies than the smallest size and more than the largest count as that size.
    """
    if size == TILE_ROWS[0]:
        return copies <= size
    if size == TILE_ROWS[-1]:
        return copies > size / 2
    return (copies > size / 2) & (copies <= size)


# NOTE: these replace NumPy's functions because they take a tenth of the time for two floats.
def _larger(one: Number, other: Number) -> Number:
    """Return the larger of two numbers, element by element for arrays."""
    return (one + other + abs(one - other)) / 2


def _smaller(one: Number, other: Number) -> Number:
    """Return the smaller of two numbers, element by element for arrays."""
    return (one + other - abs(one - other)) / 2
