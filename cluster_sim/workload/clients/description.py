"""Description of the clients: how long they wait, and what they do when no answer comes."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.units import PositiveSeconds, duration_text
from cluster_sim.workload.clients.backoff import Backoff
from cluster_sim.workload.clients.budgets import RetryBudget
from cluster_sim.workload.clients.patience import FixedTime, Patience
from cluster_sim.workload.clients.presets import PRESETS, with_preset

RetryReason = Literal["timed_out", "rejected", "failed"]
"""Outcome of an attempt after which a client may send its request again."""

_MAX_RETRIES = 100


class Timeouts(Description):
    """Times after which a client gives an attempt up, measured at the client from its sending."""

    bare_key: ClassVar[str] = "e2el"

    ttft_s: Patience | None = None
    """Time to wait for the first token [s]. Default: no limit."""
    e2el_s: Patience | None = None
    """Time to wait for the whole answer [s]. Default: no limit."""


def _describe_preset(schema: dict[str, Any]) -> None:
    """Describe the preset in the JSON Schema."""
    schema["properties"]["preset"] = {
        "type": "string",
        "enum": list(PRESETS),
        "description": "Name of a client library whose defaults hold for the omitted keys. Default: no preset.",
    }


class Clients(Description):
    """Clients that wait for a limited time, retry, hedge, or leave in the middle of an answer.

    Without any key, clients send each request once and wait indefinitely.
    """

    model_config = ConfigDict(json_schema_extra=_describe_preset)

    bare_key: ClassVar[str] = "preset"

    timeout: Timeouts = Timeouts()
    """Times after which a client gives an attempt up. Default: clients wait indefinitely."""
    retries: Annotated[int, Field(ge=0, le=_MAX_RETRIES)] = 0
    """Maximum number of retries per request, hedges not counted. Default: no retries."""
    retry_on: Annotated[tuple[RetryReason, ...], Field(min_length=1)] = (
        "timed_out",
        "rejected",
        "failed",
    )
    """Outcomes after which a client retries: the attempt timed out, was rejected at the front door,
    or failed because its replica was lost."""
    backoff: Backoff = Backoff()
    """Pauses before retries."""
    retry_budget: RetryBudget | None = None
    """Limit of the retries and hedges of all clients together: a number of retries per request such
    as 0.2, or a mapping with a `policy`. Default: no limit."""
    hedge_after_s: PositiveSeconds | None = None
    """Time without a first token after which a client sends a copy of its request to another
    replica [s]. The copy with the first token wins, and the other one is cancelled. Default: no
    copies."""
    cancel: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of requests whose user leaves in the middle of the answer, after any token but the last
    with equal probability."""
    server_aborts: bool = True
    """Whether the server aborts an attempt whose client is gone, at the next step, as vLLM does.
    false: the server works on such an attempt to its end, as behind a gateway that does not pass the
    disconnection on."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, value: Any) -> Any:
        return with_preset(value)

    @model_validator(mode="after")
    def _can_leave(self) -> Clients:
        if self.cancel and not self.server_aborts:
            raise ValueError(
                "got 'cancel' with 'server_aborts: false', which is not supported; expected only one of them"
            )
        return self

    def warnings(self) -> Iterator[str]:
        """Yield that no request is hedged, because clients give up before."""
        waits = (self.timeout.ttft_s, self.timeout.e2el_s)
        limit_s = min((each.time_s for each in waits if isinstance(each, FixedTime)), default=inf)
        if self.hedge_after_s is not None and self.hedge_after_s >= limit_s:
            yield f"hedge_after is {duration_text(self.hedge_after_s)}, and clients give up after {duration_text(limit_s)}; no request is hedged"

    @property
    def can_be_thinned(self) -> bool:
        """Whether the clients of a share of the traffic behave as those of the whole traffic do."""
        return self.retry_budget is None or self.retry_budget.is_in_proportion

    @property
    def attempts_in_overload(self) -> float:
        """Number of attempts per request that a server works on while each of them times out."""
        gives_up = self.timeout.ttft_s is not None or self.timeout.e2el_s is not None
        if self.server_aborts or not gives_up or "timed_out" not in self.retry_on:
            return 1.0
        budget = self.retry_budget
        return 1.0 + (self.retries if budget is None else min(self.retries, budget.in_overload))
