"""One clock for steps that prefill, and another one for steps that only decode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cluster_sim.serving.frequency.fixed import Always
from cluster_sim.serving.frequency.observed import Known, ObservedReplica
from cluster_sim.serving.frequency.policy import Decider, MovingClock
from cluster_sim.units import Hertz


class ByPhase(MovingClock):
    """One clock for steps with prompt tokens, and another one for pure decode steps.

    The idea is that compute-bound prefill needs its clock and that decode, bound by memory, does
    not. The sources control instances that only prefill and instances that only decode: GreenLLM
    (arXiv 2508.16449) and phase-decoupled power control on B200 (arXiv 2609.11133). Replicas that
    serve both phases change their clock as often as a prompt arrives. A change takes `delay`, and
    the next one is decided when it has taken effect, so that with short phases the clock of one
    phase often meets steps of the other. Replicas of the role `prefill` or `decode` keep one clock.
    """

    follows_phases: ClassVar[bool] = True

    policy: Literal["by_phase"] = "by_phase"
    prefill_hz: Hertz
    """Clock for steps that prefill, rounded to the nearest clock to which the devices can be locked
    [Hz]."""
    decode_hz: Hertz
    """Clock for steps that only decode, rounded to the nearest clock to which the devices can be
    locked [Hz]."""

    def decider(self, known: Known) -> Decider:
        """Return the policy for one replica."""
        grid = known.profile.grid
        prefill, decode = grid.share(self.prefill_hz), grid.share(self.decode_hz)
        if known.role != "both":
            return Always(prefill if known.role == "prefill" else decode)
        return _OfPhases(prefill, decode)

    def clocks_hz(self) -> Iterator[tuple[str, float]]:
        """Yield the clocks of the description [Hz], each with its key."""
        yield "prefill", self.prefill_hz
        yield "decode", self.decode_hz


class _OfPhases:
    """One clock by the kind of the step in progress."""

    def __init__(self, prefill: float, decode: float) -> None:
        self._prefill, self._decode = prefill, decode

    def decide(self, seen: ObservedReplica, now_s: float) -> float:
        """Return the clock for the step in progress, as a share of the highest clock."""
        return self._prefill if seen.prefills else self._decode

    def sent(self, prompt_tokens: int, output_tokens: int) -> None:
        """Forget the request, since no clock depends on it."""
