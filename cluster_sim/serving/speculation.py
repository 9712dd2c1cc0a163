"""Speculative decoding: number of drafted tokens, and their acceptance by the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from math import sqrt
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.limits import DRAFT, LAYERS
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.schema import Description, Named
from cluster_sim.serving.acceptance import AcceptanceAt, ShareOrZero, scaled, share_at
from cluster_sim.serving.drafter import Drafter, check_contexts, check_positions

Streams = Callable[[int, int], np.random.Generator]
"""Function that returns the random generator of a request, given its number and its number of
preemptions."""

_ACCEPTANCES = ("acceptance", "acceptance_length", "acceptance_by_position")


class Speculation(Description):
    """Drafted tokens, which each step verifies for every sequence.

    The drafted tokens before the first rejected one are accepted, and one more token is generated.
    With `acceptance`, every drafted token is accepted with the same probability (Leviathan, Kalman,
    Matias, Fast Inference from Transformers via Speculative Decoding, ICML 2023, arXiv 2211.17192).
    Measured acceptance falls with the position in the draft.
    """

    draft_tokens: Annotated[int, Field(gt=0), DRAFT]
    """Number of tokens drafted per sequence and step."""
    drafter: Annotated[Drafter, Named("drafters")] | None = None
    """Measured drafter: a catalog name, the path of a file, or a mapping with its keys. It gives
    acceptance and cost of the drafts; other keys here go before it. Default: the keys below."""
    acceptance: ShareOrZero | None = None
    """Probability that a drafted token is accepted if all tokens before it were. One of
    `acceptance`, `acceptance_length`, `acceptance_by_position` and `drafter` is required."""
    acceptance_length: Annotated[float, Field(ge=1.0)] | None = None
    """Mean number of tokens per sequence and step, including the one that the model generates
    itself. All tokens of a draft then have the same acceptance."""
    acceptance_by_position: tuple[ShareOrZero, ...] | None = None
    """Probability that a draft is accepted up to each position, such as [0.73, 0.52, 0.36], as vLLM
    counts it. At least draft_tokens values; further ones are ignored."""
    acceptance_by_context: tuple[AcceptanceAt, ...] = ()
    """Acceptance of the first token by context, ascending, such as [{context: 100, first: 0.86},
    {context: 34000, first: 0.53}]. The acceptance of all positions falls in proportion. Default: it
    does not depend on the context, or as the drafter says."""
    draft_model: Annotated[Model, Named("models", read_model)] | None = None
    """Draft model, which drafts token by token on the same devices. Default: drafts cost
    `draft_cost`."""
    draft_cost: ShareOrZero | None = None
    """Cost of a drafted token as a share of a plain decode step of the model. Default: 0, as for
    n-grams."""
    mtp_layers: Annotated[int, Field(gt=0), LAYERS] | None = None
    """Number of layers that a drafted token passes, each as large as a layer of the model, as with
    multi-token prediction or EAGLE. On GPUs each draft is a separate step, output head included; on
    wafers it passes as many additional pipeline stages. Default: drafts cost `draft_cost`."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Speculation:
        own = self._own_acceptances
        if len(own) > 1 or not (own or self.drafter):
            raise ValueError(
                "expected one of 'acceptance', 'acceptance_length', 'acceptance_by_position' and 'drafter'"
            )
        if self.acceptance_length is not None and self.acceptance_length > self.draft_tokens + 1:
            raise ValueError(
                f"acceptance_length: got {self.acceptance_length:g}; expected at most draft_tokens + 1 = {self.draft_tokens + 1}"
            )
        self._check_positions()
        check_contexts(self.acceptance_by_context)
        costs = (self.draft_model, self.draft_cost, self.mtp_layers)
        if sum(cost is not None for cost in costs) > 1:
            raise ValueError("expected at most one of 'draft_model', 'draft_cost' and 'mtp_layers'")
        return self

    def _check_positions(self) -> None:
        positions, drafts = self.acceptance_by_position, self.draft_tokens
        if positions is not None:
            check_positions(positions)
            if len(positions) < drafts:
                raise ValueError(
                    f"acceptance_by_position: got {len(positions)} values; expected at least draft_tokens of {drafts}"
                )
        elif self.drafter is not None and not self._own_acceptances:
            measured = len(self.drafter.acceptance_by_position)
            if measured < drafts:
                raise ValueError(
                    f"draft_tokens: got {drafts}; expected no more than {self.drafter.name} was measured with, {measured}"
                )

    @property
    def _own_acceptances(self) -> list[str]:
        """Keys here that give the acceptance."""
        return [name for name in _ACCEPTANCES if getattr(self, name) is not None]

    @cached_property
    def positions(self) -> tuple[float, ...]:
        """Probability that a draft is accepted up to each of its positions."""
        if self.acceptance is None and self.acceptance_length is None:
            positions = self.acceptance_by_position
            if positions is None:
                assert self.drafter is not None
                positions = self.drafter.acceptance_by_position
            return positions[: self.draft_tokens]
        return tuple(self.probability**kept for kept in range(1, self.draft_tokens + 1))

    @cached_property
    def probability(self) -> float:
        """Probability that a drafted token is accepted if all tokens before it were.

        If the mean acceptance length is given, the probability is solved for.
        """
        if self.acceptance is not None:
            return self.acceptance
        length = self.acceptance_length
        assert length is not None, "positions give no single probability"
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (
                (middle, high) if mean_tokens(middle, self.draft_tokens) < length else (low, middle)
            )
        return high

    @property
    def contexts(self) -> tuple[AcceptanceAt, ...]:
        """Acceptance of the first token by context; empty if it does not depend on the context."""
        if self.acceptance_by_context or self.drafter is None:
            return self.acceptance_by_context
        return self.drafter.acceptance_by_context

    def positions_at(self, context: float) -> tuple[float, ...]:
        """Return the probability that a draft is accepted up to each position at a context."""
        if not self.contexts or not self.positions[0]:
            return self.positions
        return scaled(self.positions, share_at(self.contexts, context) / self.positions[0])

    @property
    def tokens_per_step(self) -> float:
        """Mean number of tokens generated per sequence and step, if the context does not count."""
        return 1.0 + sum(self.positions)

    def tokens_per_step_at(self, context: float) -> float:
        """Return the mean number of tokens generated per sequence and step at a context."""
        return 1.0 + sum(self.positions_at(context))

    @property
    def measured_range(self) -> tuple[float, float] | None:
        """Lowest and highest mean number of tokens per step that were measured; None if unknown."""
        if self.drafter is None or self._own_acceptances:
            return None
        return self.drafter.range_of(self.draft_tokens)

    def warnings(self, model: str) -> Iterator[str]:
        """Yield what a reader must know of measured drafts that verify a model of this name."""
        drafter = self.drafter
        if drafter is None:
            return
        if drafter.model != model:
            yield f"drafter {drafter.name}: its acceptance was measured with {drafter.model}, not with {model}"
        if (measured := self.measured_range) is not None:
            yield (
                f"drafter {drafter.name}: {self.tokens_per_step:.2f} tokens per step with {self.draft_tokens} drafts; {measured[0]:.2f} to {measured[1]:.2f} were measured over tasks and runs"
            )

    @property
    def passed_layers(self) -> int | None:
        """Number of layers of the model that a drafted token passes; None for other drafts."""
        return self.mtp_layers if (drafter := self._with_costs) is None else drafter.mtp_layers

    @property
    def drafting_model(self) -> Model | None:
        """Model that drafts; None without one."""
        return self.draft_model if (drafter := self._with_costs) is None else drafter.draft_model

    @property
    def passes(self) -> int:
        """Number of forward passes that draft all tokens of a step."""
        own = None if (drafter := self._with_costs) is None else drafter.passes
        return own or self.draft_tokens

    @property
    def _with_costs(self) -> Drafter | None:
        """Drafter whose costs hold; None if keys here give them, or without a drafter."""
        costs = (self.draft_model, self.draft_cost, self.mtp_layers)
        return None if any(cost is not None for cost in costs) else self.drafter

    def steps(self, tokens: int, rng: np.random.Generator, context: float = 0.0) -> int:
        """Return a random number of steps until `tokens` tokens are generated.

        Each step generates one token plus the accepted tokens of its draft.

        Parameters
        ----------
        tokens
            Number of tokens to generate.
        rng
            Random generator of the request.
        context
            Number of tokens before the first of them. Acceptance that falls with the context is
            that in the middle of the answer.
        """
        positions = self.positions_at(context + tokens / 2)
        if not tokens or not positions[0]:
            return tokens
        if positions[-1] == 1.0:
            return -(-tokens // (self.draft_tokens + 1))
        falling, per_step = -np.array(positions), 1.0 + sum(positions)
        made = steps = 0
        while True:
            likely = (tokens - made) / per_step
            some = int(likely + 4.0 * sqrt(likely)) + 4
            # A draft is accepted up to each position whose probability is at least 1 - u.
            kept = np.searchsorted(falling, rng.random(some) - 1.0, side="right")
            so_far = made + np.cumsum(kept + 1)
            if so_far[-1] >= tokens:
                return steps + int(np.searchsorted(so_far, tokens)) + 1
            made, steps = int(so_far[-1]), steps + some


def mean_tokens(probability: float, draft_tokens: int) -> float:
    """Return the mean number of tokens per sequence and step: 1 + p + p² + … + pᵏ.

    Source: Leviathan, Kalman, Matias, ICML 2023, arXiv 2211.17192.

    Parameters
    ----------
    probability
        Probability p that a drafted token is accepted, from 0 to 1.
    draft_tokens
        Number k of drafted tokens per step.

    Examples
    --------
    >>> mean_tokens(0.5, 2), mean_tokens(1.0, 3)
    (1.75, 4.0)
    """
    return sum(probability**kept for kept in range(draft_tokens + 1))
