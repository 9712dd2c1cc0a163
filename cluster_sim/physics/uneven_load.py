"""UnevenLoad: rows and active slots of the slowest group if experts differ in popularity."""

from __future__ import annotations

from math import floor, log2

import numpy as np

from cluster_sim.physics.expert_load import EVEN, RankLoad, SpreadExperts
from cluster_sim.physics.expert_popularity import AnyPopularity, slot_shares
from cluster_sim.physics.fullest_group import fullest
from cluster_sim.physics.memo import Memo
from cluster_sim.typing import Array, Number

_POINTS_PER_OCTAVE = 4
"""Number of computed points per doubling of the tokens; between them, the ratios to the even load
are interpolated. Its error is below 0.5 %."""


class UnevenLoad:
    """Experts that tokens pick by their popularity.

    Two causes make a group full: the popularity of its experts and, with few tokens, chance. Means
    are taken over layers.

    Loads are computed for some numbers of tokens, relative to the even load, and interpolated.
    NOTE: a point takes 2 ms, and a run has thousands of different numbers of tokens.

    Parameters
    ----------
    popularity
        Popularity of the experts.
    """

    def __init__(self, popularity: AnyPopularity) -> None:
        self.popularity = popularity
        self._spreads = Memo(self._spread)

    def __eq__(self, other: object) -> bool:
        """Return whether two loads have the same popularity."""
        return isinstance(other, UnevenLoad) and self.popularity == other.popularity

    def __hash__(self) -> int:
        """Return the hash of the popularity."""
        return hash(self.popularity)

    def busiest(self, experts: SpreadExperts, tokens: int) -> RankLoad:
        """Return the work of the group that sets the step's time; see `ExpertLoad.busiest`.

        The rows are those of the group with the most rows. The active slots are those of the
        group with the most active slots, which sets the time if reading weights takes longer than
        computing. If computing takes longer, nearly all slots are active.
        """
        even = EVEN.busiest(experts, tokens)
        rows, active, _ = self._spreads[experts].ratios(tokens)
        rows *= even.rows
        return RankLoad(rows, min(even.active * active, rows))

    def distinct(self, experts: SpreadExperts, tokens: Number) -> Number:
        """Return the number of active slots of all groups; see `ExpertLoad.distinct`."""
        spread = self._spreads[experts]
        even = EVEN.distinct(experts, tokens)
        if np.ndim(tokens) == 0:
            return even * spread.ratios(max(tokens, 1))[2]
        kinds, places = np.unique(tokens, return_inverse=True)
        ratios = np.array([spread.ratios(max(float(kind), 1.0))[2] for kind in kinds])
        return even * ratios[places]

    def _spread(self, experts: SpreadExperts) -> _SpreadLoad:
        return _SpreadLoad(experts, slot_shares(self.popularity, experts))


class _SpreadLoad:
    """Loads of one spread of experts, relative to the even load."""

    def __init__(self, experts: SpreadExperts, shares: Array) -> None:
        self._experts, self._shares = experts, shares
        self._points = Memo(self._point)

    def ratios(self, tokens: float) -> tuple[float, float, float]:
        """Return the ratios of an uneven to an even load.

        They are those of the rows and of the active slots of the fullest group, and of all active
        slots.
        """
        place = _POINTS_PER_OCTAVE * log2(tokens)
        below = floor(place)
        low, high = self._points[below], self._points[below + 1]
        part = place - below
        return (
            low[0] + part * (high[0] - low[0]),
            low[1] + part * (high[1] - low[1]),
            low[2] + part * (high[2] - low[2]),
        )

    def _point(self, place: int) -> tuple[float, float, float]:
        experts, tokens = self._experts, 2.0 ** (place / _POINTS_PER_OCTAVE)
        even_rows, even_active = EVEN.busiest(experts, tokens)
        mean_rows = tokens * self._shares.sum(axis=2)
        rows, chance = fullest(mean_rows)
        rows = np.minimum(rows, experts.top_k * tokens)
        active = (1.0 - (1.0 - self._shares) ** tokens).sum(axis=2)
        most = -(-experts.slots // experts.groups)
        of_group = np.minimum(active.max(axis=1) * chance, np.minimum(rows, most))
        return (
            float(rows.mean()) / even_rows,
            float(of_group.mean()) / even_active,
            float(active.sum(axis=1).mean() / EVEN.distinct(experts, tokens)),
        )
