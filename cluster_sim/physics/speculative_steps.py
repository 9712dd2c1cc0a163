"""Time of engine steps that check drafted tokens, drafting included."""

from __future__ import annotations

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.wafer import WaferSteps


class SpeculativeSteps:
    """Step times of a replica whose model checks `drafted` tokens of each sequence in a step.

    They are drafted one after the other: by a model on the same devices, which reads the prompts as
    well, or at `share` of a plain decode step each.
    """

    def __init__(
        self,
        target: GpuSteps | WaferSteps,
        drafted: int,
        drafter: GpuSteps | WaferSteps | None,
        share: float,
    ) -> None:
        self._target, self._drafted, self._drafter, self._share = target, drafted, drafter, share

    def verify(
        self,
        batch: int,
        growth: float,
        context: float,
        prompt: int,
        sampled: int,
        pairs: int,
        pairs_growth: int,
    ) -> tuple[float, float, int]:
        """(first_s, slope_s, steps for which that holds); counts as of GpuSteps.mixed.

        growth: tokens that a step adds to the context of all sequences.
        """
        first_s, slope_s, alike = self._target.verify(
            1 + self._drafted, batch, growth, context, prompt, sampled, pairs, pairs_growth
        )
        if not batch:
            times, share, again = self._drafter, 1.0, 0
        elif self._drafter is not None:
            times, share, again = self._drafter, 1.0, self._drafted - 1
        else:
            times, share, again = self._target, self._share, self._drafted
        if self._drafter is not None:
            once_s, once_slope_s, once_alike = self._drafter.verify(
                1, batch, growth, context, prompt, sampled, pairs, pairs_growth
            )
            first_s, slope_s, alike = (
                first_s + once_s,
                slope_s + once_slope_s,
                min(alike, once_alike),
            )
        if times is not None and share and again:
            draft_s, draft_slope_s, draft_alike = times.verify(
                1, batch, growth, context, 0, batch, 0, 0
            )
            first_s, slope_s, alike = (
                first_s + share * again * draft_s,
                slope_s + share * again * draft_slope_s,
                min(alike, draft_alike),
            )
        return first_s, slope_s, alike
