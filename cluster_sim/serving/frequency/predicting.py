"""Base of the frequency policies that predict latencies from profiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from cluster_sim.hardware.clock_grid import ClockGrid
from cluster_sim.schema import Trail
from cluster_sim.serving.frequency.policy import Clocked, MovingClock
from cluster_sim.units import Hertz

_LOWEST_SHARE = 0.5
"""Share of the highest clock that policies do not fall below by default (estimate): step times at
lower clocks are extrapolated."""

Margin = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A share of an objective, in a description."""


class PredictingClock(MovingClock):
    """Base of the policies that choose a clock at which predicted latencies keep the objectives."""

    needs: ClassVar[tuple[str, str]]
    """Objectives of which every class of requests must have at least one."""

    lowest_hz: Hertz | None = None
    """Lowest clock that the policy chooses [Hz]. Default: half of the highest clock, because step
    times at lower clocks are extrapolated."""
    spacing_hz: Hertz = 45e6
    """Distance between the clocks among which the policy chooses, rounded to whole steps of the
    device [Hz]. Default: 45 MHz, three steps of NVIDIA's boards, an estimate."""
    margin: Margin = 0.0
    """Share of each objective that predictions must leave free."""

    def choices(self, grid: ClockGrid) -> tuple[float, ...]:
        """Return the clocks among which the policy chooses, as shares of the highest, ascending."""
        share = _LOWEST_SHARE if self.lowest_hz is None else grid.share(self.lowest_hz)
        return grid.shares(share, self.spacing_hz)

    def clocks_hz(self) -> Iterator[tuple[str, float]]:
        """Yield the clock of the description [Hz], with its key."""
        if self.lowest_hz is not None:
            yield "lowest", self.lowest_hz

    def faults(self, pool: Clocked) -> Iterator[tuple[Trail, str]]:
        """Yield what does not suit a pool: keys below `frequency`, and a sentence."""
        yield from super().faults(pool)
        if pool.grid is None:
            return
        name = str(getattr(self, "policy", ""))
        reasons = (
            (pool.role != "both", f"the role {pool.role}", "replicas that prefill and decode"),
            (not pool.batches_continuously, "static batching", "continuous batching"),
            (pool.drafts, "speculation", "one token per step"),
        )
        for holds, beside, predicted in reasons:
            if holds:
                yield (
                    ("policy",),
                    f"got {name} with {beside}; expected fixed or by_phase, because {name} predicts {predicted}",
                )
        if not all(set(self.needs) & given for given in pool.objectives):
            one, other = self.needs
            yield (
                ("policy",),
                f"got {name} without the objectives that it keeps; expected '{one}' or '{other}' in 'slo', and in the 'slo' of each class that has one",
            )
