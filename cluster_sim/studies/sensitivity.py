"""Which uncertain figures of the catalog an answer hangs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import CATALOG, Figure, catalog_names, figures, path_text, read_yaml
from cluster_sim.studies.workers import Call, called
from cluster_sim.units import number_and_unit

if TYPE_CHECKING:
    import pyarrow as pa

CONFIDENCES = ("low", "medium", "high")

_KINDS = {
    "model": "models",
    "node": "nodes",
    "device": "devices",
    "engine": "engines",
    "network": "links",
    "prices": "prices",
}
"""Keys under which a file names an entry of the catalog, and the folder where it is."""

Trail = tuple[str | int, ...]


@dataclass(frozen=True)
class Uncertain:
    """A figure of the catalog that a scenario uses, and how far off it may be."""

    name: str
    """The entry and the place in it."""
    keys: tuple[str, ...]
    """Where the scenario has it: more than once where two pools share a device."""
    value: str
    low: str | float
    high: str | float
    confidence: str
    note: str


@dataclass(frozen=True)
class Effect:
    """What a figure's ends do to the outcome; NaN where the end is beyond what the figure may be."""

    figure: Uncertain
    at_low: float
    at_high: float
    base: float

    @property
    def swing(self) -> float:
        """From the least to the greatest outcome."""
        reached = np.array([self.at_low, self.at_high, self.base])
        return float(np.nanmax(reached) - np.nanmin(reached))


@dataclass(frozen=True)
class Sensitivity:
    """What `sensitivity` found: figures in the order of their swings, those without any left out."""

    title: str
    metric: str
    base: float
    effects: tuple[Effect, ...]
    without: int
    """Figures that change nothing."""

    @property
    def table(self) -> pa.Table:
        """One row a figure, the one on which most hangs first."""
        from cluster_sim.studies.store import table

        return table(
            {key: value for key, value in asdict(one.figure).items() if key != "keys"}
            | {
                "low": str(one.figure.low),
                "high": str(one.figure.high),
                "metric": self.metric,
                "base": one.base,
                "at_low": one.at_low,
                "at_high": one.at_high,
                "swing": one.swing,
            }
            for one in self.effects
        )


