"""Which uncertain figures of the catalog an answer hangs on when all of them move at once: Morris
and Sobol indices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.sensitivity import Uncertain, chosen_variant, mean_outcomes, sensitivity
from cluster_sim.typing import Array
from cluster_sim.units import number_and_unit

if TYPE_CHECKING:
    import pyarrow as pa

Outcomes = Callable[[Array], Array]
"""From samples (n, figures), each the share of the way through a figure's range, to n outcomes."""

_INSIDE = (0.0, 0.381966, 1.0)
"""Where a figure must be able to be: what must be whole is whole at none or few of these."""

_MEANING = {
    "morris": "mu*: mean of what a figure's whole range does, either way, in the unit of the metric; sigma: how much that depends on the others and on where it is",
    "sobol": "first: share of the outcome's variance by the figure alone; total: with all that it does together with others",
}


@dataclass(frozen=True)
class Indices:
    """What `indices` found: figures with their numbers under `columns`, the one on which most hangs
    first.
    """

    title: str
    metric: str
    method: str
    base: float
    """The outcome with the catalog as it is."""
    runs: int
    columns: tuple[str, ...]
    ranked: tuple[tuple[Uncertain, tuple[float, ...]], ...]
    left_out: tuple[str, ...]
    """Figures that move the outcome but may not be anywhere in their ranges, such as whole
    numbers."""

    @property
    def meaning(self) -> str:
        """Of the columns, in a sentence."""
        return f"{_MEANING[self.method]}; +-: half the 95 % interval"

    @property
    def table(self) -> pa.Table:
        """One row a figure."""
        from cluster_sim.studies.store import table

        return table(
            {key: value for key, value in asdict(figure).items() if key != "keys"}
            | {
                "low": str(figure.low),
                "high": str(figure.high),
                "metric": self.metric,
                "method": self.method,
                "base": self.base,
            }
            | dict(zip(self.columns, numbers, strict=True))
            for figure, numbers in self.ranked
        )


def indices(
    path: str | Path,
    method: str,
    variant: str | None = None,
    metric: str = "p95_ttft_ms",
    confidence: str = "low",
    spread: float = 0.2,
    samples: int = 16,
    replications: int = 1,
    sets: Sequence[str] = (),
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Indices:
    """Indices of `metric` to the figures that move it when they move alone, by `method` (morris or
    sobol); ranges as `sensitivity` has them.

    samples: of morris its trajectories, each as many runs as figures and one more; of sobol its
    base samples, rounded up to a power of two, each as many runs as figures and two more. All runs
    see the same traffic, on `replications` seeds, of which the mean is taken. A figure that does
    nothing alone is not looked at. Raises ScenarioError for faults in the file, where SALib is not
    installed, and where no figure moves the outcome.
    """
    analyse = {"morris": morris, "sobol": sobol}[method]
    _salib()
    alone = sensitivity(
        path, variant, metric, confidence, spread, replications, sets, workers, progress
    )
    file = open_scenarios(path, sets)
    variant = chosen_variant(file, variant)
    moving = [
        one.figure
        for one in alone.effects
        if not isnan(one.at_low) and not isnan(one.at_high) and _anywhere(file, variant, one.figure)
    ]
    if not moving:
        raise ScenarioError.at(
            file.place(),
            f"no figure of {confidence} confidence or below moves {metric} and may be anywhere in its range",
        )
    runs = 0

    def outcomes(shares: Array) -> Array:
        nonlocal runs
        runs = len(shares) * replications
        return mean_outcomes(
            [_scenario(file, variant, moving, row) for row in shares],
            metric,
            replications,
            workers,
            progress,
        )

    found = analyse(len(moving), outcomes, samples)
    by_column = list(zip(*found.values(), strict=True))
    first = list(found).index("mu*" if method == "morris" else "total")
    ranked = sorted(
        zip(moving, (tuple(map(float, row)) for row in by_column), strict=True),
        key=lambda pair: -pair[1][first],
    )
    left = tuple(one.figure.name for one in alone.effects if one.figure not in moving)
    return Indices(alone.title, metric, method, alone.base, runs, tuple(found), tuple(ranked), left)


def morris(figures: int, outcomes: Outcomes, trajectories: int, seed: int = 0) -> dict[str, Array]:
    """Elementary effects over the unit cube: mu* with half its 95 % interval, and sigma, each
    (figures,).

    Source: Morris, Technometrics 33(2), 1991; mu* from Campolongo, Cariboni, Saltelli, Environ.
    Model. Softw. 22(10), 2007.
    """
    _salib()
    from SALib.analyze.morris import analyze
    from SALib.sample.morris import sample

    problem = _problem(figures)
    samples = sample(problem, trajectories, seed=seed)
    found = analyze(problem, samples, outcomes(samples), seed=seed)
    return {
        "mu*": np.asarray(found["mu_star"]),
        "mu* +-": np.asarray(found["mu_star_conf"]),
        "sigma": np.asarray(found["sigma"]),
    }


def sobol(figures: int, outcomes: Outcomes, samples: int, seed: int = 0) -> dict[str, Array]:
    """First-order and total indices over the unit cube with half their 95 % intervals, each
    (figures,).

    Source: Saltelli et al., Comput. Phys. Commun. 181(2), 2010; samples are rounded up to a power
    of two, as Sobol's sequence is even over the cube only then.
    """
    _salib()
    from SALib.analyze.sobol import analyze
    from SALib.sample.sobol import sample

    problem = _problem(figures)
    rows = sample(problem, 2 ** (samples - 1).bit_length(), calc_second_order=False, seed=seed)
    found = analyze(problem, outcomes(rows), calc_second_order=False, seed=seed)
    return {
        name: np.asarray(found[key])
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


def _salib() -> None:
    try:
        import SALib  # noqa: F401 - only whether it is there
    except ImportError as fault:
        raise ScenarioError.at(
            "--method",
            "needs SALib, which is not installed; pip install 'cluster-sim[sensitivity]' brings it",
        ) from fault


def _scenario(
    file: ScenarioFile, variant: str | None, figures: Sequence[Uncertain], shares: Sequence[float]
) -> Scenario:
    """With each figure this share of the way through its range."""
    return file.scenario(
        variant,
        {
            key: _at(one, share)
            for one, share in zip(figures, shares, strict=True)
            for key in one.keys
        },
    )


def _at(figure: Uncertain, share: float) -> str | float:
    """A value in the range as a file writes it. Raises ScenarioError where the ends are in two
    units.
    """
    ends = [
        number_and_unit(end) if isinstance(end, str) else (end, "")
        for end in (figure.low, figure.high)
    ]
    (low, unit), (high, other) = ends
    if unit != other:
        raise ScenarioError.at(
            figure.name, f"has a range from {figure.low} to {figure.high}; wanted one unit"
        )
    value = float(f"{low + share * (high - low):.12g}")
    return f"{value!r} {unit}" if unit else value


def _anywhere(file: ScenarioFile, variant: str | None, figure: Uncertain) -> bool:
    try:
        for share in _INSIDE:
            _scenario(file, variant, [figure], [share])
    except ScenarioError:
        return False
    return True
