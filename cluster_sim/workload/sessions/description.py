"""Sessions as a scenario describes them."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, field_validator, model_validator

from cluster_sim.errors import did_you_mean
from cluster_sim.limits import SESSION_STEPS
from cluster_sim.schema import Description, catalog_entry, catalog_names
from cluster_sim.typing import ClientCount, Count, CountOrZero, RequestCount, Sigma
from cluster_sim.workload.arrivals import Arrivals, ClientLoad
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.sessions.gaps import Gaps
from cluster_sim.workload.traces import Trace

_DRAWN = ("turns", "first_tokens", "user_tokens", "output_tokens", "user_gap")
"""Keys without which sessions cannot be drawn."""
_OF_DRAWN = ("tool_steps", "tool_tokens", "tool_gap", "output_sigma", "compaction", "window_tokens")
"""Further keys of sessions that are drawn."""


class Repeats(Description):
    """Number of repetitions, at random.

    It is zero with probability `none`, else the whole part of a log-normal, from 1 to `max`.
    """

    none: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Probability of no repetition."""
    median: Annotated[float, Field(gt=0.0)]
    """Median of the log-normal."""
    sigma: Sigma
    """Standard deviation of the log-normal's logarithm."""
    max: Count
    """Greatest number."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` whole numbers."""
        some = np.clip(
            np.floor(self.median * np.exp(self.sigma * rng.standard_normal(count))), 1, self.max
        ).astype(np.int64)
        return np.where(rng.random(count) < self.none, 0, some) if self.none else some


class Compaction(Description):
    """Replacement of a context that has become too long by a summary."""

    above_tokens: Count
    """Length of a prompt above which it is compacted first [tokens]."""
    to_tokens: Lengths
    """Length of the prompt after that, the shared beginning included [tokens].

    What is new since the last answer is always kept."""


def _preset_or_keys(schema: dict[str, Any]) -> None:
    """Describe the preset in the JSON Schema: a name; what it brings need not be written."""
    schema["properties"]["preset"] = {
        "type": "string",
        "description": "A session preset of the catalog: values for the keys that are left out.",
    }


class Sessions(Description):
    """Conversations of people and tools with a model.

    They consist of user turns of steps, of which each sends the whole context again. A step's
    prompt is the one before, its answer, and fresh tokens; what stands at the front has an
    identity, so that a prefix cache finds it. Session n is the same whatever the cluster does: its
    draws are its own.
    """

    model_config = ConfigDict(json_schema_extra=_preset_or_keys)

    arrivals: Arrivals | None = None
    """Process by which sessions start; give either this or `concurrency`."""
    concurrency: ClientCount | None = None
    """Number of sessions at once: when one ends, the next starts."""
    requests: RequestCount | None = None
    """Number of requests of all sessions together. Default: they go on until `duration`."""
    trace: Trace | None = None
    """Recorded sessions, one after another and from the first again, in place of drawn ones."""

    turns: Repeats | None = None
    """Number of the user's turns in a session."""
    tool_steps: Repeats | None = None
    """Number of steps after the first of a turn, each started by a tool's result. Default: none."""
    shared_tokens: CountOrZero = 0
    """Length of the text with which every session begins: system prompt, tools, instructions
    [tokens]."""
    first_tokens: Lengths | None = None
    """Length of the user's first message [tokens]."""
    user_tokens: Lengths | None = None
    """Length of a later message of the user [tokens]."""
    tool_tokens: Lengths | None = None
    """Length of a tool's result [tokens]."""
    output_tokens: Lengths | None = None
    """Length of each answer, reasoning included [tokens]."""
    output_sigma: Sigma = 0.0
    """Standard deviation of the logarithm of a factor that all answers of a session share, 1 in the
    mean: some people ask for long answers, again and again."""
    user_gap: Gaps | None = None
    """Time from an answer to the user's next message [s]."""
    tool_gap: Gaps | None = None
    """Time from an answer to the tool's result [s]."""
    window_tokens: Count | None = None
    """Context window, prompt and answer together: answers are cut to it, and a session that has
    filled it ends [tokens]. Default: no limit."""
    compaction: Compaction | None = None
    """How contexts that are too long are summarised. Default: they are not."""

    @field_validator("arrivals", mode="after")
    @classmethod
    def _is_a_timetable(cls, arrivals: Arrivals | None) -> Arrivals | None:
        if arrivals is not None and arrivals.waiting_clients() is not None:
            raise ValueError(
                "sessions wait for their answers already; expected 'concurrency' beside, or another process"
            )
        return arrivals

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "preset" not in value:
            return value
        name = value["preset"]
        if not isinstance(name, str) or name not in session_presets():
            raise ValueError(f"no session preset '{name}'{did_you_mean(name, session_presets())}")
        given = {key: value[key] for key in value if key != "preset"}
        return catalog_entry("workloads", name)["sessions"] | given

    @model_validator(mode="after")
    def _is_whole(self) -> Sessions:
        if (self.arrivals is None) == (self.concurrency is None):
            raise ValueError("expected either 'arrivals' of sessions or a 'concurrency'")
        if self.trace is not None:
            if beside := [key for key in (*_DRAWN, *_OF_DRAWN) if getattr(self, key)]:
                key = "window" if beside[0] == "window_tokens" else beside[0]
                raise ValueError(
                    f"recorded sessions bring their own '{key}'; expected either this or 'trace'"
                )
            return self
        if missing := [key for key in _DRAWN if getattr(self, key) is None]:
            raise ValueError(f"'{missing[0]}' is missing; expected it, a 'preset' or a 'trace'")
        if self.turns is not None and self.turns.none:
            raise ValueError("a session has one turn at least; expected 'turns' without 'none'")
        if self._max_steps > SESSION_STEPS.most:
            raise ValueError(SESSION_STEPS.fault(self._max_steps, "steps of a session"))
        if self.tool_steps is not None and (self.tool_tokens is None or self.tool_gap is None):
            raise ValueError("'tool_steps' want 'tool_tokens' and a 'tool_gap'")
        return self

    @property
    def _max_steps(self) -> int:
        """Maximum number of steps of a session; 0 where sessions are recorded."""
        tools = 0 if self.tool_steps is None else self.tool_steps.max
        return 0 if self.turns is None else self.turns.max * (1 + tools)

    def client_load(self) -> ClientLoad | None:
        """Return how a benchmark client sends the sessions; None where requests follow the answers.

        With times of their own, sessions start as those say and go on when they are answered: only
        a queue of sessions is a load that a client knows.
        """
        if self.concurrency is not None:
            return ClientLoad(max_concurrency=self.concurrency)
        load = None if self.arrivals is None else self.arrivals.client_load()
        return load if load is not None and load.queued is not None else None

    @property
    def longest(self) -> int | None:
        """Length of the longest request, prompt and answer; None without a bound [tokens]."""
        if self.window_tokens is not None:
            return self.window_tokens
        output = (
            self.output_tokens.longest
            if self.output_tokens is not None and not self.output_sigma
            else None
        )
        if self.compaction is None or output is None:
            return None
        fresh = [
            lengths.longest
            for lengths in (self.first_tokens, self.user_tokens, self.tool_tokens)
            if lengths is not None
        ]
        to = self.compaction.to_tokens.longest
        if to is None or None in fresh:
            return None
        most = max(length for length in fresh if length is not None)
        return max(self.compaction.above_tokens, to, self.shared_tokens + most) + output


def session_presets() -> list[str]:
    """Return the names of the catalog's workloads that are sessions."""
    return [
        name
        for name in catalog_names("workloads")
        if "sessions" in catalog_entry("workloads", name)
    ]
