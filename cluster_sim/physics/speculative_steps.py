"""Time of engine steps with speculative decoding: drafting and verification."""

from __future__ import annotations

from dataclasses import replace

from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_times import VerifyingSteps
from cluster_sim.physics.step_work import StepWork


class SpeculativeSteps:
    """Step times of a replica whose model verifies `drafted` tokens of each sequence per step.

    Tokens are drafted one after another. A draft model on the same devices, which also prefills the
    prompts, drafts them. Without a draft model, each draft takes `share` of a plain decode step.

    Parameters
    ----------
    target
        Step times of the model.
    drafted
        Number of drafted tokens per sequence and step.
    drafter
        Step times of the draft model; None without one.
    share
        Time of one draft, as a share of a decode step of the model [1]; unused with a draft model.
    """

    def __init__(
        self,
        target: VerifyingSteps,
        drafted: int,
        drafter: VerifyingSteps | None,
        share: float,
    ) -> None:
        self._target, self._drafted, self._drafter, self._share = target, drafted, drafter, share

    def ramp(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that begin with `work`: drafting and verification [s]."""
        ramp = self._target.verify(work, 1 + self._drafted)
        if self._drafter is not None:
            ramp = ramp.plus(self._drafter.verify(work, 1))
        drafter, share, drafts = self._drafter, 1.0, self._drafted - 1
        if drafter is None:
            drafter, share, drafts = self._target, self._share, self._drafted
        if work.batch and share and drafts:
            draft = drafter.verify(without_prompts(work), 1)
            ramp = ramp.plus(draft.scaled(share * drafts))
        return ramp


def without_prompts(work: StepWork) -> StepWork:
    """Return the decode part of a step."""
    return replace(
        work, prompt_tokens=0, sampled=work.batch, pairs=0, window_pairs=0, pairs_growth=0
    )
