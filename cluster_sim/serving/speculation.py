"""Speculative decoding: how many tokens are drafted, and how many of them the model keeps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import sqrt
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.llm.huggingface import read_model
from cluster_sim.llm.model import Model
from cluster_sim.schema import Description

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Streams = Callable[[int, int], np.random.Generator]
"""The random generator of a request by its number, and of its n-th time in the batch."""


class Speculation(Description):
    """Each step checks some drafted tokens of every sequence: those before the first that is
    refused are kept, and one more is made.

    A drafted token is kept with the same probability wherever it stands (Leviathan, Kalman, Matias,
    Fast Inference from Transformers via Speculative Decoding, ICML 2023, arXiv 2211.17192).
    """

    draft_tokens: Annotated[int, Field(gt=0, le=64)]
    """Drafted for each sequence in each step."""
    acceptance: Share | None = None
    """Probability that a drafted token is kept where all before it were."""
    acceptance_length: Annotated[float, Field(ge=1.0)] | None = None
    """In place of it, mean tokens that a step makes of a sequence, the model's own one included."""
    draft_model: (
        Annotated[Model, BeforeValidator(read_model, json_schema_input_type=str | Model)] | None
    ) = None
    """A model that drafts, token by token, on the same devices; default: drafts cost what
    `draft_cost` says."""
    draft_cost: Share | None = None
    """Of a plain decode step of the model, for each drafted token; 0 for n-grams, and the
    default."""
    mtp_layers: Annotated[int, Field(gt=0)] | None = None
    """In place of it, layers that a drafted token passes, as large as the model's own: multi-token
    prediction, EAGLE. On GPUs each draft is a step of its own, output head included; on wafers it
    passes as many stations more."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Speculation:
        if (self.acceptance is None) == (self.acceptance_length is None):
            raise ValueError("wanted either 'acceptance' or 'acceptance_length'")
        if self.acceptance_length is not None and self.acceptance_length > self.draft_tokens + 1:
            raise ValueError(
                f"acceptance_length of {self.acceptance_length:g} is more than draft_tokens and one: {self.draft_tokens + 1}"
            )
        if sum(way is not None for way in (self.draft_model, self.draft_cost, self.mtp_layers)) > 1:
            raise ValueError("wanted one at most of 'draft_model', 'draft_cost' and 'mtp_layers'")
        return self

    @cached_property
    def probability(self) -> float:
        """That a drafted token is kept where all before it were: solved for, where the mean length
        is given.
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
    def tokens_a_step(self) -> float:
        """That a step makes of a sequence, in the mean."""
        return mean_tokens(self.probability, self.draft_tokens)

    def steps(self, tokens: int, rng: np.random.Generator) -> int:
        """Steps until `tokens` are made, drawn: each makes one and those kept of its draft, a
        geometric number cut at the draft.
        """
        if not tokens or not self.probability:
            return tokens
        if self.probability == 1.0:
            return -(-tokens // (self.draft_tokens + 1))
        made = steps = 0
        while True:
            likely = (tokens - made) / self.tokens_a_step
            some = int(likely + 4.0 * sqrt(likely)) + 4
            kept = np.floor(np.log(1.0 - rng.random(some)) / np.log(self.probability))
            so_far = made + np.cumsum(np.minimum(kept, self.draft_tokens) + 1.0)
            if so_far[-1] >= tokens:
                return steps + int(np.searchsorted(so_far, tokens)) + 1
            made, steps = int(so_far[-1]), steps + some


def mean_tokens(probability: float, draft_tokens: int) -> float:
    """Tokens that a step makes in the mean: 1 + p + p² + … + pᵏ.

    >>> mean_tokens(0.5, 2), mean_tokens(1.0, 3)
    (1.75, 4.0)
    """
    return sum(probability**kept for kept in range(draft_tokens + 1))
