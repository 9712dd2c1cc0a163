"""Points of a study: combinations of axes, each a scenario with a unique key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.results.run_folder import package_version
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Description, keys_of
from cluster_sim.studies.runner import reseeded

# Code in these rooms draws figures or parses commands; it changes no outcome.
_ROOMS_BESIDE = ("figures", "report", "studies", "cli", "validation")


def option_title(values: Mapping[str, Any]) -> str:
    """Return the title of an option, made of its values by key.

    >>> option_title({"variant": "b200", "cluster.pools[0].nodes": 4})
    'b200, nodes 4'
    """
    texts = [
        str(value) if key == "variant" else f"{key.rpartition('.')[2]} {value}"
        for key, value in values.items()
    ]
    return ", ".join(texts) or "as written"


@dataclass(frozen=True)
class Point:
    """One simulation of a study."""

    values: Mapping[str, Any]
    """Values of the axes by key, as written in the file; the key `variant` exists if the file has
    variants."""
    replication: int
    """Number of the replication, starting at 0."""
    scenario: Scenario | None
    """Scenario of the point; None if the values give no valid scenario."""
    fault: str
    """Reason why the values give no valid scenario; empty if they do."""
    key: str
    """Hash of the resolved scenario, of the files that it reads and of the program's version."""

    @property
    def text(self) -> str:
        """Values of the axes as one line of JSON."""
        return json.dumps(dict(self.values))


def combinations(axes: Sequence[Mapping[str, Sequence[Any]]]) -> Iterator[dict[str, Any]]:
    """Yield the values by key of each combination of the axes; the last axis varies fastest.

    The keys of one axis vary together.

    >>> list(combinations([{"a": [1, 2]}, {"b": [3, 4], "c": [5, 6]}]))[:2]
    [{'a': 1, 'b': 3, 'c': 5}, {'a': 1, 'b': 4, 'c': 6}]
    """
    for chosen in product(
        *(
            [dict(zip(axis, values, strict=True)) for values in zip(*axis.values(), strict=True)]
            for axis in axes
        )
    ):
        yield {key: value for part in chosen for key, value in part.items()}


def swept(file: ScenarioFile) -> Iterator[Point]:
    """Yield the points of the file's sweep in order; each is resolved when it is requested.

    Raises
    ------
    ScenarioError
        The file has no sweep.
    """
    for values, replication in choices(file):
        yield point(file, values, replication)


def choices(file: ScenarioFile) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the values and the replication of each point of the file's sweep, in order.

    Raises
    ------
    ScenarioError
        The file has no sweep.
    """
    if file.sweep is None:
        raise ScenarioError.at(
            file.place(),
            "has no 'sweep'; expected a section such as sweep: {axes: [{seed: [1, 2, 3]}]}",
        )
    axes: list[Mapping[str, Sequence[Any]]] = list(file.sweep.axes)
    if file.variants and not any("variant" in axis for axis in axes):
        axes.insert(0, {"variant": file.variants})
    for values in combinations(axes):
        if not any(matches(rule, values) for rule in file.sweep.exclude):
            for replication in range(file.sweep.replications):
                yield values, replication


def matches(rule: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Return whether values match each value, or one of the values, that a rule gives by key."""
    return all(
        values.get(key) in (wanted if isinstance(wanted, (list, tuple)) else [wanted])
        for key, wanted in rule.items()
    )


def point(file: ScenarioFile, values: Mapping[str, Any], replication: int = 0) -> Point:
    """Return the point with these values; `replication` is added to its seed.

    Parameters
    ----------
    file
        Scenario file.
    values
        Values of the axes, by key.
    replication
        Number of the replication, starting at 0.
    """
    rest = {key: value for key, value in values.items() if key != "variant"}
    variant = str(values["variant"]) if "variant" in values else None
    try:
        scenario = file.scenario(variant, rest, where="axis")
    except ScenarioError as error:
        fault = str(error)
        key = hashed(json.dumps([dict(values), replication, fault]))
        return Point(values, replication, None, fault, key)
    scenario = reseeded(scenario, replication)
    return Point(values, replication, scenario, "", key_of(scenario))


def key_of(scenario: Scenario) -> str:
    """Return a hash of the resolved scenario, its input files and the program's version."""
    text = scenario.model_dump_json(by_alias=True, exclude_none=True)
    return hashed(text, *(_file_hash(path, *_stamp(path)) for path in _paths(json.loads(text))))


def hashed(*texts: str) -> str:
    """Return the key of an outcome: a hash of texts and of the program's version."""
    return hashlib.sha256("\0".join([program_version(), *texts]).encode()).hexdigest()[:32]


def _paths(data: Any) -> Iterator[str]:
    """Yield every value of a key `path` in a scenario: files that are read when it runs."""
    if isinstance(data, dict):
        if isinstance(data.get("path"), str):
            yield data["path"]
        for value in data.values():
            yield from _paths(value)
    elif isinstance(data, list):
        for value in data:
            yield from _paths(value)


def _stamp(path: str) -> tuple[int, int]:
    try:
        stat = Path(path).stat()
    except OSError:  # the file is gone; the run reports it
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


@cache
def _file_hash(path: str, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def program_version() -> str:
    """Return the version of the program, and a hash of the code that outcomes depend on.

    Results of different code belong to different points.
    """
    package = Path(__file__).parents[1]
    code = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in _ROOMS_BESIDE:
            code.update(path.read_bytes())
    return f"{package_version('cluster-sim')}+{code.hexdigest()[:12]}"


def resolved(scenario: Scenario, dotted: str, written: Any) -> tuple[str, Any]:
    """Return a dotted key with its unit, and its value in a resolved scenario.

    The value is a number or text. If the key holds a mapping or a list, the key is returned
    unchanged, with the value as `written`.
    """
    place: Any = scenario
    *parents, last = keys_of(dotted)
    for step in parents:
        place, _ = _inside(place, step)
    place, name = _inside(place, last)
    column = dotted if dotted.endswith("]") else dotted[: len(dotted) - len(last)] + name
    if isinstance(place, (str, int, float)):
        return column, place
    return dotted, written if isinstance(written, (str, int, float)) else json.dumps(written)


def _inside(place: Any, step: str) -> tuple[Any, str]:
    """Return the value of a description or a list under a key, and the key with its unit.

    The value is None if there is none.
    """
    if isinstance(place, Description):
        for field, info in type(place).model_fields.items():
            if (info.alias or field) == step:
                return getattr(place, field), field
    elif isinstance(place, tuple) and step.isdecimal() and int(step) < len(place):
        return place[int(step)], step
    elif isinstance(place, tuple):
        named = [item for item in place if getattr(item, "name", None) == step]
        return (named[0] if named else None), step
    return None, step
