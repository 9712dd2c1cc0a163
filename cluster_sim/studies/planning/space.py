"""Deployments among which a plan chooses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cluster_sim.analysis.offered_rate import at_offered_rate, offered_per_s
from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Plan
from cluster_sim.studies.grid import Point, combinations, key_of, matches, point
from cluster_sim.studies.planning.own_space import own_space

_POOL = re.compile(r"cluster\.pools\.([A-Za-z_][\w-]*)\.")
_SAME = {"name", "seed", "duration", "warmup", "drain", "workload", "slo", "sample", "stands_for"}
"""Sections and keys in which all deployments of a variant are the same."""
_SECTIONS = {info.alias or name for name, info in Scenario.model_fields.items()} | {"variant"}


def deployments(file: ScenarioFile, asked: Plan, variant: str | None) -> Iterator[Point]:
    """Yield the deployments of one variant that the plan of a file allows.

    Keys of pools that a variant does not have are left out. If no key is left, nodes and parallelism
    of the variant's own pools vary.

    Parameters
    ----------
    file
        Scenario file.
    asked
        Section `plan` of the file.
    variant
        Name of the variant; None for the plain file.

    Raises
    ------
    ScenarioError
        The plan asks for a rate, and the traffic has none; a key names a pool that no variant has; or
        a key changes the traffic or the SLO.
    """
    vary = {whole_key(key): values for key, values in asked.vary.items()}
    _check_sections(file, vary)
    _check_pools(file, vary)
    if "variant" not in vary:
        written = file.scenario(variant)
        vary = {key: values for key, values in vary.items() if _has_pool(written, key)}
        vary = vary or own_space(written, asked.rate_per_s)
    rules = [{whole_key(key): value for key, value in rule.items()} for rule in asked.exclude]
    for values in combinations([{key: listed} for key, listed in vary.items()]):
        if any(matches(rule, values) for rule in rules):
            continue
        named = values if variant is None or "variant" in values else {"variant": variant, **values}
        yield deployment(file, asked, named)


def deployment(file: ScenarioFile, asked: Plan, values: Mapping[str, Any]) -> Point:
    """Return the deployment with these values, variant included.

    Parameters
    ----------
    file
        Scenario file.
    asked
        Section `plan` of the file.
    values
        Values of what varies, by whole key.
    """
    return _at_rate(point(file, values), asked.rate_per_s, file)


def _check_sections(file: ScenarioFile, keys: Iterable[str]) -> None:
    """Raise ScenarioError for a key that changes the traffic or the SLO."""
    for key in keys:
        section = key.split(".")[0]
        if section in _SAME:
            raise ScenarioError.at(
                file.place("plan", "vary"),
                f"got {key}; expected keys of the deployment: traffic and SLO are the same for all; variants may differ in them",
            )


def _check_pools(file: ScenarioFile, keys: Iterable[str]) -> None:
    """Raise ScenarioError for a key with a pool that no variant has."""
    wanted = {key: match[1] for key in keys if (match := _POOL.match(key))}
    if not wanted:
        return
    names: Sequence[str | None] = file.variants or [None]
    scenarios = [file.scenario(name) for name in names]
    known = list(dict.fromkeys(pool.name for each in scenarios for pool in each.cluster.pools))
    for key, name in wanted.items():
        if name not in known:
            raise ScenarioError.at(
                file.place("plan", "vary"),
                f"{key}: no pool '{name}'{did_you_mean(name, known)}",
            )


def _has_pool(scenario: Scenario, key: str) -> bool:
    """Return whether a scenario has the pool that a key names; True if the key names none."""
    match = _POOL.match(key)
    return match is None or match[1] in {pool.name for pool in scenario.cluster.pools}


def whole_key(key: str) -> str:
    """Return a key of `vary` from the top of the file.

    >>> whole_key("pools.b200.nodes"), whole_key("workload.arrivals.rate")
    ('cluster.pools.b200.nodes', 'workload.arrivals.rate')
    """
    first = key.replace("[", ".").split(".")[0]
    return key if first in _SECTIONS else f"cluster.{key}"


def _at_rate(found: Point, rate_per_s: float | None, file: ScenarioFile) -> Point:
    """Return a deployment with its traffic scaled to a mean rate [1/s]."""
    if rate_per_s is None or found.scenario is None:
        return found
    if not offered_per_s(found.scenario):
        raise ScenarioError.at(
            file.place("plan", "rate"),
            "got a rate for traffic without one; expected arrivals such as {process: poisson, rate: 5 /s}, or no plan.rate",
        )
    scaled = at_offered_rate(found.scenario, rate_per_s)
    return Point(found.values, 0, scaled, "", key_of(scaled))


def settings(values: Mapping[str, Any]) -> list[str]:
    """Return the values of a deployment as `key=value` texts, without its variant.

    >>> settings({"variant": "b200", "cluster.pools.gpu.nodes": 2})
    ['cluster.pools.gpu.nodes=2']
    """
    return [f"{key}={value}" for key, value in values.items() if key != "variant"]
