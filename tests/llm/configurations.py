"""Models of configurations as config.json files hold them."""

from __future__ import annotations

from typing import Any

from cluster_sim.llm.config_files import from_hugging_face
from cluster_sim.llm.model import Model


def model(config: dict[str, Any], **beside: Any) -> Model:
    """Return the model of a configuration; `beside` are the files in its folder."""
    return Model.model_validate(from_hugging_face(config, "x", beside))


def plain_model(config: dict[str, Any]) -> Model:
    """Return the model of a configuration, without the keys that it was read from."""
    return model(config).model_copy(update={"read_from": None})