def sensitivity(
    path: str | Path,
    variant: str | None = None,
    metric: str = "p95_ttft_ms",
    confidence: str = "low",
    spread: float = 0.2,
    replications: int = 1,
    sets: Sequence[str] = (),
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sensitivity:
    """`metric` of one variant with each figure at either end of its range, the others as they are:
    a tornado's bars.

    Looks at figures of `confidence` and below. A figure's range is what the catalog says, else
    `spread` of it to either side. All runs see the same traffic, on `replications` seeds, of which
    the mean is taken. One figure at a time: what two do together beyond the sum of what each does
    is not seen. Raises ScenarioError for faults in the file, or where there is no such metric.
    """
    file = open_scenarios(path, sets)
    variant = chosen_variant(file, variant)
    base = file.scenario(variant)
    uncertain = list(
        _uncertain(file, variant, CONFIDENCES[: CONFIDENCES.index(confidence) + 1], spread)
    )
    if not uncertain:
        raise ScenarioError.at(file.place(), f"uses no figure of {confidence} confidence")
    ends: dict[tuple[int, str], Scenario] = {(-1, "base"): base}
    for number, one in enumerate(uncertain):
        for end, value in (("low", one.low), ("high", one.high)):
            try:
                ends[number, end] = file.scenario(variant, dict.fromkeys(one.keys, value))
            except ScenarioError:  # an efficiency above 1, half a processor
                continue
    means = dict(
        zip(
            ends,
            mean_outcomes(list(ends.values()), metric, replications, workers, progress).tolist(),
            strict=True,
        )
    )
    effects = [
        Effect(
            one,
            means.get((number, "low"), np.nan),
            means.get((number, "high"), np.nan),
            means[-1, "base"],
        )
        for number, one in enumerate(uncertain)
    ]
    moving = sorted((one for one in effects if one.swing > 0), key=lambda one: -one.swing)
    return Sensitivity(
        base.title, metric, means[-1, "base"], tuple(moving), len(effects) - len(moving)
    )


def chosen_variant(file: ScenarioFile, name: str | None) -> str | None:
    """`name`, else the only variant of the file. Raises ScenarioError where it has several."""
    if name is None and len(file.variants) > 1:
        raise ScenarioError.at(
            file.place("variants"), f"has the variants {', '.join(file.variants)}; name one"
        )
    return name if name is not None or not file.variants else file.variants[0]


def measured(scenario: Scenario, metric: str) -> float:
    """One field of the summary of one run. Raises ScenarioError where it has no such field."""
    from cluster_sim.sim.simulate import simulate

    summary: Mapping[str, Any] = simulate(scenario).summary()
    if not isinstance(value := summary.get(metric), (int, float)):
        known = [key for key, one in summary.items() if isinstance(one, (int, float))]
        raise ScenarioError.at(scenario.title, f"no metric '{metric}'{did_you_mean(metric, known)}")
    return float(value)


def mean_outcomes(
    scenarios: Sequence[Scenario],
    metric: str,
    replications: int,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.float64]:
    """The metric of each scenario, a mean over `replications` seeds from its own on. Raises
    ScenarioError as `measured` does.
    """
    work: Iterator[tuple[tuple[int, int], Call]] = (
        (
            (place, seed),
            (measured, (scenario.model_copy(update={"seed": scenario.seed + seed}), metric)),
        )
        for place, scenario in enumerate(scenarios)
        for seed in range(replications)
    )
    found = np.zeros((len(scenarios), replications))
    for done, (of, outcome) in enumerate(called(work, workers), 1):
        if isinstance(outcome, Exception):
            raise outcome
        found[of] = outcome
        if progress is not None:
            progress(done, found.size)
    means: NDArray[np.float64] = found.mean(axis=1)
    return means


def _uncertain(
    file: ScenarioFile, variant: str | None, confidences: Sequence[str], spread: float
) -> Iterator[Uncertain]:
    places: dict[tuple[str, str], list[str]] = {}
    for trail, kind, name in _entries(file.written(variant)):
        places.setdefault((kind, name), []).append(path_text(trail))
    for (kind, name), keys in places.items():
        for figure in figures(read_yaml(CATALOG / kind / f"{name}.yaml").data):
            if figure.confidence in confidences and (ends := _ends(figure, spread)) is not None:
                inside = tuple(f"{key}.{figure.path}" for key in keys)
                yield Uncertain(
                    f"{name}: {figure.path}",
                    inside,
                    figure.value,
                    *ends,
                    figure.confidence,
                    figure.note,
                )


def _entries(written: Any, trail: Trail = ()) -> Iterator[tuple[Trail, str, str]]:
    """(where, kind, name) of each entry of the catalog that is named in what a file says, and in
    those entries.
    """
    if isinstance(written, dict):
        for key, value in written.items():
            inner, kind = (*trail, key), _KINDS.get(str(key))
            if kind is not None and isinstance(value, str) and value in catalog_names(kind):
                yield inner, kind, value
                yield from _entries(read_yaml(CATALOG / kind / f"{value}.yaml").data, inner)
            else:
                yield from _entries(value, inner)
    elif isinstance(written, list):
        for index, value in enumerate(written):
            yield from _entries(value, (*trail, index))


def _ends(figure: Figure, spread: float) -> tuple[str | float, str | float] | None:
    """The ends of a figure's range; None for what is no number other than zero."""
    if figure.range is not None:
        low, high = map(_plain, figure.range)
        return low, high
    try:
        value, unit = number_and_unit(figure.value)
    except ValueError:
        return None
    if value == 0:
        return None
    low, high = (_plain(f"{value * (1 + sign * spread):.12g} {unit}") for sign in (-1, 1))
    return low, high


def _plain(text: str) -> str | float:
    """A bare number as one, a quantity as it is written."""
    try:
        return float(text)
    except ValueError:
        return text
