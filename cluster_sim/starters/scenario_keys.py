"""Keys of a first scenario: names, traffic, and the times of a run that is long enough for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.schema import catalog_names, file_name_fault, find
from cluster_sim.starters.answers import Answers
from cluster_sim.units import parse

_DURATION_S = 600.0
_WARMUP_S = 60.0
_MAX_REQUESTS = 50_000
"""Number of requests after which a first run is shortened, so that it takes less than a minute."""


def shorter(answers: Answers, values: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Return default lengths that are shortened to a limit or the context of a model."""
    names = ("prompt-tokens", "output-tokens")
    if not set(names) <= set(answers.defaults):
        return {}
    model = Model.model_validate(read_model(values["model"]))
    share = min(model.max_context, limit) / sum(values[name]["max"] for name in names)
    if share >= 1.0:
        return {}
    return {
        name: {
            key: int(share * value) if isinstance(value, int) else value
            for key, value in values[name].items()
        }
        for name in names
    }


def named_from(file: Path, value: str, kind: str) -> str:
    """Return a catalog name as it is, and a path so that it is found from the scenario's folder."""
    if value in catalog_names(f"{kind}s"):
        return value
    path = find(value, folders=True)
    return value if path is None or _is_beside(file) else str(path)


def _is_beside(file: Path) -> bool:
    """Return whether the scenario is written to the working folder, from which paths are given."""
    return file.parent.resolve() == Path.cwd()


def keys_of(
    answers: Answers, values: Mapping[str, Any], replicas: int | None, file: Path
) -> dict[str, Any]:
    """Return the keys of the scenario, without layout and number of nodes."""
    name = file.stem if file_name_fault(file.stem) is None else "first"
    workload, times = _workload(answers, values, file)
    pool = {"name": _pool_name(values["node"]), "node": values["node"]}
    if replicas is not None:
        pool["replicas"] = replicas
    return {
        "name": name,
        "seed": 1,
        **times,
        "model": values["model"],
        "workload": workload,
        "slo": answers.slo,
        "cluster": {"pools": [pool]},
    }


def _pool_name(node: str) -> str:
    stem = Path(node).stem
    is_name = stem and all(sign.isascii() and (sign.isalnum() or sign in "_.-") for sign in stem)
    return stem if is_name else "nodes"


def _workload(answers: Answers, values: Mapping[str, Any], file: Path) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Return the traffic, and the times of a run that is long enough for it."""
    recorded = answers.recorded
    if recorded.replays:
        assert recorded.path is not None
        path = recorded.path if _is_beside(file) else str(Path(recorded.path).resolve())
        return {"trace": {"path": path} | dict(recorded.table)}, {}
    lengths = {
        "prompt_tokens": values["prompt-tokens"],
        "output_tokens": values["output-tokens"],
    }
    if recorded.arrivals is not None and "rate" not in values:
        return {"arrivals": dict(recorded.arrivals)} | lengths, {}
    rate, burst = values["rate"], values.get("burst")
    if burst is None:
        arrivals: dict[str, Any] = {"process": "poisson", "rate": rate}
        duration_s = min(_DURATION_S, max(_MAX_REQUESTS / parse(rate, "/s"), 2.0 * _WARMUP_S))
    else:
        every_s = parse(burst["every"], "s") if "every" in burst else 0.0
        lasts_s = parse(burst["lasts"], "s")
        at = burst.get("at", _time(max(every_s / 2.0, _WARMUP_S)))
        arrivals = {"process": "burst", "rate": rate, "bursts": [{"at": at} | burst]}
        until_s = parse(at, "s") + (2.0 * every_s or lasts_s + _DURATION_S) - every_s / 2.0
        duration_s = max(until_s, _DURATION_S)
    return {"arrivals": arrivals} | lengths, {"duration": _time(duration_s), "warmup": _time(_WARMUP_S)}  # fmt: skip


def _time(seconds: float) -> str:
    """Return a time as people write it.

    >>> _time(600.0), _time(90.0)
    ('10 min', '90 s')
    """
    return f"{seconds / 60.0:g} min" if seconds % 60.0 == 0.0 else f"{seconds:g} s"
