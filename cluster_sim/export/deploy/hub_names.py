"""Names of models on the Hugging Face hub, which servers load, by the catalog's names."""

from __future__ import annotations

import csv
from functools import cache

from cluster_sim.hardware.precision import Precision
from cluster_sim.schema import CATALOG, catalog_data, catalog_names, entry_name


@cache
def _names() -> dict[tuple[str, str], str]:
    with (CATALOG / "hub_names.csv").open(encoding="utf-8", newline="") as file:
        return {(row["model"], row["weights"]): row["hub_name"] for row in csv.DictReader(file)}


def hub_name(model: str, weights: Precision | None = None) -> str | None:
    """Return the name of a model on the hub; None if the catalog does not list it.

    Parameters
    ----------
    model
        Name of the model, as its file gives it.
    weights
        Precision of a quantised checkpoint. Default: the checkpoint as published.

    Examples
    --------
    >>> hub_name("Llama 3.3 70B"), hub_name("Llama 3.3 70B", "fp8")
    ('meta-llama/Llama-3.3-70B-Instruct', 'nvidia/Llama-3.3-70B-Instruct-FP8')
    """
    entry = entry_of("models", model)
    return None if entry is None else _names().get((entry, weights or ""))


def server_name(model: str) -> str:
    """Return the name by which a server finds a model: on the hub, else in the catalog, else as is.

    >>> server_name("Llama 3.3 70B"), server_name("my model")
    ('meta-llama/Llama-3.3-70B-Instruct', 'my-model')
    """
    return hub_name(model) or entry_of("models", model) or "-".join(model.split())


def entry_of(kind: str, name: str) -> str | None:
    """Return the catalog's entry whose file gives a name; None without one.

    >>> entry_of("nodes", "DGX B200"), entry_of("engines", "like vLLM 0.22")
    ('dgx-b200', 'vllm-0.22')
    """
    return _entries(kind).get(entry_name(name))


@cache
def _entries(kind: str) -> dict[str, str]:
    # a second name of an entry, such as vllm, is shorter than its own
    names = sorted(catalog_names(kind), key=len)
    return {str(catalog_data(kind, name)["name"]): name for name in names}
