"""One clock during the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from cluster_sim.serving.frequency.observed import Known, ObservedReplica
from cluster_sim.serving.frequency.policy import Decider, FrequencyPolicy
from cluster_sim.units import Hertz


class Fixed(FrequencyPolicy):
    """One clock during the whole run, as `nvidia-smi --lock-gpu-clocks` sets it before the start.

    Source: on an H200 a lock of the clock saves up to 32 % of the energy of decode and is better
    than a power cap at every point (arXiv 2605.11999).
    """

    policy: Literal["fixed"] = "fixed"
    clock_hz: Hertz
    """Clock of the devices, rounded to the nearest clock to which they can be locked [Hz]. The
    devices run at a lower clock where heat or their power limit asks for it."""

    def decider(self, known: Known) -> Decider:
        """Return the policy for one replica."""
        return Always(known.profile.grid.share(self.clock_hz))

    def clocks_hz(self) -> Iterator[tuple[str, float]]:
        """Yield the clock of the description [Hz], with its key."""
        yield "clock", self.clock_hz


class Always:
    """One clock, whatever is seen."""

    def __init__(self, share: float) -> None:
        self._share = share

    def decide(self, seen: ObservedReplica, now_s: float) -> float:
        """Return the clock, as a share of the highest clock."""
        return self._share

    def sent(self, prompt_tokens: int, output_tokens: int) -> None:
        """Forget the request, since no clock depends on it."""
