"""StepDraw: power of one device over single engine steps, fast enough for a control loop.

The bytes and the arithmetic of a step are linear in the numbers of its keys; the rest depends on
the numbers of its tokens. `stretch_work.work_of` gives both once, and they are kept.
"""

from __future__ import annotations

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.stretch_work import work_of
from cluster_sim.physics.memo import Memo
from cluster_sim.physics.step_power import one_own_clock, one_step_w
from cluster_sim.physics.step_work import StepWork

_PROBE = 1e9
"""Number of keys of the steps that give the bytes and the energy per key."""

DrawLines = tuple[float, float, float, float]
"""Bytes of the first step [B] and their growth per step, and the same for the energy of the
arithmetic at the highest clock [J]; those of one device."""


class StepDraw:
    """Power of one device of a deployment in single steps."""

    def __init__(self, deployment: Deployment) -> None:
        assert deployment.device.power is not None
        self.deployment, self._power = deployment, deployment.device.power
        self.idle_w = self._power.loaded_idle_w
        """Power of a device between steps [W]."""
        self._of_tokens = Memo(self._work_of_tokens)
        none_b, none_j = self._work(StepWork())
        more = [
            self._work(StepWork(**{name: _PROBE}))  # type: ignore[arg-type]  # counts may be floats
            for name in ("context", "windowed", "pairs", "window_pairs")
        ]
        self._key_b = [(moved - none_b) / _PROBE for moved, _ in more]
        self._key_j = [(arithmetic_j - none_j) / _PROBE for _, arithmetic_j in more]

    def _work(self, counts: StepWork) -> tuple[float, float]:
        work = work_of(self.deployment, counts, 1)
        return float(work.moved[0]), float(work.arithmetic_j[0])

    def _work_of_tokens(self, key: tuple[int, int, int]) -> tuple[float, float]:
        """Return bytes and arithmetic of a step without its keys, by its numbers of tokens."""
        batch, prompt_tokens, sampled = key
        return self._work(StepWork(batch=batch, prompt_tokens=prompt_tokens, sampled=sampled))

    def lines(self, work: StepWork) -> DrawLines:
        """Return bytes and arithmetic of steps that begin with `work` and grow as it says."""
        moved, arithmetic_j = self._of_tokens[work.batch, work.prompt_tokens, work.sampled]
        context_b, windowed_b, pairs_b, window_pairs_b = self._key_b
        context_j, windowed_j, pairs_j, window_pairs_j = self._key_j
        return (
            moved
            + context_b * work.context
            + windowed_b * work.windowed
            + pairs_b * work.pairs
            + window_pairs_b * work.window_pairs,
            context_b * work.growth + windowed_b * work.growing + pairs_b * work.pairs_growth,
            arithmetic_j
            + context_j * work.context
            + windowed_j * work.windowed
            + pairs_j * work.pairs
            + window_pairs_j * work.window_pairs,
            context_j * work.growth + windowed_j * work.growing + pairs_j * work.pairs_growth,
        )

    def watts(self, lines: DrawLines, step: int, seconds: float, clock: float) -> float:
        """Return the power in a step [W].

        Parameters
        ----------
        lines
            Bytes and arithmetic, see `lines`.
        step
            Number of the step, from 0 on.
        seconds
            Length of the step [s].
        clock
            Share of the own clock at which the step takes this time.
        """
        moved, moved_more, arithmetic_j, arithmetic_more_j = lines
        return one_step_w(
            self._power,
            seconds,
            moved + step * moved_more,
            arithmetic_j + step * arithmetic_more_j,
            clock,
        )

    def own_clock(self, lines: DrawLines, step: int, seconds: float) -> float:
        """Return the clock at the board's power limit, as a share of the highest clock.

        Parameters
        ----------
        lines
            Bytes and arithmetic, see `lines`.
        step
            Number of the step, from 0 on.
        seconds
            Length of the step at that clock [s].
        """
        moved, moved_more, arithmetic_j, arithmetic_more_j = lines
        moving_w = self._power.memory_j_per_byte * (moved + step * moved_more) / seconds
        return one_own_clock(
            self._power, moving_w, (arithmetic_j + step * arithmetic_more_j) / seconds
        )
