"""A rate that switches between states: the Markov-modulated Poisson process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.units import PositiveSeconds, RateOrZero
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import renewal_pieces

_DWELLS = 1024
"""Number of stays in states that are drawn together."""


class State(Description):
    """A state with one rate of arrivals and a mean duration."""

    rate_per_s: RateOrZero
    """Rate of arrivals in this state; 0 for no arrivals [1/s]."""
    mean_dwell_s: PositiveSeconds
    """Mean duration of a stay in this state, which is exponentially distributed [s]."""


class Mmpp(OpenLoop):
    """Arrivals at the rate of a hidden state, which changes at random times.

    After an exponentially distributed stay the next state is drawn from the other states with equal
    probability. For two states the index of dispersion is known in closed form (Heffes, Lucantoni,
    IEEE JSAC 4(6), 1986). With a `cv` other than 1 the process is Markov-modulated renewal: gaps at
    a constant rate have this `cv`.
    """

    process: Literal["mmpp"] = "mmpp"
    states: Annotated[tuple[State, ...], Field(min_length=1)]
    """States between which the rate switches."""
    cv: Annotated[float, Field(gt=0.0)] = 1.0
    """Coefficient of variation of the gamma-distributed gaps within a state."""

    @model_validator(mode="after")
    def _some_state_has_arrivals(self) -> Mmpp:
        if not any(state.rate_per_s for state in self.states):
            raise ValueError("every state has a rate of zero; expected at least one with arrivals")
        return self

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely.

        A renewal process of rate 1 runs on the integral of the rate. The first state is random,
        with probabilities proportional to the mean stays.
        """
        rate_rng, gap_rng = rng.spawn(2)
        rates = np.array([state.rate_per_s for state in self.states])
        dwells_s = np.array([state.mean_dwell_s for state in self.states])
        shape = 1.0 / self.cv**2
        state = int(rate_rng.choice(len(rates), p=dwells_s / dwells_s.sum()))
        units = renewal_pieces(lambda count: gap_rng.gamma(shape, 1.0 / shape, count))
        began_s = area = 0.0
        ahead = next(units)
        while True:
            visited = self._visits(rate_rng, state)
            state = int(visited[-1])
            stays_s = rate_rng.exponential(dwells_s[visited[:-1]])
            at_s = np.concatenate([[began_s], began_s + np.cumsum(stays_s)])
            integral = np.concatenate([[area], area + np.cumsum(stays_s * rates[visited[:-1]])])
            began_s, area = float(at_s[-1]), float(integral[-1])
            while due := int(np.searchsorted(ahead, area)):
                yield np.interp(ahead[:due], integral, at_s)
                ahead = ahead[due:] if due < len(ahead) else next(units)

    def periods_until(self, until_s: float) -> float:
        """Return the mean number of stays in states until a time [s]."""
        return until_s * len(self.states) / sum(state.mean_dwell_s for state in self.states)

    def _visits(self, rng: np.random.Generator, state: int) -> np.ndarray:
        """Return the states of the next stays, starting with `state`, and the state after them."""
        count = len(self.states)
        if count == 1:
            return np.zeros(_DWELLS + 1, dtype=np.int64)
        return (state + np.concatenate([[0], np.cumsum(rng.integers(1, count, _DWELLS))])) % count

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], without the rate curve."""
        dwell_s = sum(state.mean_dwell_s for state in self.states)
        return sum(state.rate_per_s * state.mean_dwell_s for state in self.states) / dwell_s

    def rates_text(self, duration_s: float | None = None) -> str:
        """Return the mean rate over a run, and the rate of each state."""
        rates = ", ".join(f"{state.rate_per_s:.3g}/s" for state in self.states)
        return f"mean rate {self.mean_rate_per_s(duration_s):.3g}/s (states {rates})"

    def with_rates(self, change: Callable[[float], float]) -> Self:
        """Return a copy in which `change` is applied to the rate of each state.

        Stays in a state keep their length, since the length of a busy period does not depend on the
        number of users. The dispersion of counts beyond the Poisson noise then grows in proportion
        to the mean rate: the variance of a doubly stochastic count is its mean plus the variance of
        the integrated rate (Cox, Isham, Point Processes, 1980, ch. 3.3).
        """
        states = tuple(
            state.model_copy(update={"rate_per_s": change(state.rate_per_s)})
            for state in self.states
        )
        return self.model_copy(update={"states": states})
