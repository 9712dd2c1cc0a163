"""Catalog figures of low confidence that an answer rests on, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import ENTRY_KINDS, Figure, Trail, catalog_figures, keys_of
from cluster_sim.studies.figure_use import Part, part_of
from cluster_sim.studies.uncertain_figures import ends_of, named_entries
from cluster_sim.units import number_and_unit

_KINDS = ENTRY_KINDS | {"preset": "workloads"}
_PARTS: tuple[Part, ...] = ("speed", "price", "power", "heat")
_NAMED = 5
"""Maximum number of figures, or groups of figures, that the line names."""
_FIRST = (
    *("predecessor", "wafer", "efficiency", "kernels", "purchase", "rental", "price"),
    *("arrivals", "prompt_tokens", "output_tokens", "sessions", "memory", "overheads"),
    *("collectives", "exchanges", "power", "cooling", "governor", "limits"),
)
"""First parts of paths, the most important first; other paths follow."""
_DEPTHS = {
    "kernels": 3,
    "collectives": 2,
    "exchanges": 2,
    "overheads": 2,
    "purchase": 0,
    "rental": 0,
}
"""Number of parts of a path that name the group of a figure; 0 for a figure without a group."""
_ABOUT_TRACES = ("name", "lasts", "matches", "misses")


class Estimate(NamedTuple):
    """One catalog figure of low confidence that an answer rests on."""

    part: Part
    """Part of the answer that the figure can change."""
    entry: str
    """Name of the catalog entry."""
    path: str
    """Path of the figure in the entry."""
    text: str
    """Value, or range if the catalog gives one."""

    @property
    def root(self) -> str:
        """First part of the path."""
        return self.path.partition(".")[0].partition("[")[0]

    @property
    def group(self) -> str:
        """Path of the group in which the figure is listed."""
        depth = _DEPTHS.get(self.root, 1)
        if self.part == "price" and depth:
            return "other prices"
        return ".".join(keys_of(self.path)[:depth]) if depth else self.path

    @property
    def rank(self) -> int:
        """Rank of the first part of the path in order of importance."""
        return _FIRST.index(self.root) if self.root in _FIRST else len(_FIRST)


def estimate(kind: str, entry: str, figure: Figure, scenario: Scenario) -> Estimate | None:
    """Return a figure as an estimate; None if it is no estimate or cannot change the answer.

    Parameters
    ----------
    kind
        Folder of the catalog.
    entry
        Name of the entry.
    figure
        Figure of the entry.
    scenario
        Scenario that uses the entry.
    """
    is_name = figure.path == "predecessor"
    if figure.confidence != "low" or (ends_of(figure, 0.1) is None and not is_name):
        return None
    part = part_of(kind, entry, figure.path, scenario)
    if part is None:
        return None
    return Estimate(part, entry, figure.path, _range_text(figure))


def estimates_of(
    file: ScenarioFile, scenarios: Mapping[str | None, Scenario]
) -> tuple[Estimate, ...]:
    """Return the figures of low confidence that can change the answer of a file's variants.

    Parameters
    ----------
    file
        Scenario file.
    scenarios
        Scenarios by name of the variant; the name is None if the file has no variants.
    """
    return tuple(
        dict.fromkeys(
            each
            for variant, scenario in scenarios.items()
            for kind, entry, figure in _used(file.written(variant))
            if (each := estimate(kind, entry, figure, scenario)) is not None
        )
    )


def _used(written: Any) -> Iterator[tuple[str, str, Figure]]:
    """Yield (kind, entry, figure) of each catalog figure that a file's content uses."""
    for entry in named_entries(written, _KINDS):
        if _is_replaced(written, entry.trail):
            continue
        for figure in catalog_figures(entry.kind, entry.name):
            root = figure.path.partition(".")[0].partition("[")[0]
            is_used = entry.kind != "workloads" or _is_of_preset(written, entry.trail, root)
            if is_used and not entry.has_another(figure):
                yield entry.kind, entry.name, figure


