"""Sensitivity indices of functions over the unit cube by Morris and Sobol, computed by SALib."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.typing import Array

Outcomes = Callable[[Array], Array]
"""Function from samples of shape (n, figures), each from 0 to 1, to n outcomes."""


def morris(figures: int, outcomes: Outcomes, trajectories: int, seed: int = 0) -> dict[str, Array]:
    """Return Morris indices over the unit cube: mu* with half its 95 % interval, and sigma.

    Parameters
    ----------
    figures
        Number of dimensions of the cube.
    outcomes
        Function that is analysed.
    trajectories
        Number of trajectories, each of `figures` + 1 samples.
    seed
        Seed of the samples and of the intervals.

    Returns
    -------
    dict[str, Array]
        Each index by name, of shape (figures,).

    Notes
    -----
    Source: Morris, Technometrics 33(2), 1991; mu* from Campolongo, Cariboni, Saltelli, Environ.
    Model. Softw. 22(10), 2007.
    """
    require_salib()
    from SALib.analyze.morris import analyze
    from SALib.sample.morris import sample

    problem = _problem(figures)
    samples = sample(problem, trajectories, seed=seed)
    analysis = analyze(problem, samples, outcomes(samples), seed=seed)
    return {
        "mu*": np.asarray(analysis["mu_star"]),
        "mu* +-": np.asarray(analysis["mu_star_conf"]),
        "sigma": np.asarray(analysis["sigma"]),
    }


def sobol(figures: int, outcomes: Outcomes, samples: int, seed: int = 0) -> dict[str, Array]:
    """Return first-order and total Sobol indices over the unit cube and half their 95 % intervals.

    Parameters
    ----------
    figures
        Number of dimensions of the cube.
    outcomes
        Function that is analysed.
    samples
        Number of base samples, each of `figures` + 2 samples. It is rounded up to a power of two,
        for which Sobol's sequence covers the cube evenly.
    seed
        Seed of the samples and of the intervals.

    Returns
    -------
    dict[str, Array]
        Each index by name, of shape (figures,).

    Notes
    -----
    Source: Saltelli et al., Comput. Phys. Commun. 181(2), 2010.
    """
    require_salib()
    from SALib.analyze.sobol import analyze
    from SALib.sample.sobol import sample

    problem = _problem(figures)
    rows = sample(problem, 2 ** (samples - 1).bit_length(), calc_second_order=False, seed=seed)
    analysis = analyze(problem, outcomes(rows), calc_second_order=False, seed=seed)
    return {
        name: np.asarray(analysis[key])
        for name, key in (
            ("total", "ST"),
            ("total +-", "ST_conf"),
            ("first", "S1"),
            ("first +-", "S1_conf"),
        )
    }


def _problem(figures: int) -> dict[str, Any]:
    return {
        "num_vars": figures,
        "names": [f"x{place}" for place in range(figures)],
        "bounds": [[0.0, 1.0]] * figures,
    }


class Method(NamedTuple):
    """One method of analysis."""

    function: Callable[[int, Outcomes, int], dict[str, Array]]
    """Function of the number of figures, the outcomes and the number of samples."""
    ranking: str
    """Name of the index by which figures are ranked."""
    meaning: str
    """Meaning of the indices, in a sentence."""


METHODS = {
    "morris": Method(
        morris,
        "mu*",
        "mu*: mean absolute effect of a figure's whole range, in the unit of the metric; sigma: standard deviation of that effect over the values of all figures",
    ),
    "sobol": Method(
        sobol,
        "total",
        "first: share of the outcome's variance due to the figure alone; total: due to the figure and its interactions with other figures",
    ),
}
"""Methods by name."""


def require_salib() -> None:
    """Raise ScenarioError if SALib is not installed."""
    try:
        import SALib  # noqa: F401 - only to check that it is installed
    except ImportError as fault:
        raise ScenarioError.at(
            "--method",
            "needs the package SALib; install it with pip install 'cluster-sim[sensitivity]'",
        ) from fault
