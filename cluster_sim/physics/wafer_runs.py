"""Cuts of a model's parts into one run per wafer."""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.physics.model_parts import ModelPart

_HALVINGS = 60


def cut(parts: Sequence[ModelPart], wafers: int, sram_bytes: float) -> list[tuple[ModelPart, ...]]:
    """Return runs of parts, one per wafer, with the largest KV cache capacity.

    The KV cache of the same number of tokens must fit on every wafer. For a given number, filling
    one wafer after another takes the fewest wafers; bisection finds the largest number. Parts that
    do not fit at all are cut as evenly as possible.
    """

    def sizes(tokens: float) -> list[float]:
        return [
            part.weight_bytes + part.fixed_bytes + tokens * part.kv_token_bytes for part in parts
        ]

    def members(runs: list[list[int]]) -> list[tuple[ModelPart, ...]]:
        return [tuple(parts[place] for place in run) for run in runs]

    if len(filled_runs(sizes(0.0), sram_bytes)) > wafers:
        return members(_even_runs(sizes(0.0), wafers, sum(sizes(0.0))))
    low, high = 0.0, wafers * sram_bytes / (sum(part.kv_token_bytes for part in parts) or 1.0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        fits = len(filled_runs(sizes(middle), sram_bytes)) <= wafers
        low, high = (middle, high) if fits else (low, middle)
    return members(_even_runs(sizes(low), wafers, sram_bytes))


def filled_runs(sizes: Sequence[float], limit: float) -> list[list[int]]:
    """Return the indices of consecutive sizes in as few runs as possible with sums up to `limit`.

    A size above the limit forms a run on its own.

    >>> filled_runs([3.0, 4.0, 5.0, 1.0], 8.0)
    [[0, 1], [2, 3]]
    """
    runs: list[list[int]] = []
    left = -1.0
    for place, size in enumerate(sizes):
        if size > left:
            runs.append([])
            left = limit
        runs[-1].append(place)
        left -= size
    return runs


def _even_runs(sizes: Sequence[float], wafers: int, limit: float) -> list[list[int]]:
    """Return runs of about equal size; `filled_runs` must need `wafers` runs or fewer.

    Each run ends near the mean of the remaining sizes, at a point where the rest still fits.
    """
    runs: list[list[int]] = []
    first, left = 0, sum(sizes)
    for wafer in range(wafers, 0, -1):
        mean, last, size = left / wafer, first, 0.0
        room = limit  # counted down as `filled_runs` does, so that both round alike
        while last < len(sizes) and (last == first or sizes[last] <= room):
            is_enough = size + 0.5 * sizes[last] > mean
            if (
                last > first
                and is_enough
                and wafer > 1
                and len(filled_runs(sizes[last:], limit)) < wafer
            ):
                break
            room -= sizes[last]
            size, last = size + sizes[last], last + 1
        if last > first:
            runs.append(list(range(first, last)))
        first, left = last, left - size
    if first < len(sizes):  # if the runs do not fit, the last one takes the rest
        runs[-1] += range(first, len(sizes))
    return runs
