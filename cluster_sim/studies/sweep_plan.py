"""Plan of a sweep: its points, and a check that a folder holds no plan of another sweep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.studies.grid import choices, swept
from cluster_sim.studies.store import Plan, SweepFolder
from cluster_sim.studies.sweep_count import SweepCount

_MOST_SHOWN = 5  # maximum number of differences, and of values of an axis, in a message

Choice = tuple[str, int]
"""Values of a point as one line of JSON, and the number of its replication."""


def plan_of(file: ScenarioFile, name: str, rows: Iterable[Mapping[str, Any]]) -> Plan:
    """Return the plan of a file's sweep with these rows."""
    return {"name": name, "scenario": _written(file), "rows": list(rows)}


def refuse_another_sweep(file: ScenarioFile, folder: SweepFolder, name: str) -> None:
    """Raise ScenarioError if the plan of this name in a folder belongs to another sweep."""
    plan = folder.plan(name)
    if plan is not None and (differing := differences(file, plan)):
        raise ScenarioError.at(
            str(folder.plan_path(name)),
            f"is not the plan of the sweep in {file.document.file}: {differing}; choose another --out, or "
            "remove this plan (finished points are kept)",
        )


def must_simulate(folder: SweepFolder, key: str, *, retry_failed: bool) -> bool:
    """Return whether a folder lacks the outcome of a point, or the outcome is to be replaced."""
    record = folder.record(key)
    return record is None or (retry_failed and record["status"] == "failed")


def known_before(file: ScenarioFile, folder: SweepFolder, *, retry_failed: bool) -> SweepCount:
    """Return the counts of a sweep before its start.

    Every point is resolved if the folder holds any: its key depends on the resolved scenario, on
    the files that it reads and on the program's version, which a plan does not show. Points
    without a valid scenario count as failed.
    """
    if folder.is_empty:
        return SweepCount(total=sum(1 for _ in choices(file)))
    known = failed = total = 0
    for point in swept(file):
        total += 1
        if point.scenario is None:
            failed += 1
        elif not must_simulate(folder, point.key, retry_failed=retry_failed):
            known += 1
    return SweepCount(known=known, failed=failed, total=total)


def differences(file: ScenarioFile, plan: Plan) -> str:
    """Return the differences of a file's sweep from a plan; an empty text for the same sweep.

    The sweep is the same if the scenario is the same and no point is missing. A sweep may have more
    points and more variants than before. Plans of earlier versions do not contain the scenario.
    """
    here = [(json.dumps(values), number) for values, number in choices(file)]
    before = [
        (str(row["columns"].get("point")), row["columns"].get("replication", 0))
        for row in plan["rows"]
    ]
    differing: list[str] = []
    if isinstance(plan.get("scenario"), dict):
        differing += _of_scenarios(plan["scenario"], _written(file))
    if not set(before) <= set(here):
        differing += _of_points(before, here)
    more = [f"and {len(differing) - _MOST_SHOWN} more"] if len(differing) > _MOST_SHOWN else []
    return "; ".join([*differing[:_MOST_SHOWN], *more])


def _written(file: ScenarioFile) -> Any:
    """Return the scenario as written in the file, in types that JSON supports."""
    return json.loads(json.dumps(file.document.data, default=str))


def _of_scenarios(before: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return a sentence per key of a scenario that differs; new variants do not count."""
    known = before.get("variants") or {}
    variants = here.get("variants")
    if isinstance(known, dict) and isinstance(variants, dict):
        kept = {name: value for name, value in variants.items() if name in known}
        here = {**here, "variants": kept}
    old, new = dict(_leaves(before)), dict(_leaves(here))
    return [
        f"{key} is {_value(old, key)} in the plan and {_value(new, key)} in the file"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key) or (key in old) != (key in new)
    ]


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value inside a mapping or list, with its dotted key."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{key}[{place}]")
    else:
        yield key, value


def _value(leaves: Mapping[str, Any], key: str) -> str:
    return shown(leaves[key]) if key in leaves else "missing"


def _of_points(before: list[Choice], here: list[Choice]) -> list[str]:
    """Return a sentence per axis that lacks values of the plan."""
    old, new = _axes(before), _axes(here)
    differing = []
    for key in dict.fromkeys([*old, *new]):
        if key not in new:
            differing.append(f"axis {key} is only in the plan")
        elif key not in old:
            differing.append(f"axis {key} is only in the file")
        elif gone := [value for value in old[key] if value not in new[key]]:
            values = ", ".join(gone[:_MOST_SHOWN]) + (" …" if len(gone) > _MOST_SHOWN else "")
            differing.append(f"axis {key} has {values} only in the plan")
    return differing or ["points of the plan are excluded in the file"]


def _axes(chosen: list[Choice]) -> dict[str, dict[str, None]]:
    """Return the values of each axis as JSON, in order; replications count as an axis."""
    axes: dict[str, dict[str, None]] = {}
    for text, replication in chosen:
        for key, value in {**_values(text), "replication": replication}.items():
            axes.setdefault(key, {})[json.dumps(value)] = None
    return axes


def _values(text: str) -> dict[str, Any]:
    """Return the values of a point; empty if the plan has no such text."""
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
