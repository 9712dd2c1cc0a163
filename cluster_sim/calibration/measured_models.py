"""Models in measurements, as keys of `Model`.

Models that the catalog does not offer to scenarios are in its folder `measured_models`.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.schema import catalog_entry, catalog_names

_FOLDERS = ("models", "measured_models")


def is_known_model(name: str) -> bool:
    """Return whether the shape of a model is known.

    Parameters
    ----------
    name
        Name of the model in the catalog or in its folder `measured_models`.

    Returns
    -------
    bool
        Whether `model_keys` has it.

    Examples
    --------
    >>> is_known_model("llama-3.3-70b"), is_known_model("llama-9")
    (True, False)
    """
    return any(name in catalog_names(folder) for folder in _FOLDERS)


def model_keys(name: str) -> dict[str, Any]:
    """Return the keys of a model; the mapping is shared: do not change it.

    Parameters
    ----------
    name
        Name of the model in the catalog or in its folder `measured_models`.

    Returns
    -------
    dict
        Keys of `Model`.

    Raises
    ------
    OSError
        The catalog has no such model.

    Examples
    --------
    >>> model_keys("llama-3.3-70b")["layers"]
    80
    """
    folder = next((folder for folder in _FOLDERS if name in catalog_names(folder)), "models")
    keys: dict[str, Any] = catalog_entry(folder, name)
    return keys
