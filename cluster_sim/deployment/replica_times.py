"""Step times of one replica at every operating point, drafts included."""

from __future__ import annotations

from functools import lru_cache

from cluster_sim.deployment.model_on_devices import ModelOnDevices, PlainSteps
from cluster_sim.hardware.operating_point import FULL_SPEED, OperatingPoint
from cluster_sim.physics.speculative_steps import Drafts, SpeculativeSteps
from cluster_sim.physics.step_times import StepTimes

_KEPT_POINTS = 256
"""Number of operating points whose step times are kept, since clocks and shares of bandwidth
recur."""


class ReplicaTimes:
    """Step times of the model on one replica. Those of the last few hundred points are kept."""

    def __init__(self, target: ModelOnDevices) -> None:
        self._target = target
        self.plain = target.step_times(FULL_SPEED)
        """Step times at the full operating point, without drafts."""
        self._known = lru_cache(maxsize=_KEPT_POINTS)(self._build)

    def at(self, point: OperatingPoint) -> StepTimes:
        """Return the step times at an operating point, drafts included."""
        return self._known(point)

    def _build(self, point: OperatingPoint) -> StepTimes:
        plain = self.plain if point == FULL_SPEED else self._target.step_times(point)
        return self._with_drafts(plain, point) or plain

    def _with_drafts(self, plain: PlainSteps, point: OperatingPoint) -> SpeculativeSteps | None:
        pool, drafting = self._target.pool, self._target.drafter
        speculation = pool.replica.speculation
        if speculation is None:
            return None
        share = speculation.draft_cost or 0.0
        if pool.is_wafer and speculation.passed_layers:  # more stages in the same pipeline
            share = speculation.passed_layers / self._target.model.layers
        drafter = self._target.beside(drafting).step_times(point) if drafting else None
        drafts = Drafts(speculation.draft_tokens, drafter, speculation.passes, share)
        engine = pool.replica.engine
        if not (engine.async_drafts or pool.is_wafer):
            sequence_s = engine.draft_sequence_s / pool.replica.data_parallel
            drafts = drafts._replace(host_step_s=engine.draft_step_s, host_sequence_s=sequence_s)
        return SpeculativeSteps(plain, drafts)
