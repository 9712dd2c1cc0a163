"""Base of the frequency policies, and the facts that they are checked against."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence, Set
from math import inf
from typing import ClassVar, NamedTuple, Protocol

from cluster_sim.hardware.clock_grid import ClockGrid
from cluster_sim.schema import Description, Trail
from cluster_sim.serving.frequency.observed import Known, ObservedReplica
from cluster_sim.units import Seconds

_MEASURED_SHARE = 0.5
"""Lowest share of the highest clock at which step times are trusted (estimate). The exponent of the
clock in the rate of reading memory was measured at 0.795 of the highest clock."""


class Decider(Protocol):
    """Frequency policy with its state for one replica during one run."""

    def decide(self, seen: ObservedReplica, now_s: float) -> float:
        """Return the clock from now on, as a share of the highest clock."""
        ...

    def sent(self, prompt_tokens: int, output_tokens: int) -> None:
        """Record that a request of these lengths was sent to the replica."""
        ...


class Clocked(NamedTuple):
    """Facts of a pool that matter to a frequency policy."""

    device: str
    """Name of the device."""
    grid: ClockGrid | None
    """Clocks to which an operator can lock the device; None if they are unknown."""
    role: str
    """Phases of a request that replicas serve: `both`, `prefill` or `decode`."""
    batches_continuously: bool
    """Whether requests join and leave between steps."""
    drafts: bool
    """Whether tokens are drafted and verified."""
    objectives: Sequence[Set[str]]
    """Latencies for which each class of requests has an objective: ttft, tpot, e2el."""


class FrequencyPolicy(Description):
    """Base of the policies that lock the clock of a pool's devices."""

    follows_phases: ClassVar[bool] = False
    """Whether the policy decides whenever the kind of steps changes."""

    @property
    def decides_every_s(self) -> float:
        """Time between two decisions [s]; infinite for a policy without a period."""
        return inf

    @property
    def acts_after_s(self) -> float:
        """Time from a decision until the devices run at the new clock [s]."""
        return 0.0

    @abstractmethod
    def decider(self, known: Known) -> Decider:
        """Return the policy with its state for one replica during one run."""

    def clocks_hz(self) -> Iterator[tuple[str, float]]:
        """Yield the clocks in the description [Hz], each with its key."""
        yield from ()

    def faults(self, pool: Clocked) -> Iterator[tuple[Trail, str]]:
        """Yield what does not suit a pool: keys below `frequency`, and a sentence."""
        if pool.grid is None:
            yield (
                (),
                f"{pool.device} has no clock that an operator can lock; expected a device with 'governor' and 'power', and no wafer",
            )
            return
        for key, clock_hz in self.clocks_hz():
            if not pool.grid.lowest_hz <= clock_hz <= pool.grid.highest_hz:
                yield (
                    (key,),
                    f"got {clock_hz / 1e6:g} MHz; expected a clock of {pool.device}, {pool.grid.lowest_hz / 1e6:g} to {pool.grid.highest_hz / 1e6:g} MHz",
                )

    def warnings(self, grid: ClockGrid) -> Iterator[str]:
        """Yield what is allowed, and rests on figures that were not measured."""
        for key, clock_hz in self.clocks_hz():
            if clock_hz < _MEASURED_SHARE * grid.highest_hz:
                yield f"frequency.{key}: step times at {clock_hz / 1e6:g} MHz are extrapolated; the effect of the clock on them was measured at 0.8 of the highest clock"


class MovingClock(FrequencyPolicy):
    """Base of the policies that change the clock during a run."""

    delay_s: Seconds = 0.05
    """Time from a decision until the devices run at the new clock [s]. It is an estimate: setting a
    clock through nvidia-smi takes tens of milliseconds, and throttLL'eM reports about 200 ms
    (arXiv 2408.05235). The clock changes between two steps."""

    @property
    def acts_after_s(self) -> float:
        """Time from a decision until the devices run at the new clock [s]."""
        return self.delay_s
