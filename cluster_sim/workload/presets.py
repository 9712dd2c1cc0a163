"""Workloads of the catalog: traffic fitted to recorded traces, and the quality of each fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from cluster_sim.errors import did_you_mean, shown
from cluster_sim.schema import Description, catalog_entry, catalog_names, find, named
from cluster_sim.units import PositiveSeconds
from cluster_sim.workload.arrivals import Arrivals
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.reasoning import ReasoningShare

KEYS = ("arrivals", "prompt_tokens", "output_tokens", "length_correlation", "reasoning_share")
"""Keys of a scenario's workload that a preset sets."""


class Match(Description):
    """A statistic of the trace beside 60 seeds of the preset, each as long as the trace."""

    trace: float
    """Value of the statistic in the trace."""
    p5: float
    """5th percentile of the statistic over the seeds."""
    p95: float
    """95th percentile of the statistic over the seeds."""

    @property
    def holds(self) -> bool:
        """Whether the trace's value lies between the 5th and 95th percentile of the seeds."""
        return self.p5 <= self.trace <= self.p95


class Preset(Description):
    """One file of the catalog's workloads: arrivals with lengths, or sessions."""

    name: str
    """Name of the workload, for people."""
    lasts_s: PositiveSeconds | None = None
    """Duration of the trace, over which statistics are compared [s]."""
    arrivals: Arrivals | None = None
    """Arrival process of the requests. Default: the preset has sessions."""
    prompt_tokens: Lengths | None = None
    """Lengths of the prompts [tokens]. Default: the preset has sessions."""
    output_tokens: Lengths | None = None
    """Lengths of the answers [tokens]. Default: the preset has sessions."""
    length_correlation: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    """Rank correlation of prompts and answers. Default: they are independent."""
    reasoning_share: ReasoningShare | None = None
    """Share of answers that is reasoning. Default: no reasoning."""
    sessions: dict[str, Any] | None = None
    """Keys of `workload.sessions`."""
    matches: dict[str, Match] = Field(default_factory=dict)
    """Matches by statistic: cv; dispersion and peak_to_mean at 1, 10 and 60 s; quantiles of prompt
    and output."""
    misses: dict[str, str] = Field(default_factory=dict)
    """Description of the deviation, by statistic that does not match."""


def workload_presets() -> list[str]:
    """Return the names of the catalog's workloads that are arrivals with lengths."""
    return [
        name
        for name in catalog_names("workloads")
        if "arrivals" in catalog_entry("workloads", name)
    ]


def preset_values(name: Any, section: str, known: Sequence[str]) -> Mapping[str, Any]:
    """Return the values of a preset of the catalog, or of a file of the same form.

    Parameters
    ----------
    name
        Name in the catalog, or path of the file.
    section
        Section that the preset must have: `arrivals` or `sessions`.
    known
        Names of the catalog's presets with the section.

    Raises
    ------
    ValueError
        If there is no such preset, or the file is wrong.
    """
    if isinstance(name, str) and name in known:
        entry: Mapping[str, Any] = catalog_entry("workloads", name)
        return entry
    noun = "session preset" if section == "sessions" else "workload preset"
    if not isinstance(name, str) or name in catalog_names("workloads") or find(name) is None:
        raise ValueError(f"no {noun} {shown(name)}{did_you_mean(name, known)}")
    values: Mapping[str, Any] = named("workloads", name)
    Preset.model_validate(values)
    if section not in values:
        raise ValueError(f"{shown(name)} is no {noun}: '{section}' is missing")
    return values


def with_preset(value: Any) -> Any:
    """Return a workload's mapping, with the values of its `preset` for the omitted keys.

    If `arrivals` names no process, or the preset's process, it changes single keys of the preset's
    arrivals; otherwise it replaces them.

    Parameters
    ----------
    value
        Value of `workload` in a scenario; anything but a mapping with `preset` is returned unchanged.

    Returns
    -------
    Any
        Mapping without the key `preset`.

    Raises
    ------
    ValueError
        If there is no such preset, or its file is wrong.
    """
    if not isinstance(value, dict) or "preset" not in value:
        return value
    entry = preset_values(value["preset"], "arrivals", workload_presets())
    brought = {key: entry[key] for key in entry if key in KEYS}
    given = {key: value[key] for key in value if key != "preset"}
    arrivals = given.get("arrivals")
    if (
        isinstance(arrivals, dict)
        and arrivals.get("process", brought["arrivals"]["process"])
        == brought["arrivals"]["process"]
    ):
        given["arrivals"] = {**brought["arrivals"], **arrivals}
    return {**brought, **given}
