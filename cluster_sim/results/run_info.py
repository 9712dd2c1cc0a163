"""Facts of a run that are not in a table: simulated time, wall time, notes on omitted traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from cluster_sim.errors import ScenarioError, shown

_KINDS: Mapping[str, tuple[type | tuple[type, ...], str]] = MappingProxyType(
    {
        "wall_s": ((int, float), "a number"),
        "events": (int, "a whole number"),
        "simulated_s": ((int, float), "a number"),
        "notes": (list, "a list"),
        "sessions": (int, "a whole number"),
        "question": (str, "text"),
        "stopped": (str, "text"),
        "capped_s": (list, "a list"),
    }
)
"""Type of each fact in manifest.json, and its name in messages."""


class MissingFact(ScenarioError):
    """Absence of a fact in a run folder that every run has."""


@dataclass(frozen=True)
class RunInfo:
    """Facts of one run; fields have the names of manifest.json."""

    wall_s: float
    """Wall time that the run took [s]."""
    events: int
    """Number of events that the simulation scheduled."""
    simulated_s: float
    """Simulated time from 0 until the last step ends, request arrives or replica changes its state
    [s]."""
    notes: tuple[str, ...] = ()
    """Sentences about traffic that was omitted."""
    sessions: int | None = None
    """Number of sessions that ended; None if the workload has no sessions."""
    question: str | None = None
    """Question of the scenario file; None if the file has none."""
    stopped: str | None = None
    """Reason why the run stopped early, as a sentence; None if the run was complete."""
    capped_s: tuple[float, ...] = ()
    """Time in which a power cap or a clock lock lowered the clock of steps, by number of the replica
    [s]; empty if none did."""

    def manifest(self) -> dict[str, Any]:
        """Return the facts as fields of manifest.json, in its order; absent facts are omitted."""
        facts: dict[str, Any] = {"wall_s": self.wall_s, "events": self.events}
        if self.notes:
            facts["notes"] = list(self.notes)
        if self.sessions is not None:
            facts["sessions"] = self.sessions
        facts["simulated_s"] = self.simulated_s
        if self.question is not None:
            facts["question"] = self.question
        if self.stopped is not None:
            facts["stopped"] = self.stopped
        if self.capped_s:
            facts["capped_s"] = list(self.capped_s)
        return facts

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], place: str) -> RunInfo:
        """Return the facts of a manifest.json.

        Parameters
        ----------
        manifest
            Content of the file.
        place
            Path of the file, for messages.

        Raises
        ------
        MissingFact
            The manifest does not have a fact that every run has.
        ScenarioError
            A fact has the wrong type.
        """
        facts = {
            field.name: manifest[field.name] for field in fields(cls) if field.name in manifest
        }
        for name in ("wall_s", "events", "simulated_s"):
            if name not in facts:
                raise MissingFact.at(place, f"has no '{name}', which every run folder has")
        for name, value in facts.items():
            kind, noun = _KINDS[name]
            if not isinstance(value, kind) or isinstance(value, bool) or value != value:
                raise ScenarioError.at(place, f"{name}: got {shown(value)}; expected {noun}")
        lists = {
            "notes": tuple(map(str, facts.get("notes", ()))),
            "capped_s": tuple(map(float, facts.get("capped_s", ()))),
        }
        return cls(**facts | lists)
