"""Catalog figures that runs used, with source and confidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import (
    Description,
    Figure,
    catalog_entry,
    catalog_figures,
    catalog_names,
    catalog_sources,
    entry_name,
    second_names,
)
from cluster_sim.studies.figure_use import part_of
from cluster_sim.workload.presets import Preset

CONFIDENCES = ("low", "medium", "high")
_ELSEWHERE = ("device", "network", "prices", "materials", "token_prices")
"""Keys that name another entry of the catalog; that entry is listed separately."""
_OF_WORKLOADS = (
    "arrivals",
    "prompt_tokens",
    "output_tokens",
    "length_correlation",
    "reasoning_share",
)


@dataclass(frozen=True)
class Used:
    """Catalog figure with the runs that used it."""

    entry: str
    """Name of the catalog entry."""
    path: str
    """Keys that lead to the figure in the entry."""
    value: str
    """Value with its unit."""
    source: str
    """Citation of the source."""
    confidence: str
    """Confidence: low, medium or high."""
    note: str
    """Note on the figure; may be empty."""
    runs: tuple[str, ...]
    """Labels of the runs that used the entry."""
    kind: str
    """Folder of the catalog that holds the entry."""
    figure: Figure
    """Figure of the catalog."""
    changed: tuple[str, ...]
    """Labels of the runs whose scenario has another value for the figure."""


def used(scenarios: dict[str, Scenario]) -> list[Used]:
    """Return the figures of all catalog entries in some scenarios, lowest confidence first.

    Fits of kernels that no run uses are omitted: other engines, formats and kinds of layers. An
    entry is recognised by its name. A scenario's changes to an entry are found by comparing both.

    Parameters
    ----------
    scenarios
        Scenario of each run, by the label of the run.
    """
    runs: dict[tuple[str, str], list[str]] = {}
    changed: dict[tuple[str, str, str], list[str]] = {}
    for label, scenario in scenarios.items():
        for kind, name, other in entries(scenario):
            if label not in (seen := runs.setdefault((kind, name), [])):
                seen.append(label)
            for figure in _figures(kind, name):
                if any(_inside(path, figure.path) for path in other) and label not in (
                    more := changed.setdefault((kind, name, figure.path), [])
                ):
                    more.append(label)
    every = [
        Used(
            name,
            figure.path,
            figure.value,
            _cited(figure.source),
            figure.confidence,
            figure.note,
            tuple(labels),
            kind,
            figure,
            tuple(changed.get((kind, name, figure.path), ())),
        )
        for (kind, name), labels in runs.items()
        for figure in _figures(kind, name)
        if not figure.path.startswith("kernels.")
        or any(part_of(kind, name, figure.path, scenarios[label]) for label in labels)
    ]
    return sorted(every, key=lambda figure: _rank(figure.confidence))


def _rank(confidence: str) -> int:
    return CONFIDENCES.index(confidence) if confidence in CONFIDENCES else len(CONFIDENCES)


def entries(scenario: Scenario) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield the catalog entries in a scenario: kind, name, and paths of values that differ.

    An entry that the scenario uses several times is yielded several times.
    """
    for kind, part in _parts(scenario):
        ours = _leaves(part.model_dump(mode="json", by_alias=True, exclude={"read_from"}))
        named = [
            (name, _differing(ours, _leaves(_described(type(part), kind, name))))
            for name in _names(kind).get(entry_name(getattr(part, "name", "")), ())
        ]
        if named:  # releases of an engine share a name: the entry with the fewest differences
            name, other = min(named, key=lambda entry: len(entry[1]))
            yield kind, name, other
    for name in catalog_names("workloads"):
        preset = _preset(name)
        given = [key for key in _OF_WORKLOADS if getattr(preset, key) is not None]
        same = [key for key in given if getattr(preset, key) == getattr(scenario.workload, key)]
        if "arrivals" in same or "prompt_tokens" in same:
            yield "workloads", name, frozenset(key for key in given if key not in same)


def _parts(scenario: Scenario) -> Iterator[tuple[str, Description]]:
    yield "models", scenario.model
    if scenario.sold_at is not None:
        yield "token_prices", scenario.sold_at
    if scenario.cluster.network is not None:
        yield "links", scenario.cluster.network
    for pool in scenario.cluster.pools:
        yield from _of_pool(pool)
        if scenario.cluster.network is None:
            yield "links", pool.node.network
        speculation = pool.replica.speculation
        if speculation is not None and speculation.draft_model is not None:
            yield "models", speculation.draft_model
        if speculation is not None and speculation.drafter is not None:
            yield "drafters", speculation.drafter


def _of_pool(pool: Pool) -> Iterator[tuple[str, Description]]:
    yield "nodes", pool.node
    yield "devices", pool.node.device
    yield "engines", pool.replica.engine
    if pool.offer is not None:
        yield "prices", pool.offer


def _differing(ours: dict[str, Any], theirs: dict[str, Any]) -> frozenset[str]:
    return frozenset(
        path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)
    )


@cache
def _names(kind: str) -> dict[str, list[str]]:
    """Return the names of catalog entries by the value of their key `name`."""
    names: dict[str, list[str]] = {}
    for name in catalog_names(kind):
        if name in second_names(kind):
            continue
        names.setdefault(str(catalog_entry(kind, name).get("name")), []).append(name)
    return names


@cache
def _described(what: type[Description], kind: str, name: str) -> Any:
    described = what.model_validate(catalog_entry(kind, name))
    return described.model_dump(mode="json", by_alias=True, exclude={"read_from"})


@cache
def _preset(name: str) -> Preset:
    return Preset.model_validate(catalog_entry("workloads", name))


@cache
def _figures(kind: str, name: str) -> tuple[Any, ...]:
    """Return the figures of an entry that have a source, without names of other entries."""
    beside = (
        (*_ELSEWHERE, "name", "matches", "misses")
        if kind != "workloads"
        else ("name", "lasts", "matches", "misses")
    )
    return tuple(
        figure
        for figure in catalog_figures(kind, name)
        if figure.source and _root(figure.path) not in beside
    )


def _root(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


def _leaves(data: Any, path: str = "") -> dict[str, Any]:
    if isinstance(data, dict):
        return {
            key: value
            for name, part in data.items()
            for key, value in _leaves(part, f"{path}.{name}" if path else str(name)).items()
        }
    if isinstance(data, list):
        return {
            key: value
            for place, part in enumerate(data)
            for key, value in _leaves(part, f"{path}[{place}]").items()
        }
    return {path: data}


def _inside(path: str, figure: str) -> bool:
    return path == figure or path.startswith((f"{figure}.", f"{figure}["))


def _cited(keys: str) -> str:
    sources = catalog_sources()
    return "; ".join(
        str(sources.get(key.strip(), key.strip())) for key in keys.split(",") if key.strip()
    )


def confidence_counts(figures_used: Sequence[Used]) -> dict[str, int]:
    """Return the number of figures of each confidence, lowest confidence first."""
    return {
        confidence: sum(figure.confidence == confidence for figure in figures_used)
        for confidence in CONFIDENCES
    }
