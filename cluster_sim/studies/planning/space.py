"""Deployments among which a plan chooses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cluster_sim.analysis.offered_rate import at_offered_rate, offered_per_s
from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Plan
from cluster_sim.studies.grid import Point, combinations, key_of, matches, point
from cluster_sim.studies.planning.own_space import own_space

_POOL = re.compile(r"cluster\.pools\.([A-Za-z_][\w-]*)\.")
_NUMBERED = re.compile(r"cluster\.pools\[(\d+)\]\.")
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
    if len(vary) < len(asked.vary):
        raise ScenarioError.at(
            file.place("plan", "vary"),
            "got a key twice, with and without cluster; expected it once",
        )
    if "variant" not in vary:
        names = _pool_names(file, variant)
        vary = {key: values for key, values in vary.items() if _has_pool(names, key)}
        by_name = [
            _NUMBERED.sub(lambda at: f"cluster.pools.{names[int(at[1])]}.", key) for key in vary
        ]
        if twice := [key for key in by_name if by_name.count(key) > 1]:
            raise ScenarioError.at(
                file.place("plan", "vary"),
                f"got {twice[0]} twice, by the pool's name and by its number; expected it once",
            )
        vary = vary or _own_space(file, asked, variant, len(names))
    rules = [{whole_key(key): value for key, value in rule.items()} for rule in asked.exclude]
    for values in combinations([{key: listed} for key, listed in vary.items()]):
        if any(matches(rule, values) for rule in rules):
            continue
        named = values if variant is None or "variant" in values else {"variant": variant, **values}
        yield deployment(file, asked, named)


def _own_space(
    file: ScenarioFile, asked: Plan, variant: str | None, pools: int
) -> dict[str, tuple[Any, ...]]:
    """Return what varies if the file does not say it.

    Raises
    ------
    ScenarioError
        A pool is scaled, so that its number of nodes does not give its size.
    """
    scenario = _that_fits(file, variant, pools)
    if scaled := [pool.name for pool in scenario.cluster.pools if pool.autoscale is not None]:
        raise ScenarioError.at(
            file.place("plan", "vary"),
            f"'vary' is missing, and pool '{scaled[0]}' is scaled; expected keys with their values, such as vary: {{pools.{scaled[0]}.autoscale.max: [2, 4]}}",
        )
    return own_space(scenario, asked.rate_per_s)


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
    found = point(file, values)
    if found.scenario is None:
        return found
    scenario = _at_percentile(_at_rate(found.scenario, asked.rate_per_s, file), asked.percentile)
    return Point(values, 0, scenario, "", key_of(scenario))


def _that_fits(file: ScenarioFile, variant: str | None, pools: int) -> Scenario:
    """Return the scenario as written, or with the fewest devices per replica that hold its model.

    Raises
    ------
    ScenarioError
        The scenario is faulty with any number of devices; the faults are those as it is written.
    """
    try:
        return file.scenario(variant)
    except ScenarioError:
        for ranks in (2, 4, 8):
            keys = (f"cluster.pools[{place}].replica.tensor_parallel" for place in range(pools))
            with suppress(ScenarioError):
                return file.scenario(variant, dict.fromkeys(keys, ranks))
        raise


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
    variants: Sequence[str | None] = file.variants or [None]
    known = list(dict.fromkeys(name for each in variants for name in _pool_names(file, each)))
    for key in keys:
        match = _POOL.match(key)
        if match and match[1] not in known:
            raise ScenarioError.at(
                file.place("plan", "vary"),
                f"{key}: no pool '{match[1]}'{did_you_mean(match[1], known)}",
            )


def _pool_names(file: ScenarioFile, variant: str | None) -> list[str]:
    """Return the names of a variant's pools, as they are written; the variant may have faults."""
    data = file.written(variant)
    cluster = data.get("cluster") if isinstance(data, dict) else None
    pools = cluster.get("pools") if isinstance(cluster, dict) else None
    listed = pools if isinstance(pools, list) else []
    return [str(each.get("name", "")) for each in listed if isinstance(each, dict)]


def _has_pool(names: Sequence[str], key: str) -> bool:
    """Return whether the pool that a key names, or numbers, exists; True if the key has none."""
    if match := _POOL.match(key):
        return match[1] in names
    numbered = _NUMBERED.match(key)
    return numbered is None or int(numbered[1]) < len(names)


def whole_key(key: str) -> str:
    """Return a key of `vary` from the top of the file.

    >>> whole_key("pools.b200.nodes"), whole_key("site.inlet")
    ('cluster.pools.b200.nodes', 'site.inlet')
    """
    first = key.replace("[", ".").split(".")[0]
    return key if first in _SECTIONS else f"cluster.{key}"


def _at_rate(scenario: Scenario, rate_per_s: float | None, file: ScenarioFile) -> Scenario:
    """Return a deployment with its traffic scaled to a mean rate [1/s]."""
    if rate_per_s is None:
        return scenario
    if not offered_per_s(scenario):
        raise ScenarioError.at(
            file.place("plan", "rate"),
            "got a rate for traffic without one; expected arrivals such as {process: poisson, rate: 5 /s}, or no plan.rate",
        )
    return at_offered_rate(scenario, rate_per_s)


def _at_percentile(scenario: Scenario, percentile: float | None) -> Scenario:
    """Return a deployment whose objectives hold at a percentile, those of classes too."""
    if percentile is None:
        return scenario
    at: dict[str, Any] = {"percentile": percentile}
    workload = scenario.workload
    classes = tuple(
        each
        if each.slo is None
        else each.model_copy(update={"slo": each.slo.model_copy(update=at)})
        for each in workload.classes
    )
    changes: dict[str, Any] = {"workload": workload.model_copy(update={"classes": classes})}
    if scenario.slo is not None:
        changes["slo"] = scenario.slo.model_copy(update=at)
    return scenario.model_copy(update=changes)


def settings(values: Mapping[str, Any]) -> list[str]:
    """Return the values of a deployment as `key=value` texts, without its variant.

    >>> settings({"variant": "b200", "cluster.pools.gpu.nodes": 2})
    ['cluster.pools.gpu.nodes=2']
    >>> settings({"cluster.pools.gpu.batching.max_sequences": None})
    ['cluster.pools.gpu.batching.max_sequences=null']
    """
    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in values.items()
        if key != "variant"
    ]
