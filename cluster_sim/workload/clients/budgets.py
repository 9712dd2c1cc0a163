"""Retry budgets, which limit the load that retries and hedges add to a cluster.

One budget serves all clients of a class together, as that of a gateway or of a service mesh does.
A new budget is a description here with its state during a run in `budget_states`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from cluster_sim.errors import shown
from cluster_sim.schema import Description
from cluster_sim.typing import CountOrZero, Share
from cluster_sim.units import PositiveSeconds, RateOrZero
from cluster_sim.workload.clients.budget_states import (
    BudgetState,
    InFlightState,
    ShareState,
    TokensState,
)


class ShareBudget(Description):
    """Retries up to a share of the recent requests, and a reserve.

    Every request deposits `share` of a retry, and a retry takes a whole one. Deposits and
    withdrawals are forgotten after `window`. Finagle's defaults are a share of 0.2, a reserve of
    10 /s and a window of 10 s. Source: Finagle, `RetryBudget`.
    """

    policy: Literal["share"] = "share"
    share: Share
    """Number of retries per request."""
    reserve_per_s: RateOrZero = 0.0
    """Rate of retries that are allowed beside the share [1/s]."""
    window_s: PositiveSeconds = 10.0
    """Time after which deposits and withdrawals are forgotten [s]."""

    @property
    def is_in_proportion(self) -> bool:
        """Whether the number of retries is in proportion to the traffic."""
        return not self.reserve_per_s

    @property
    def in_overload(self) -> float:
        """Number of retries per request while every attempt times out, without the reserve."""
        return self.share

    def state(self) -> BudgetState:
        """Return the full budget at the start of a run."""
        return ShareState(self.share, self.reserve_per_s * self.window_s, self.window_s)


class TokensBudget(Description):
    """Retries while more than half of a bucket is left: a failure takes one token out of it.

    A success puts `token_ratio` tokens back. The example of gRPC has 10 tokens and a ratio of 0.1.
    Source: gRPC proposal A6, client retries.
    """

    is_in_proportion: ClassVar[bool] = False
    in_overload: ClassVar[float] = 0.0
    """Number of retries per request while every attempt times out: the bucket is empty."""

    policy: Literal["tokens"]
    max_tokens: Annotated[float, Field(gt=0.0, le=1000.0)]
    """Content of the full bucket [tokens]. The bucket is full at first."""
    token_ratio: Share
    """Number of tokens that an answer puts back."""

    def state(self) -> BudgetState:
        """Return the full budget at the start of a run."""
        return TokensState(self.max_tokens, self.token_ratio)


class InFlightBudget(Description):
    """Retries up to a share of the requests in flight, and at least a minimum at a time.

    Envoy's defaults are a share of 0.2 and a minimum of 3. Source: Envoy, circuit breakers,
    `retry_budget`.
    """

    is_in_proportion: ClassVar[bool] = False

    policy: Literal["in_flight"]
    share: Share
    """Number of retries in flight per request in flight."""
    min_retries: CountOrZero = 3
    """Number of retries in flight that are always allowed."""

    @property
    def in_overload(self) -> float:
        """Number of retries per request while every attempt times out, without the minimum."""
        return self.share

    def state(self) -> BudgetState:
        """Return the budget at the start of a run."""
        return InFlightState(self.share, self.min_retries)


def _from_share(value: Any) -> Any:
    """Return a bare number as a share of the requests; return mappings unchanged."""
    if isinstance(value, str):
        raise ValueError(
            f"got {shown(value)}; expected retries per request such as 0.2, or a mapping with a `policy`"
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"policy": "share", "share": value}
    return value


_Budget = Annotated[ShareBudget | TokensBudget | InFlightBudget, Field(discriminator="policy")]
RetryBudget = Annotated[
    _Budget, BeforeValidator(_from_share, json_schema_input_type=float | _Budget)
]
"""Limit of retries; a bare number, such as 0.2, is a share of the requests without a reserve."""
