"""Models that measurements name, in the keys of `Model`.

Those that the catalog does not offer to scenarios lie in its folder `measured_models`.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.schema import catalog_entry, catalog_names

_FOLDERS = ("models", "measured_models")


def is_known_model(name: str) -> bool:
    """Return whether the shape of a model is known."""
    return any(name in catalog_names(folder) for folder in _FOLDERS)


def model_keys(name: str) -> dict[str, Any]:
    """Return the keys of the model called `name`; shared, never change them.

    Raises
    ------
    OSError
        There is no such model.
    """
    folder = next((folder for folder in _FOLDERS if name in catalog_names(folder)), "models")
    keys: dict[str, Any] = catalog_entry(folder, name)
    return keys
