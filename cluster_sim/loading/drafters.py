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
    >>> about_its_model("eagle3-qwen3-vl-30b")
    'Its model, Qwen3 VL 30B, is not in the catalog: name its config.json. Layers with states are refused.'
    """
    model = catalog_entry("drafters", name)["model"]
    entry = _model_of(name)
    if entry is None:
        return f"Its model, {model}, is not in the catalog: name its config.json. Layers with states are refused."
    reason = _not_verified(entry)
    return f"No scenario can use it: {reason}." if reason else f"Its model is {entry}."


def is_unused(name: str) -> bool:
    """Return whether no scenario can use a drafter of the catalog with its model.

    >>> is_unused("dspark-deepseek-v4-flash"), is_unused("mtp-deepseek-r1")
    (True, False)
    """
    entry = _model_of(name)
    return entry is not None and _not_verified(entry) is not None


def _model_of(name: str) -> str | None:
    """Return the catalog name of the model of a drafter; None if the catalog does not have it."""
    model, names = catalog_entry("drafters", name)["model"], catalog_names("models")
    return next((each for each in names if catalog_entry("models", each)["name"] == model), None)


def _not_verified(entry: str) -> str | None:
    """Return why steps of a model of the catalog that verify drafts are not simulated, or None."""
    return not_verified(describe(Model, Document(catalog_entry("models", entry), entry)))
