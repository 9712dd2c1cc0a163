"""Scenarios that can use a drafter of the catalog: they depend on the model that verifies."""

from __future__ import annotations

from cluster_sim.llm.model import Model
from cluster_sim.loading.checks.batching import not_verified
from cluster_sim.schema import Document, catalog_entry, catalog_names, describe


def about_its_model(name: str) -> str:
    """Return a sentence about the model of a drafter: its entry, or why no scenario uses it.

    Parameters
    ----------
    name
        Catalog name of the drafter.

    Examples
    --------
    >>> about_its_model("eagle3-llama-3.3-70b")
    'Its model is llama-3.3-70b.'
    >>> about_its_model("eagle3-qwen3-8b")
    'Its model, Qwen3 8B, is not in the catalog: name its config.json. Layers with states are refused.'
    """
    model = catalog_entry("drafters", name)["model"]
    for entry in catalog_names("models"):
        keys = catalog_entry("models", entry)
        if keys.get("name") == model:
            reason = not_verified(describe(Model, Document(keys, entry)))
            return f"No scenario can use it: {reason}." if reason else f"Its model is {entry}."
    return f"Its model, {model}, is not in the catalog: name its config.json. Layers with states are refused."


def is_unused(name: str) -> bool:
    """Return whether no scenario can use a drafter of the catalog with its model.

    >>> is_unused("dspark-deepseek-v4-flash"), is_unused("mtp-deepseek-r1")
    (True, False)
    """
    return about_its_model(name).startswith("No ")
