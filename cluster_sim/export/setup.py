"""Set-up of a benchmark: model, load and lengths, of a result file and of a simulation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from cluster_sim.export.client_load import own_load
from cluster_sim.export.client_view import Answers

_TOLERANCE = 0.05
"""Relative difference of two numbers from which on set-ups differ."""


@dataclass(frozen=True)
class Setup:
    """Set-up of a benchmark; None for everything that is unknown."""

    model: str | None = None
    """Name of the model."""
    rate_per_s: float | None = None
    """Rate of requests; infinite if requests are not sent at a rate [1/s]."""
    concurrency: float | None = None
    """Maximum number of requests under way."""
    requests: float | None = None
    """Number of sent requests."""
    prompt_tokens: float | None = None
    """Mean length of the prompts [tokens]."""
    output_tokens: float | None = None
    """Mean length of the answers [tokens]."""

    def differences(self, simulated: Setup) -> Iterator[str]:
        """Yield what differs from the set-up of a simulation, as far as both are known."""
        if self.model and simulated.model and not _is_same_model(self.model, simulated.model):
            yield f"model {self.model} and {simulated.model}"
        yield from self._of_load(simulated)
        for what, measured, own in (
            ("number of prompts", self.requests, simulated.requests),
            ("mean prompt tokens", self.prompt_tokens, simulated.prompt_tokens),
            ("mean output tokens", self.output_tokens, simulated.output_tokens),
        ):
            if _differ(measured, own):
                yield f"{what} {measured:,.5g} and {own:,.5g}"

    def _of_load(self, simulated: Setup) -> Iterator[str]:
        """Yield the difference of the rates, or of the concurrencies if neither has a rate."""
        if _differ(self.rate_per_s, simulated.rate_per_s):
            yield f"request rate {self._load()} and {simulated._load()}"
        elif _differ(self.concurrency, simulated.concurrency):
            yield f"concurrency {self.concurrency:,.5g} and {simulated.concurrency:,.5g}"

    def _load(self) -> str:
        """Return the rate in words, with the concurrency if there is no rate."""
        if self.rate_per_s != inf:
            return f"{self.rate_per_s:,.4g} /s"
        return "inf" if self.concurrency is None else f"inf (concurrency {self.concurrency:,.5g})"


def setup_of_run(answers: Answers) -> Setup:
    """Return the set-up of a simulation. A trace and sessions say no rate and no concurrency."""
    scenario, done = answers.results.scenario, answers.of_done
    load, arrivals = own_load(scenario), scenario.workload.arrivals
    rate_per_s = concurrency = None
    if load is not None:
        rate_per_s = inf if load.rate_per_s is None else load.rate_per_s
        concurrency = load.max_concurrency
    elif arrivals is not None and scenario.workload.trace is None:
        rate_per_s = arrivals.mean_rate_per_s(scenario.duration_s)
    is_whole, has_answers = scenario.stands_for == 1, len(done.arrival_s) > 0
    return Setup(
        scenario.model.name,
        rate_per_s if is_whole else None,
        concurrency if is_whole else None,
        len(answers.done) if is_whole else None,
        float(np.mean(done.prompt_tokens)) if has_answers else None,
        float(np.mean(done.output_tokens)) if has_answers else None,
    )


def _differ(measured: float | None, simulated: float | None) -> bool:
    """Return whether two known numbers differ by more than the tolerance."""
    if measured is None or simulated is None or measured == simulated:
        return False
    return not abs(measured - simulated) <= _TOLERANCE * min(measured, simulated)


def _is_same_model(measured: str, simulated: str) -> bool:
    """Return whether all words of one name of a model are in the other name.

    Servers add publisher, precision and training to the name, or are given a short name.

    Examples
    --------
    >>> _is_same_model("nvidia/Llama-3.3-70B-Instruct-FP8", "Llama 3.3 70B")
    True
    >>> _is_same_model("meta-llama/Llama-3.1-8B-Instruct", "Llama 3.3 70B")
    False
    """
    here, there = (
        set(re.findall(r"[a-z]+\d*|\d+(?:\.\d+)?[a-z]*", name.lower().rpartition("/")[2]))
        for name in (measured, simulated)
    )
    return here <= there or there <= here
