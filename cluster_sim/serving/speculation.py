"""Speculative decoding: number of drafted tokens, and their acceptance by the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import sqrt
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.limits import DRAFT, LAYERS
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.schema import Description, Named

ShareOrZero = Annotated[float, Field(ge=0.0, le=1.0)]
"""Share from 0 to 1, in a description."""

Streams = Callable[[int, int], np.random.Generator]
"""Function that returns the random generator of a request, given its number and its number of
preemptions."""


class Speculation(Description):
    """Drafted tokens, which each step verifies for every sequence.

    The drafted tokens before the first rejected one are accepted, and one more token is generated.
    Every drafted token is accepted with the same probability (Leviathan, Kalman, Matias, Fast
    Inference from Transformers via Speculative Decoding, ICML 2023, arXiv 2211.17192).
    """

    draft_tokens: Annotated[int, Field(gt=0), DRAFT]
    """Number of tokens drafted per sequence and step."""
    acceptance: ShareOrZero | None = None
    """Probability that a drafted token is accepted if all tokens before it were. Either
    `acceptance` or `acceptance_length` is required."""
    acceptance_length: Annotated[float, Field(ge=1.0)] | None = None
    """Mean number of tokens per sequence and step, including the one that the model generates
    itself. Either `acceptance` or `acceptance_length` is required."""
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
        if (self.acceptance is None) == (self.acceptance_length is None):
            raise ValueError("expected either 'acceptance' or 'acceptance_length'")
        if self.acceptance_length is not None and self.acceptance_length > self.draft_tokens + 1:
            raise ValueError(
                f"acceptance_length: got {self.acceptance_length:g}; expected at most draft_tokens + 1 = {self.draft_tokens + 1}"
            )
        drafters = (self.draft_model, self.draft_cost, self.mtp_layers)
        if sum(drafter is not None for drafter in drafters) > 1:
            raise ValueError("expected at most one of 'draft_model', 'draft_cost' and 'mtp_layers'")
        return self

    @cached_property
    def probability(self) -> float:
        """Probability that a drafted token is accepted if all tokens before it were.

        If the mean acceptance length is given, the probability is solved for.
        """
        if self.acceptance is not None:
            return self.acceptance
        assert self.acceptance_length is not None
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (
                (middle, high)
                if mean_tokens(middle, self.draft_tokens) < self.acceptance_length
                else (low, middle)
            )
        return high

    @property
    def tokens_per_step(self) -> float:
        """Mean number of tokens generated per sequence and step."""
        return mean_tokens(self.probability, self.draft_tokens)

    def steps(self, tokens: int, rng: np.random.Generator) -> int:
        """Return a random number of steps until `tokens` tokens are generated.

        Each step generates one token plus the accepted tokens of its draft. Their number has a
        geometric distribution, truncated at the length of the draft.

        Parameters
        ----------
        tokens
            Number of tokens to generate.
        rng
            Random generator of the request.
        """
        if not tokens or not self.probability:
            return tokens
        if self.probability == 1.0:
            return -(-tokens // (self.draft_tokens + 1))
        made = steps = 0
        while True:
            likely = (tokens - made) / self.tokens_per_step
            some = int(likely + 4.0 * sqrt(likely)) + 4
            kept = np.floor(np.log(1.0 - rng.random(some)) / np.log(self.probability))
            so_far = made + np.cumsum(np.minimum(kept, self.draft_tokens) + 1.0)
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
