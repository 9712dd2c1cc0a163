"""Successive halving: short runs of many deployments, and full runs of the best ones.

All deployments see the same traffic (common random numbers), and a short run sees its beginning.
Deployments of one cost form a level. Levels are searched from the cheapest one until one has a
deployment that meets the SLO in a run of full length. Quantities that only a run gives, power,
goodput and the cost of pools that are scaled, have one level. A deployment is given up for certain misses alone. Source of the method: Jamieson and Talwalkar, Non-stochastic best arm
identification and hyperparameter optimization, AISTATS 2016.

Of a large space, a sampler draws deployments, and learns from their short runs which to draw next.
Half of the budget is for these draws. The search continues with the drawn deployments alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil, inf
from typing import Any

from cluster_sim.scenario.study_spec import Wanted
from cluster_sim.studies.planning.draws import Draws
from cluster_sim.studies.planning.trial import Part, Trial

_KEPT = 3
"""One in this number of deployments sees the next round."""
_SLACK = 1.05
"""Factor on the ratio of the last deployment that is kept, within which others are kept too."""
_TOGETHER = 8
"""Number of deployments whose short runs are simulated at the same time: those of the next levels,
and those that are drawn before the sampler learns from them."""
_DEARER = 3
"""Number of levels above that of the winner, of each of which one deployment is simulated."""
_LARGE = 128
"""Number of deployments above which a sampler draws some of them."""
_FOR_DRAWS = 0.5
"""Share of the budget that drawn deployments may take."""
_SEED = 0
"""Seed of the draws."""
_MEANS = {"usd_per_hour": "mean_usd_per_hour", "nodes": "mean_nodes"}
"""Figures of a run with pools that are scaled, by what a plan optimises."""


@dataclass(frozen=True)
class Candidate:
    """A deployment with its cost. Scenarios take memory, so that it has none."""

    key: str
    """Key of the deployment."""
    values: Mapping[str, Any]
    """Values of what varies, by key."""
    cost: float | None
    """Cost in the unit of what the plan optimises; None if only a run gives it."""
    price: float = 0.0
    """Cost by which deployments of equal value are ordered [USD/h]."""


Tried = Callable[[Sequence[Candidate], Part], Mapping[str, Trial]]
"""Function that simulates a part of the traffic of deployments and returns trials by key."""


@dataclass
class Search:
    """Search among deployments."""

    wanted: Wanted
    """Quantity that is optimised."""
    parts: tuple[Part, ...]
    """Part of the traffic of each round, ascending to all of it."""
    tried: Tried
    """Function that simulates."""
    budget: float
    """Maximum sum of simulated shares."""
    trials: dict[str, list[Trial]] = field(default_factory=dict)
    """Trials by key of the deployment, in the order of the rounds."""
    spent: float = 0.0
    """Sum of simulated shares."""
    is_cut: bool = False
    """Whether the budget did not allow a simulation."""

    def run(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the deployments that were simulated in full, best first.

        Those that meet the SLO come before the others.
        """
        levels = _levels(self._drawn(candidates) if len(candidates) > _LARGE else candidates)
        ended: list[Candidate] = []
        for number, level in enumerate(levels):
            if self.is_exhausted:
                break
            self._look_ahead(levels[number:])
            ended += self._halved(level, self.parts)
            if any(self.last(each).is_met for each in ended):
                best = min(ended, key=self.rank)
                ended += self._dearer(best, levels[number + 1 : number + 1 + _DEARER])
                return sorted(ended, key=self.rank)
        return sorted(self._with_nearest(candidates, ended), key=self.rank)

    def _with_nearest(
        self, candidates: Sequence[Candidate], ended: Sequence[Candidate]
    ) -> list[Candidate]:
        """Return `ended` and the deployment nearest to the SLO, whose run does not end early.

        Its latencies and its share of requests within the SLO say what would meet the SLO.
        """
        seen = [each for each in candidates if each.key in self.trials]
        if not seen:
            return list(ended)
        nearest = min(seen, key=self.rank)
        is_whole = self.last(nearest).share == 1.0 and not self.last(nearest).misses
        if not is_whole and not self.is_exhausted:
            self._count(self.tried([nearest], Part(1.0, 0)))
        others = [each for each in ended if each is not nearest]
        return [*others, nearest] if self.last(nearest).share == 1.0 else others

    def _dearer(self, best: Candidate, levels: Sequence[Sequence[Candidate]]) -> list[Candidate]:
        """Return the deployment of each level that is most like the best one, simulated in full.

        They show what latencies a higher cost buys.
        """

        def likeness(candidate: Candidate) -> int:
            own = best.values
            return sum(own.get(key) == value for key, value in candidate.values.items())

        alike = [max(level, key=likeness) for level in levels]
        self._simulate(alike, self.parts[-1])
        return [each for each in alike if self._lives(each, self.parts[-1])]

    def _drawn(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return deployments of a large space that a sampler draws; their short runs are done."""
        draws, drawn = Draws([each.values for each in candidates], _SEED), list[Candidate]()
        while self.spent < _FOR_DRAWS * self.budget and (numbers := draws.ask(_TOGETHER)):
            batch = [candidates[number] for number in numbers]
            self._simulate(batch, self.parts[0])
            for number, each in zip(numbers, batch, strict=True):
                if each.key in self.trials:
                    draws.tell(number, self._score(each))
                    drawn.append(each)
        return drawn

    def _score(self, candidate: Candidate) -> float:
        """Return the score of a deployment: below 1 if a run meets the SLO, else from 1 to 2."""
        trial = self.last(candidate)
        if not trial.is_met:
            return 2.0 - trial.figures.get("slo_attainment", 0.0)
        value = value_of(candidate, trial, self.wanted)
        return value / (1.0 + abs(value)) if value < inf else 1.0

    @property
    def is_exhausted(self) -> bool:
        """Whether the budget ended the search."""
        return self.is_cut or self.spent >= self.budget

    def last(self, candidate: Candidate) -> Trial:
        """Return the longest trial of a deployment."""
        return self.trials[candidate.key][-1]

    def rank(self, candidate: Candidate) -> tuple[bool, float, float, float]:
        """Return the order of a deployment by its longest trial; the lowest one is the best.

        Of equal values, the cheaper one is better, and then the one farther from its limits.
        """
        trial = self.last(candidate)
        if not trial.is_met:
            return True, -trial.figures.get("slo_attainment", 0.0), trial.ratio, candidate.price
        value = float(f"{value_of(candidate, trial, self.wanted):.6g}")
        return False, value, candidate.price, trial.ratio

    def _look_ahead(self, levels: Sequence[Sequence[Candidate]]) -> None:
        """Simulate the short runs of the next levels at the same time, on all processes."""
        if len(self.parts) == 1:
            return
        ahead: list[Candidate] = []
        for level in levels:
            if ahead and len(ahead) + len(level) > _TOGETHER:
                break
            ahead += level
        self._simulate(ahead, self.parts[0])

    def _halved(self, level: Sequence[Candidate], parts: Sequence[Part]) -> list[Candidate]:
        """Return the deployments of a level that were simulated in full.

        The best third after the first part sees the further parts. If none of them meets the SLO,
        the next third does.
        """
        self._simulate(level, parts[0])
        alive = [each for each in level if self._lives(each, parts[0])]
        if len(parts) == 1:
            return alive
        ranked, ended = sorted(alive, key=self._promise), list[Candidate]()
        count = ceil(len(ranked) / _KEPT)
        while ranked and not self.is_exhausted:
            batch = self._first(ranked, count)
            taken = {each.key for each in batch}
            ranked = [each for each in ranked if each.key not in taken]
            ended += self._halved(batch, parts[1:])
            if any(self.last(each).is_met for each in ended):
                break
        return ended

    def _lives(self, candidate: Candidate, part: Part) -> bool:
        """Return whether a deployment was simulated with this part, and may still meet the SLO."""
        trials = self.trials.get(candidate.key)
        return trials is not None and trials[-1].share >= part.share and not trials[-1].misses

    def _first(self, ranked: Sequence[Candidate], count: int) -> Sequence[Candidate]:
        """Return the first `count` deployments, and those that are nearly as good as the last."""
        if ranked[0].cost is None:  # deployments without a cost are ranked by what a run gives
            return ranked[:count]
        most = _SLACK * self.last(ranked[:count][-1]).ratio
        return [
            each
            for number, each in enumerate(ranked)
            if number < count or self.last(each).ratio <= most
        ]

    def _promise(self, candidate: Candidate) -> tuple[float, float, float]:
        """Return the order of a deployment after a short run, whose verdict is not final."""
        trial = self.last(candidate)
        misses = max(trial.ratio, 1.0) if candidate.cost is None else trial.ratio
        value = 0.0 if candidate.cost is not None else value_of(candidate, trial, self.wanted)
        return misses, float(f"{value:.6g}"), candidate.price

    def _simulate(self, candidates: Sequence[Candidate], part: Part) -> None:
        """Simulate deployments that have not yet seen this part, as many as the budget allows."""
        new = [
            each
            for each in candidates
            if not (done := self.trials.get(each.key)) or done[-1].share < part.share
        ]
        left = ceil((self.budget - self.spent) / part.share)
        new, self.is_cut = new[: max(left, 0)], self.is_cut or len(new) > left
        self._count(self.tried(new, part))

    def _count(self, trials: Mapping[str, Trial]) -> None:
        """Store trials, and count what was simulated."""
        for key, trial in trials.items():
            self.trials.setdefault(key, []).append(trial)
            self.spent += trial.simulated


def value_of(candidate: Candidate, trial: Trial, wanted: Wanted) -> float:
    """Return what a plan minimises: the cost, the power, or the negative goodput.

    Cost and nodes are means over the run if a pool is scaled.
    """
    if candidate.cost is not None:
        return candidate.cost
    if wanted in _MEANS:
        return trial.figures.get(_MEANS[wanted], inf)
    if wanted == "goodput":
        return -trial.figures.get("request_goodput", 0.0)
    return trial.figures.get("mean_power_w", inf)


def _levels(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Return deployments by cost, cheapest first; one level if costs are unknown."""

    def cost(candidate: Candidate) -> float:
        return 0.0 if candidate.cost is None else candidate.cost

    ordered = sorted(candidates, key=cost)
    return [list(level) for _, level in groupby(ordered, key=lambda each: round(cost(each), 6))]
