"""Traffic: an arrival process with lengths, a trace, or sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.workload.arrivals import Arrivals
from cluster_sim.workload.classes import TrafficClass
from cluster_sim.workload.clients import Clients
from cluster_sim.workload.generate import lengths, lengths_by_class
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.presets import with_preset
from cluster_sim.workload.reasoning import ReasoningShare
from cluster_sim.workload.sessions import Sessions
from cluster_sim.workload.shared_prefix import SharedPrefix
from cluster_sim.workload.traces import Trace


def _preset_is_a_name(schema: dict[str, Any]) -> None:
    """Describe the preset in the JSON Schema as a name.

    A workload contains the values of its preset, and may change single keys of the preset's
    arrivals.
    """
    properties = schema["properties"]
    properties["preset"] = {
        "type": "string",
        "description": "Name of a catalog workload, or path of a file of the same form, that gives arrivals, lengths and their correlation where they are omitted. Default: no preset.",
    }
    keys_alone = {
        "type": "object",
        "description": "Keys that replace those of the preset's arrivals.",
        "not": {"required": ["process"]},
    }
    schema["if"] = {"required": ["preset"]}
    schema["then"] = {"properties": {"arrivals": {"anyOf": [properties["arrivals"], keys_alone]}}}
    schema["else"] = {"properties": {"arrivals": properties["arrivals"]}}
    properties["arrivals"] = {}


class Workload(Description):
    """Traffic: an arrival process with lengths, a trace, or sessions."""

    model_config = ConfigDict(json_schema_extra=_preset_is_a_name)
    keys_beside: ClassVar[tuple[str, ...]] = ("preset",)

    arrivals: Arrivals | None = None
    """Process by which requests arrive. Required unless `trace` or `sessions` is given."""
    prompt_tokens: Lengths | None = None
    """Distribution of prompt lengths [tokens]. Required unless `trace`, `sessions` or every class
    gives them."""
    output_tokens: Lengths | None = None
    """Distribution of answer lengths [tokens]. Required unless `trace`, `sessions` or every class
    gives them."""
    max_output_tokens: Count | None = None
    """Client's limit on the tokens of each answer (`max_tokens` of the OpenAI API). Schedulers that
    reserve whole answers, and token buckets, count it instead of the answer; answers are not cut.
    It ends at the model's longest context. Default: the length of each answer."""
    length_correlation: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    """Spearman's rank correlation of prompt and output tokens of a request. Default: they are
    independent."""
    reasoning_share: ReasoningShare | None = None
    """Part of each answer that is reasoning, which precedes the visible answer. Default: unknown,
    and the time to the first visible token is not reported."""
    trace: Trace | None = None
    """Recorded trace, which replaces arrivals and lengths. Default: no trace."""
    shared_prefix: SharedPrefix | None = None
    """System prompts that are prepended to the prompts of arrivals or trace. Default: no system
    prompts."""
    sessions: Sessions | None = None
    """Sessions of requests that wait for answers, which replace arrivals and lengths. Default: no
    sessions."""
    classes: tuple[TrafficClass, ...] = ()
    """Parts of the traffic with their own priorities, objectives and lengths. Each request belongs
    to one class, chosen at random. Default: no classes."""
    clients: Clients | None = None
    """Clients of classes without their own: timeouts, retries, hedges, users who leave. Default:
    clients send each request once and wait indefinitely."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, value: Any) -> Any:
        return with_preset(value)

    @model_validator(mode="after")
    def _start_texts(self) -> Self:
        """Give the arrivals to a trace of texts, which has no arrival times."""
        trace, arrivals = self.trace, self.arrivals
        if trace is None or arrivals is None or trace.arrivals is not None:
            return self
        try:
            is_text = trace.is_text
        except ScenarioError:  # the fault is reported when the trace is read
            return self
        if not is_text:
            return self
        started = trace.model_copy(update={"arrivals": arrivals})
        return self.model_copy(update={"arrivals": None, "trace": started})

    @property
    def recorded(self) -> Trace | None:
        """Trace whose requests or sessions are replayed; None if requests are drawn."""
        return self.trace or (self.sessions.trace if self.sessions is not None else None)

    @property
    def clients_of_classes(self) -> list[Clients | None]:
        """Clients of each class, or of the whole traffic without classes; None: they wait."""
        return [each.clients or self.clients for each in self.classes] or [self.clients]

    @property
    def has_clients(self) -> bool:
        """Whether any client may give up, retry, hedge or leave."""
        return any(clients is not None for clients in self.clients_of_classes)

    def lengths(self, seed: int) -> Iterator[tuple[int, int]]:
        """Yield (prompt, output) tokens of one request after the other, indefinitely.

        Traces and sessions have their own lengths.
        """
        if self.classes:
            return lengths_by_class(self.prompt_tokens, self.output_tokens, self.classes, seed)
        assert self.prompt_tokens is not None and self.output_tokens is not None
        return lengths(self.prompt_tokens, self.output_tokens, seed, self.length_correlation)

    def length_pairs(self) -> list[tuple[Lengths | None, Lengths | None]]:
        """Return the distributions of prompts and outputs, for each class if there are classes."""
        if not self.classes:
            return [(self.prompt_tokens, self.output_tokens)]
        return [
            (each.prompt_tokens or self.prompt_tokens, each.output_tokens or self.output_tokens)
            for each in self.classes
        ]
