"""Popularity of experts: the share of a layer's tokens that pick each of them.

Log-normal popularity is an approximation of what was measured. With a standard deviation of the
logarithm of 1.0 to 1.1 it meets four published figures of DeepSeek-R1 at once (TensorRT-LLM,
examples/wide_ep, README: 256 experts on 32 ranks; maximum over mean of ranks 2.56, standard
deviation .48; of experts 11.9 and 1.28). Every layer has the same sorted popularities, the expected
values of order statistics by their quantiles, on other experts. The orders are those of a fixed
hash, so that there is nothing to draw.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from cluster_sim.physics.eplb import balanced
from cluster_sim.physics.expert_load import SpreadExperts
from cluster_sim.typing import Array

LAYERS = 64
"""Number of layers with different orders of log-normal popularities, of which means are taken."""

DRIFT = 0.12
"""Standard deviation of the logarithm of the change of a popularity since experts were placed.

With it, redundant experts leave what was measured with DeepSeek-R1 on 288 slots: maximum over mean
of 32 ranks 1.11, standard deviation .05 (TensorRT-LLM, examples/wide_ep, README). Those figures
contain the chance of one step's tokens, so that this is an estimate from above.
"""

_DRIFT_SHARE = DRIFT / 1.05
"""Drift by the standard deviation of log-normal popularities; that of DeepSeek-R1 is 1.05."""


class LogNormalPopularity(NamedTuple):
    """Popularity by a log-normal law."""

    sigma: float
    """Standard deviation of the logarithm of the popularities."""
    drift: float | None = None
    """Standard deviation of the logarithm of their changes since redundant experts were placed;
    None for the same share of `sigma` as with DeepSeek-R1."""

    def placed(self, number: int, *, is_sorted: bool) -> Array:
        """Return the popularities at the time of placement, one row per layer or one for all.

        Parameters
        ----------
        number
            Number of experts of a layer.
        is_sorted
            Whether the placement depends only on the sorted popularities, which are those of all
            layers.
        """
        if is_sorted:
            of_all: Array = np.exp(self.sigma * quantiles(number))[None, :]
            return of_all
        return self.in_order(number)

    def changes(self, number: int) -> Array:
        """Return the factors by which popularities changed since, one row per layer."""
        drift = _DRIFT_SHARE * self.sigma if self.drift is None else self.drift
        return _changes(number, drift)

    def in_order(self, number: int) -> Array:
        """Return the popularities by the numbers of experts, without a placement by load."""
        in_order: Array = np.exp(self.sigma * quantiles(number))[orders(number)]
        return in_order


class TracedPopularity(NamedTuple):
    """Popularity as a routing trace has it."""

    counts: tuple[tuple[float, ...], ...]
    """Number of tokens per expert, for each layer with experts."""
    drift: float = DRIFT
    """Standard deviation of the logarithm of their changes since redundant experts were placed."""

    def placed(self, number: int, *, is_sorted: bool) -> Array:
        """Return the popularities at the time of placement, one row per layer.

        Parameters
        ----------
        number
            Number of experts of a layer.
        is_sorted
            Whether the placement depends only on sorted popularities, which differ by layer.
        """
        return self.in_order(number)

    def changes(self, number: int) -> Array:
        """Return the factors by which popularities changed since, one row per layer."""
        layers = np.arange(len(self.counts)) % LAYERS
        changes: Array = _changes(number, self.drift)[layers]
        return changes

    def in_order(self, number: int) -> Array:
        """Return the popularities by the numbers of experts; experts without tokens have none."""
        counts = np.zeros((len(self.counts), number))
        for row, layer in zip(counts, self.counts, strict=True):
            row[: len(layer)] = layer
        in_order: Array = counts / counts.sum(axis=1, keepdims=True)
        return in_order


AnyPopularity = LogNormalPopularity | TracedPopularity


def slot_shares(popularity: AnyPopularity, experts: SpreadExperts) -> Array:
    """Return the probability that a token goes to a slot, by layer, group and slot.

    Without redundant experts the experts lie in order. With redundant experts they are placed by
    `eplb.balanced` for the popularities at that time, and copies share the tokens of their expert
    evenly. Groups with fewer slots than others are filled with zeros.
    """
    number, slots, top_k, groups, families, nodes = experts
    if slots == number:
        shares = picked(popularity.in_order(number), top_k)
        sizes = [slots // groups + (group < slots % groups) for group in range(groups)]
        padded = np.zeros((len(shares), groups, sizes[0]))
        first = 0
        for group, size in enumerate(sizes):
            padded[:, group, :size] = shares[:, first : first + size]
            first += size
        return padded
    planned = popularity.placed(number, is_sorted=nodes == 1 or families % nodes != 0)
    served = planned * popularity.changes(number)
    placements = np.array(
        [balanced(row.tolist(), slots, groups, families, nodes) for row in planned]
    )
    copies = np.array([np.bincount(held.ravel(), minlength=number) for held in placements])
    per_copy = picked(served, top_k) / copies
    if len(placements) == 1:
        chosen: Array = per_copy[:, placements[0]]
        return chosen
    return np.stack([row[held] for row, held in zip(per_copy, placements, strict=True)])


def picked(popularity: Array, top_k: int) -> Array:
    """Return the probabilities that a token picks each expert, `top_k` in sum and at most 1 each.

    They are proportional to the popularities, except for experts that every token picks.

    Parameters
    ----------
    popularity
        Popularities, one row per layer.
    top_k
        Number of experts per token.

    Examples
    --------
    Every token picks the first expert, and one of the others:

    >>> picked(np.array([[8.0, 1.0, 1.0]]), 2).tolist()
    [[1.0, 0.5, 0.5]]
    """
    chances: Array = top_k * popularity / popularity.sum(axis=1, keepdims=True)
    while (over := chances > 1.0).any():
        chances[over] = 1.0
        full = chances == 1.0
        rest = np.where(full, 0.0, chances)
        sums = rest.sum(axis=1, keepdims=True)
        left = top_k - full.sum(axis=1, keepdims=True)
        chances = np.where(full, 1.0, rest * (left / np.where(sums > 0.0, sums, 1.0)))
    return chances


def _changes(number: int, drift: float) -> Array:
    """Return factors of all experts, in other orders than those of the popularities."""
    changes: Array = np.exp(drift * quantiles(number)[np.roll(orders(number), 1, axis=0)])
    return changes


def quantiles(number: int) -> Array:
    """Return the quantiles of a normal distribution at the middles of `number` equal shares."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((place + 0.5) / number) for place in range(number)])


def orders(number: int) -> Array:
    """Return LAYERS different orders of `number` experts, one per row.

    An order sorts the experts by a hash of their numbers and of the layer: the mixing function of
    SplitMix64. Source: Steele, Lea, Flood, Fast splittable pseudorandom number generators, OOPSLA
    2014.
    """
    keys = np.arange(LAYERS * number, dtype=np.uint64).reshape(LAYERS, number) + np.uint64(1)
    keys *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    keys ^= keys >> np.uint64(31)
    return np.argsort(keys, axis=1, kind="stable")
