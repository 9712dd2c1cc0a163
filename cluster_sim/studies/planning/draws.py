"""Draws of deployments from a large space, by a sampler that learns from their short runs.

The sampler is the tree-structured Parzen estimator of Optuna. Source: Bergstra, Bardenet, Bengio and
Kégl, Algorithms for hyper-parameter optimization, NeurIPS 2011.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.errors import ScenarioError

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

_OFF_SPACE = 3.0
"""Score of values that are no candidate; a deployment that misses the SLO scores at most 2."""
_MOST_KNOWN = 20
"""Number of proposals in a row that are known, after which a deployment is drawn at random."""
_FIRST = 24
"""Number of random draws before the sampler learns."""


class Draws:
    """Sampler of deployments, which is told the score of each one that it proposes."""

    def __init__(self, values: Sequence[Mapping[str, Any]], seed: int) -> None:
        """Prepare to draw from deployments.

        Parameters
        ----------
        values
            Values of each deployment, by key.
        seed
            Seed of the draws.

        Raises
        ------
        ScenarioError
            Optuna is not installed.
        """
        axes: dict[str, dict[str, Any]] = {}
        for each in values:
            for key, value in each.items():
                axes.setdefault(key, {})[_text(value)] = value
        self._axes = {key: axis for key, axis in axes.items() if len(axis) > 1}
        self._numbers = {self._place(each): number for number, each in enumerate(values)}
        self._random = np.random.default_rng(seed)
        self._study = _study(seed)
        self._distributions = {key: _distribution(axis) for key, axis in self._axes.items()}
        self._trials: dict[int, Trial | None] = {}
        self._scores: dict[int, float] = {}

    def ask(self, count: int) -> list[int]:
        """Return the numbers of at most `count` deployments that were not drawn before."""
        numbers: list[int] = []
        while len(numbers) < count and len(self._trials) < len(self._numbers):
            number, trial = self._new()
            self._trials[number] = trial
            numbers.append(number)
        return numbers

    def tell(self, number: int, score: float) -> None:
        """Learn the score of a drawn deployment; a lower one is better."""
        self._scores[number] = score
        trial = self._trials[number]
        if trial is not None:
            self._study.tell(trial, score)

    def _new(self) -> tuple[int, Trial | None]:
        """Return a deployment that was not drawn before; without a trial if it is a random one."""
        for _ in range(_MOST_KNOWN):
            trial = self._study.ask(self._distributions)
            number = self._numbers.get(tuple(int(trial.params[key]) for key in self._axes))
            if number is not None and number not in self._trials:
                return number, trial
            known = _OFF_SPACE if number is None else self._scores.get(number, _OFF_SPACE)
            self._study.tell(trial, known)
        left = [number for number in self._numbers.values() if number not in self._trials]
        return left[int(self._random.integers(len(left)))], None

    def _place(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the index of each value on its axis."""
        return tuple(
            list(axis).index(_text(values[key])) if key in values else 0
            for key, axis in self._axes.items()
        )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _study(seed: int) -> Study:
    try:
        import optuna
    except ImportError as fault:
        raise ScenarioError.at(
            "plan.vary",
            "a space of this size needs the package Optuna; install it with pip install 'cluster-sim[plan]', or vary fewer values",
        ) from fault
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=_FIRST, multivariate=True, constant_liar=True
        )
    return optuna.create_study(sampler=sampler)


def _distribution(axis: Mapping[str, Any]) -> BaseDistribution:
    """Return a distribution of indices: ordered if the values are ascending numbers."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    values, last = list(axis.values()), len(axis) - 1
    numbers = [each for each in values if isinstance(each, (int, float))]
    if len(numbers) == len(values) and numbers == sorted(numbers):
        return IntDistribution(0, last)
    return CategoricalDistribution(list(range(len(axis))))
