"""Drafter: a measured source of drafts for one model, as the catalog describes it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cluster_sim.limits import LAYERS
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.schema import Description, Named
from cluster_sim.serving.acceptance import AcceptanceAt, ShareOrZero, with_length
from cluster_sim.typing import Count

Method = Literal["mtp", "eagle3", "dflash", "dspark", "draft_model", "n_gram"]
"""Methods of drafting."""


class Drafter(Description):
    """Drafts of one method for one model: their measured acceptance and what a draft costs."""

    name: str
    """Name of the drafter."""
    model: str
    """Name of the model that verifies the drafts, as its file gives it."""
    method: Method
    """Method that drafts. mtp: layers trained with the model. eagle3: a head of one layer on hidden
    states of the model. dflash, dspark: a head that drafts all tokens in one pass. draft_model: a
    smaller model. n_gram: repeated text."""
    acceptance_by_position: Annotated[tuple[ShareOrZero, ...], Field(min_length=1)]
    """Probability that a draft is accepted up to each position; as many values as were measured."""
    length_range: tuple[float, float] | None = None
    """Lowest and highest mean number of tokens per step over tasks and runs, with as many drafts
    as positions are measured. Default: not known."""
    acceptance_by_context: tuple[AcceptanceAt, ...] = ()
    """Acceptance of the first token by context, ascending. Default: it does not depend on the
    context."""
    mtp_layers: Annotated[int, Field(gt=0), LAYERS] | None = None
    """Number of layers that a drafted token passes, each as large as a layer of the model."""
    draft_model: Annotated[Model, Named("models", read_model)] | None = None
    """Model that drafts, such as the single layer of an EAGLE head."""
    passes: Count | None = None
    """Number of forward passes per draft. Default: one per drafted token."""

    @model_validator(mode="after")
    def _in_order(self) -> Drafter:
        check_positions(self.acceptance_by_position)
        check_contexts(self.acceptance_by_context)
        if self.mtp_layers is not None and self.draft_model is not None:
            raise ValueError("expected at most one of 'draft_model' and 'mtp_layers'")
        return self

    def range_of(self, drafts: int) -> tuple[float, float] | None:
        """Return the lowest and highest mean number of tokens per step with so many drafts.

        A shorter or longer mean is that of all positions being accepted less or more often.
        """
        if self.length_range is None:
            return None
        low, high = (
            1.0 + sum(with_length(self.acceptance_by_position, length)[:drafts])
            for length in self.length_range
        )
        return low, high


def check_positions(positions: tuple[float, ...]) -> None:
    """Raise an error if a later position is accepted more often than an earlier one."""
    if any(later > earlier for earlier, later in pairwise(positions)):
        raise ValueError(
            "acceptance_by_position: got a value above the one before it; expected the probability that a draft is accepted up to each position"
        )


def check_contexts(points: tuple[AcceptanceAt, ...]) -> None:
    """Raise an error if the contexts do not ascend."""
    contexts = [point.context for point in points]
    if contexts != sorted(set(contexts)):
        raise ValueError("acceptance_by_context: expected ascending contexts")
