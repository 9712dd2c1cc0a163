"""Time of engine steps with speculative decoding: drafting and verification."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_times import VerifyingSteps
from cluster_sim.physics.step_work import StepWork


class Drafts(NamedTuple):
    """Source of the drafts of a step, and what they cost."""

    tokens: int
    """Number of drafted tokens per sequence and step."""
    drafter: VerifyingSteps | None = None
    """Step times of the model that drafts; None without one."""
    passes: int = 1
    """Number of its forward passes per step."""
    share: float = 0.0
    """Time of one draft, as a share of a decode step of the model [1]; unused with a drafter."""
    host_step_s: float = 0.0
    """Host time per step that is not overlapped [s]."""
    host_sequence_s: float = 0.0
    """Host time per sequence of a step that is not overlapped [s]."""


class SpeculativeSteps:
    """Step times of a replica whose model verifies the drafted tokens of each sequence per step.

    A drafter on the same devices also prefills the prompts. Its first pass of a step reads the
    tokens that the step before it verified, and the prompts; further passes read the token drafted
    last. Without a drafter, each draft takes a share of a plain decode step.

    Source: vLLM 0.22, `v1/spec_decode/eagle.py` (propose); SGLang 0.5, `speculative/eagle_worker.py`
    (draft, forward_draft_extend_after_decode); TensorRT-LLM 1.2, `_torch/speculative/mtp.py`
    (MTPEagleWorker).

    Parameters
    ----------
    target
        Step times of the model.
    drafts
        Source of the drafts.
    """

    def __init__(self, target: VerifyingSteps, drafts: Drafts) -> None:
        self._target, self._drafts = target, drafts

    def ramp(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that begin with `work`: drafting and verification [s]."""
        drafted, drafter, passes, share, host_step_s, host_sequence_s = self._drafts
        ramp = self._target.verify(work, 1 + drafted)
        if work.batch and host_step_s:
            ramp = ramp.plus(Ramp(host_step_s + host_sequence_s * work.batch))
        if drafter is not None:
            ramp = ramp.plus(drafter.draft(work, 1 + drafted))
            if work.batch and passes > 1:
                following = drafter.draft(work.without_prompts(), 1)
                ramp = ramp.plus(following.scaled(passes - 1))
        elif work.batch and share:
            draft = self._target.verify(work.without_prompts(), 1)
            ramp = ramp.plus(draft.scaled(share * drafted))
        return ramp
