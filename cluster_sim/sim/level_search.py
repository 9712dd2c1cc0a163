"""LevelSearch: the first level of a clock at which a device meets its power cap."""

from __future__ import annotations

from math import ceil

_MOST_GUESSES = 8
"""Number of powers after which the search halves the rest, so that it always ends soon."""


class LevelSearch:
    """Search for the first level whose power is at most a cap; power falls from level to level.

    It begins at a level that is near, and goes on where a line through the known powers meets the
    cap (regula falsi). Two or three powers are enough as a rule. Each power must be asked for once:

        while not search.is_over:
            search.learn(power_at(search.level))

    The highest level is the answer if no level meets the cap.
    """

    __slots__ = ("_above", "_asked", "_below", "_cap_w", "_over_w", "_spare_w", "level", "slope_w")

    def __init__(self, cap_w: float, level: int, highest: int, slope_w: float) -> None:
        """Begin a search.

        Parameters
        ----------
        cap_w
            Power cap [W].
        level
            Level at which the search begins.
        highest
            Highest level.
        slope_w
            Power by which a level is assumed to be below the level before it [W].
        """
        self._cap_w = cap_w
        self._below, self._above = -1, highest
        self._asked = 0
        self._over_w = self._spare_w = 0.0  # distances from the cap at `_below` and `_above`
        self.level = level
        """Level whose power is wanted next."""
        self.slope_w = slope_w

    @property
    def is_over(self) -> bool:
        """Whether the answer is known."""
        return self._above - self._below <= 1

    @property
    def answer(self) -> int:
        """First level that meets the cap; valid when the search is over."""
        return self._above

    def learn(self, watts: float) -> None:
        """Take the power at `level` [W], and choose the next level."""
        level = self.level
        if watts <= self._cap_w:
            self._above, self._spare_w = level, self._cap_w - watts
        else:
            self._below, self._over_w = level, watts - self._cap_w
        between_w = self._over_w + self._spare_w
        if self._below >= 0 and self._spare_w > 0.0:
            self.slope_w = between_w / (self._above - self._below)
        self._asked += 1
        if self._asked > _MOST_GUESSES:
            wanted = (self._below + self._above) // 2
        elif level == self._above:
            wanted = level - max(int(self._spare_w / self.slope_w), 1)
        else:
            wanted = level + max(ceil(self._over_w / self.slope_w), 1)
        self.level = min(max(wanted, self._below + 1), self._above - 1)
