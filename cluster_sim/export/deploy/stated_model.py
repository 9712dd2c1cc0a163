"""The model that servers' arguments name, as the catalog has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster_sim.export.deploy.facts import catalog_value
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_names import known_model
from cluster_sim.schema import LIKE


class StatedModel(NamedTuple):
    """Model of the catalog that arguments name."""

    key: str | dict[str, Any]
    """Value of the key `model` of a scenario."""
    model: Model
    """The model itself."""


def stated_model(pools: Sequence[Keys]) -> StatedModel | None:
    """Return the model that the arguments of all pools name; None if the catalog has none.

    Its context is the longest that a server takes.
    """
    known = [known_model(keys.model) for keys in pools if keys.model is not None]
    names = {each.name for each in known if each is not None}
    if len(names) != 1 or None in known:
        return None
    [name] = names
    model = catalog_value("models", Model, name)
    contexts = [keys.context for keys in pools if keys.context is not None]
    if len(contexts) < len(pools) or max(contexts) == model.max_context:
        return StatedModel(name, model)
    longest = max(contexts)
    return StatedModel(
        {LIKE: name, "max_context": longest}, model.model_copy(update={"max_context": longest})
    )
