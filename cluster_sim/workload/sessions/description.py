"""Description of sessions in a scenario."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, field_validator, model_validator

from cluster_sim.limits import SESSION_STEPS
from cluster_sim.schema import Description, catalog_entry, catalog_names
from cluster_sim.typing import ClientCount, Count, CountOrZero, RequestCount, Sigma
from cluster_sim.workload.arrivals import Arrivals, ClientLoad
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.presets import preset_values
from cluster_sim.workload.sessions.gaps import Gaps
from cluster_sim.workload.traces import Trace

_DRAWN = ("turns", "first_tokens", "user_tokens", "output_tokens", "user_gap")
"""Keys that random sessions require."""
_OF_DRAWN = ("tool_steps", "tool_tokens", "tool_gap", "output_sigma", "compaction", "window_tokens")
"""Optional keys of random sessions."""


class Repeats(Description):
    """Random number of repetitions.

    The number is 0 with probability `none`, else the integer part of a log-normal number, between 1
    and `max`.
    """

    none: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Probability of zero repetitions."""
    median: Annotated[float, Field(gt=0.0)]
    """Median of the log-normal number of repetitions."""
    sigma: Sigma
    """Standard deviation of the logarithm of the log-normal."""
    max: Count
    """Maximum number of repetitions."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` numbers of repetitions."""
        some = np.clip(
            np.floor(self.median * np.exp(self.sigma * rng.standard_normal(count))), 1, self.max
        ).astype(np.int64)
        return np.where(rng.random(count) < self.none, 0, some) if self.none else some


class Compaction(Description):
    """Compaction: a summary replaces a context that has become too long."""

    above_tokens: Count
    """Length of a prompt above which the context is compacted before the request [tokens]."""
    to_tokens: Lengths
    """Length of the prompt after compaction, including the shared beginning [tokens].

    Tokens that are new since the last answer are always kept."""


def _preset_or_keys(schema: dict[str, Any]) -> None:
    """Describe the preset in the JSON Schema: a name. The keys that a preset sets are optional."""
    schema["properties"]["preset"] = {
        "type": "string",
        "description": "Name of a session preset of the catalog, or path of a file of the same form: values for the omitted keys. Default: no preset.",
    }


class Sessions(Description):
    """Conversations of users and tools with a model.

    A session consists of user turns, and a turn consists of steps. Each step sends the whole
    context again: its prompt is the previous prompt, the previous answer and new tokens. The
    beginning of a prompt has an identity, so that a prefix cache can reuse it. Session n is
    identical for every cluster, since all its random numbers are drawn in advance.
    """

    model_config = ConfigDict(json_schema_extra=_preset_or_keys)

    bare_key: ClassVar[str] = "preset"

    arrivals: Arrivals | None = None
    """Arrival process of the starts of sessions. Either `arrivals` or `concurrency` is required."""
    concurrency: ClientCount | None = None
    """Number of concurrent sessions: when a session ends, the next one starts. Either `arrivals` or
    `concurrency` is required."""
    requests: RequestCount | None = None
    """Number of requests of all sessions together. Default: sessions continue until `duration`."""
    trace: Trace | None = None
    """Recorded sessions in place of random ones; after the last session the first one follows.
    Default: random sessions."""

    turns: Repeats | None = None
    """Number of user turns per session. Required unless a preset or a trace gives it."""
    tool_steps: Repeats | None = None
    """Number of steps per turn after the first, each started by the result of a tool. Default: 0."""
    shared_tokens: CountOrZero = 0
    """Length of the text at the beginning of every session: system prompt, tools, instructions
    [tokens]."""
    first_tokens: Lengths | None = None
    """Length of the user's first message [tokens]. Required unless a preset or a trace gives it."""
    user_tokens: Lengths | None = None
    """Length of each later message of the user [tokens]. Required unless a preset or a trace gives
    it."""
    tool_tokens: Lengths | None = None
    """Length of the result of a tool [tokens]. Required if there are `tool_steps`."""
    output_tokens: Lengths | None = None
    """Length of each answer, including reasoning [tokens]. Required unless a preset or a trace
    gives it."""
    output_sigma: Sigma = 0.0
    """Standard deviation of the logarithm of a factor with mean 1 on the length of all answers of a
    session, since some users always ask for long answers."""
    user_gap: Gaps | None = None
    """Time from an answer to the user's next message [s]. Required unless a preset or a trace gives
    it."""
    tool_gap: Gaps | None = None
    """Time from an answer to the result of the tool [s]. Required if there are `tool_steps`."""
    window_tokens: Count | None = None
    """Context window, the maximum length of prompt and answer together [tokens]. Answers are cut to
    it, and a session that has filled it ends. Default: no limit."""
    compaction: Compaction | None = None
    """Compaction of contexts that are too long. Default: no compaction."""

    @field_validator("arrivals", mode="after")
    @classmethod
    def _is_a_timetable(cls, arrivals: Arrivals | None) -> Arrivals | None:
        if arrivals is not None and arrivals.waiting_clients() is not None:
            raise ValueError(
                "sessions always wait for answers; expected 'concurrency' in place of 'arrivals', or another process"
            )
        return arrivals

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "preset" not in value:
            return value
        entry = preset_values(value["preset"], "sessions", session_presets())
        given = {key: value[key] for key in value if key != "preset"}
        return entry["sessions"] | given

    @model_validator(mode="after")
    def _is_whole(self) -> Sessions:
        if (self.arrivals is None) == (self.concurrency is None):
            raise ValueError("expected exactly one of 'arrivals' and 'concurrency'")
        if self.trace is not None:
            if beside := [key for key in (*_DRAWN, *_OF_DRAWN) if getattr(self, key)]:
                key = "window" if beside[0] == "window_tokens" else beside[0]
                raise ValueError(
                    f"got '{key}' and 'trace', which sets it; expected only one of them"
                )
            return self
        if missing := [key for key in _DRAWN if getattr(self, key) is None]:
            raise ValueError(f"'{missing[0]}' is missing; write it, or a 'preset' or a 'trace'")
        if self.turns is not None and self.turns.none:
            raise ValueError("a session has at least one turn; expected 'turns' without 'none'")
        if self._max_steps > SESSION_STEPS.most:
            raise ValueError(SESSION_STEPS.fault(self._max_steps, "steps of a session"))
        if self.tool_steps is not None and (self.tool_tokens is None or self.tool_gap is None):
            raise ValueError("'tool_steps' needs 'tool_tokens' and 'tool_gap'; write both")
        return self

    @property
    def _max_steps(self) -> int:
        """Maximum number of steps of a session; 0 for recorded sessions."""
        tools = 0 if self.tool_steps is None else self.tool_steps.max
        return 0 if self.turns is None else self.turns.max * (1 + tools)

    def client_load(self) -> ClientLoad | None:
        """Return the parameters of a benchmark client for these sessions, or None.

        A client can send concurrent sessions, or a queue of sessions. It has no parameters for
        sessions that start at given times and then follow the answers.
        """
        if self.concurrency is not None:
            return ClientLoad(max_concurrency=self.concurrency)
        load = None if self.arrivals is None else self.arrivals.client_load()
        return load if load is not None and load.queued is not None else None

    @property
    def longest(self) -> int | None:
        """Maximum length of a request, prompt and answer together [tokens]; None if unlimited."""
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