def _is_replaced(written: Any, trail: Trail) -> bool:
    """Return whether the scenario replaces the prices or the network that an entry names."""
    if trail[-2:] == ("node", "network"):
        return "network" in written["cluster"]
    if trail[-2:] == ("node", "prices"):
        pool = written
        for key in trail[:-2]:
            pool = pool[key]
        return "prices" in pool
    if trail == ("model", "token_prices"):
        return "token_prices" in written
    return False


def _is_of_preset(written: Any, trail: Trail, root: str) -> bool:
    """Return whether a scenario uses a part of a workload's entry without replacing it."""
    if root in _ABOUT_TRACES:
        return False
    if len(trail) > 2:  # the preset of a part, such as workload.sessions.preset
        return root == trail[-2]
    return root not in written["workload"]


def estimates_line(estimates: Iterable[Estimate], command: str) -> str | None:
    """Return one line with the estimates that an answer rests on; None if there are none.

    Parameters
    ----------
    estimates
        Figures of low confidence.
    command
        Command that shows the effect of the estimates.

    Examples
    --------
    >>> price = Estimate("price", "cs-3-list", "purchase", "2 to 3 million USD")
    >>> estimates_line([price], "cluster-sim sensitivity x.yaml")
    'rests on 1 estimate of low confidence: cs-3-list purchase (2 to 3 million USD); cluster-sim sensitivity x.yaml shows what it changes'
    """
    groups: dict[tuple[str, str], list[Estimate]] = {}
    for each in estimates:
        groups.setdefault((each.entry, each.group), []).append(each)
    if not groups:
        return None
    total = sum(map(len, groups.values()))
    chosen = list(_in_order(groups))[:_NAMED]
    names = [_group_text(entry, group, groups[entry, group]) for entry, group in chosen]
    more = total - sum(len(groups[key]) for key in chosen)
    listed = ", ".join(names) + (f" and {more:,} more" if more else "")
    noun, they = ("estimate", "it changes") if total == 1 else ("estimates", "they change")
    return f"rests on {total:,} {noun} of low confidence: {listed}; {command} shows what {they}"


def _in_order(groups: Mapping[tuple[str, str], list[Estimate]]) -> Iterator[tuple[str, str]]:
    """Yield the groups: the first of each part of the answer, then the second of each part."""
    by_part = [
        sorted(
            (key for key in groups if groups[key][0].part == part),
            key=lambda key: (groups[key][0].rank, -len(groups[key])),
        )
        for part in _PARTS
    ]
    for place in range(max(map(len, by_part))):
        yield from (keys[place] for keys in by_part if place < len(keys))


def _group_text(entry: str, group: str, estimates: list[Estimate]) -> str:
    """Return a figure with its value, or a group with the number of its figures."""
    if len(estimates) == 1:
        return f"{entry} {estimates[0].path} ({estimates[0].text})"
    return f"{entry} {group} ({len(estimates)} figures)"


def _range_text(figure: Figure) -> str:
    """Return the range of a figure, or its value if the catalog gives no range."""
    if figure.range is None:
        return figure.value
    (low, unit), (high, other) = map(number_and_unit, figure.range)
    if unit != other:
        return f"{figure.range[0]} to {figure.range[1]}"
    size, word = (1e6, " million") if high >= 1e6 else (1.0, "")
    return f"{low / size:,.10g} to {high / size:,.10g}{word} {unit}".rstrip()


def rests_on(path: str | Path, sets: Sequence[str], scenarios: Iterable[Scenario]) -> str | None:
    """Return the line of estimates for the scenarios of a file; None if there are none.

    Parameters
    ----------
    path
        Scenario file.
    sets
        `key=value` texts that were applied to the file.
    scenarios
        Scenarios of the file, one per variant.
    """
    file = open_scenarios(path, sets)
    # a resolved scenario keeps the name of its variant, in a file that has none
    by_variant = {scenario.variant if file.variants else None: scenario for scenario in scenarios}
    estimates = estimates_of(file, by_variant)
    of_variant = " --variant NAME" if len(file.variants) > 1 else ""
    return estimates_line(estimates, f"cluster-sim sensitivity {path}{of_variant}")
