"""ClockGrid: clocks to which an operator can lock a device."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.governor import GovernorSpec

_ROUNDING = 1e-6
"""Part of a step that counts as rounding."""


class ClockGrid(NamedTuple):
    """Clocks to which an operator can lock a device: whole steps below the highest clock."""

    highest_hz: float
    """Highest clock [Hz]."""
    lowest_hz: float
    """Lowest clock to which the device can be locked [Hz]."""
    step_hz: float
    """Distance between neighbouring clocks [Hz]."""

    @classmethod
    def of(cls, governor: GovernorSpec) -> ClockGrid:
        """Return the clocks of a device with this governor."""
        lowest_hz = governor.floor_hz if governor.lockable_hz is None else governor.lockable_hz
        return cls(governor.clock_hz, lowest_hz, governor.step_hz)

    def share(self, clock_hz: float) -> float:
        """Return the clock of the grid that is nearest to `clock_hz`, as a share of the highest.

        `nvidia-smi --lock-gpu-clocks` chooses the nearest clock that a device supports, too.

        >>> ClockGrid(1980e6, 345e6, 15e6).share(1e9) * 1980  # MHz
        1005.0
        """
        steps = round((self.highest_hz - clock_hz) / self.step_hz)
        return self._at(max(min(steps, self._steps), 0))

    def shares(self, lowest_share: float, spacing_hz: float) -> tuple[float, ...]:
        """Return clocks from the lowest to the highest, as shares of the highest.

        Parameters
        ----------
        lowest_share
            Lowest clock, as a share of the highest.
        spacing_hz
            Distance between neighbouring clocks, rounded to whole steps of the grid [Hz].

        Examples
        --------
        >>> [round(1980 * share) for share in ClockGrid(1980e6, 345e6, 15e6).shares(0.5, 300e6)]
        [1080, 1380, 1680, 1980]
        """
        each = max(round(spacing_hz / self.step_hz), 1)
        last = min(
            self._steps, int(self.highest_hz * (1.0 - lowest_share) / self.step_hz + _ROUNDING)
        )
        return tuple(self._at(steps) for steps in range(0, last + 1, each))[::-1]

    @property
    def _steps(self) -> int:
        """Number of steps from the highest clock to the lowest one."""
        return int((self.highest_hz - self.lowest_hz) / self.step_hz + _ROUNDING)

    def _at(self, steps: int) -> float:
        return (self.highest_hz - steps * self.step_hz) / self.highest_hz
