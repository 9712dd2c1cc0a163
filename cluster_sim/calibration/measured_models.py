"""Models in measurements, as keys of `Model`.

Models that the catalog does not offer to scenarios are in its folder `measured_models`.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.schema import catalog_entry, catalog_names

_FOLDERS = ("models", "measured_models")


def is_known_model(name: str) -> bool:
    """Return whether the shape of a model is known."""
    return any(name in catalog_names(folder) for folder in _FOLDERS)


def model_keys(name: str) -> dict[str, Any]:
    """Return the keys of the model called `name`. The mapping is shared: do not change it."""
    folder = next((folder for folder in _FOLDERS if name in catalog_names(folder)), "models")
    keys: dict[str, Any] = catalog_entry(folder, name)
    return keys
