"""Parameters with which a benchmark client would send the requests of a run."""

from __future__ import annotations

from math import inf

import numpy as np

from cluster_sim.export.client_view import Answers
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.arrivals import ClientLoad

_CONSTANT_CV = 1e-6
"""Coefficient of variation below which gaps differ only by the rounding of timestamps."""


def declared_load(scenario: Scenario) -> ClientLoad | None:
    """Return the client parameters of the scenario's arrivals, or None.

    The result is None for traces, for sessions, and for arrivals that a client cannot generate.
    """
    arrivals = None if scenario.workload.sessions else scenario.workload.arrivals
    return None if arrivals is None else arrivals.client_load()


def own_load(scenario: Scenario) -> ClientLoad | None:
    """Return the client parameters of the scenario's sessions, or None.

    Without sessions they are those of its arrivals.
    """
    sessions = scenario.workload.sessions
    return declared_load(scenario) if sessions is None else sessions.client_load()


def measured_load(answers: Answers) -> ClientLoad:
    """Return the steady rate and the gamma-distributed gaps that fit the arrivals of a run.

    Mean and variance of the gaps equal those of the run: the shape of the gamma distribution is
    (mean / deviation)², which is infinite if all gaps are equal.
    """
    gaps_s = np.diff(answers.arrival_s)
    if not len(gaps_s) or not gaps_s.any():
        return ClientLoad()
    mean_s, std_s = np.mean(gaps_s), np.std(gaps_s)
    shape = float((mean_s / std_s) ** 2) if std_s > _CONSTANT_CV * mean_s else inf
    return ClientLoad(round(float(1.0 / mean_s), 6), shape)
