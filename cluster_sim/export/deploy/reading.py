"""Read deployments: serve arguments and manifests as the keys of a scenario."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster_sim.export.deploy import dynamo, kubernetes, llm_d, shell
from cluster_sim.export.deploy.facts import Plain, catalog_value
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.left_over import read_comments, without_arguments_of
from cluster_sim.export.deploy.servers import find, read
from cluster_sim.export.deploy.stated_model import stated_model
from cluster_sim.schema import catalog_names
from cluster_sim.serving.engine import Engine

_OF_POOL = re.compile(r"cluster\.pools\[(\d+)\]\.(.+)")


@dataclass(frozen=True)
class Deployed:
    """A deployment that was read from serve arguments or a manifest."""

    model: str | Plain | None
    """Value of the key `model` of a scenario; None if the catalog does not have the model."""
    model_id: str | None
    """Name of the model in the file."""
    pools: tuple[Plain, ...]
    """Dotted keys of each pool. Keys that were not stated are absent."""
    cluster: Plain = field(default_factory=dict)
    """Keys of the cluster beside its pools."""
    notes: tuple[str, ...] = ()
    """Sentences about what could not be read."""
    context: int | None = None
    """Longest sequence that each server takes [tokens]; None if it is not stated."""


def read_deployment(text: str, where: str) -> Deployed | None:
    """Return the deployment that a text describes; None if it starts no server that is known.

    Parameters
    ----------
    text
        Script with commands of `vllm serve`, SGLang or `trtllm-serve`, or a manifest.
    where
        Name of the file, for messages.

    Raises
    ------
    ScenarioError
        An option has a value that it does not take.
    """
    servers = list(_servers(text, where))
    if not servers:
        return None
    comments = read_comments(text, where)
    pools, notes = [], list[str]()
    for number, (target, keys, stated) in enumerate(servers):
        own = _of_pool(comments, number)
        flat = {"name": f"pool{number}", "replica.engine": target}
        flat |= without_arguments_of(own, keys.values) | stated | own
        if "autoscale" in own:  # its maximum is the number of replicas
            flat.pop("replicas", None)
        is_known = any(key.startswith("replica.speculation.") for key in own)
        if keys.host_bytes is not None and "kv.offload" not in flat:
            notes.append(
                f"the host tier of {keys.host_bytes / 1e9:g} GB is left out, because its bandwidth is not stated; add kv.offload"
            )
        notes += [
            f"pool {flat['name']}: {note}"
            for note in keys.notes
            if not (is_known and "acceptance" in note)
        ]
        pools.append(_without_usual(flat))
    every = [keys for _, keys, _ in servers]
    found = stated_model(every)
    model = comments.get("model", None if found is None else found.key)
    cluster = _stated_cluster(text, where) | {
        key.removeprefix("cluster."): value
        for key, value in comments.items()
        if key.startswith("cluster.") and not _OF_POOL.fullmatch(key)
    }
    contexts = [keys.context for keys in every if isinstance(keys.context, int)]
    longest = min(contexts, default=None)
    return Deployed(model, every[0].model, tuple(pools), cluster, tuple(notes), longest)


def _servers(text: str, where: str) -> list[tuple[str, Keys, dict[str, Any]]]:
    """Return the target, the keys and the stated number of replicas of each server."""
    if kubernetes.is_manifest(text):
        return list(_servers_of_manifest(text, where))
    found, files = shell.commands(text, where)
    targets = [target for words in found if (target := find(words)) is not None]
    return [(name, read(name, words, files, where), {}) for name, words in targets]


def _servers_of_manifest(text: str, where: str) -> Iterator[tuple[str, Keys, Plain]]:
    """Yield the target, the keys, and what the manifest itself states of each server."""
    for document in kubernetes.documents(text, where):
        reader = dynamo if document.get("kind") == dynamo.KIND else llm_d
        for container in reader.containers(document, where):
            stated: Plain = {"name": container.name, "replicas": container.replicas}
            if container.role is not None:
                stated["replica.role"] = container.role
            for words in container.commands:
                if (target := find(words)) is not None:
                    yield target[0], read(*target, {}, where), stated


def _stated_cluster(text: str, where: str) -> Plain:
    """Return the keys of the cluster that a manifest states."""
    if not kubernetes.is_manifest(text):
        return {}
    for document in kubernetes.documents(text, where):
        router = dynamo.router(document) if document.get("kind") == dynamo.KIND else None
        if router is not None:
            return {"router": router}
    return {}


def _of_pool(comments: Plain, number: int) -> Plain:
    matches = ((_OF_POOL.fullmatch(key), value) for key, value in comments.items())
    return {match[2]: value for match, value in matches if match and int(match[1]) == number}


def _without_usual(flat: Plain) -> Plain:
    """Return keys without those of the engine that have the values of its profile."""
    name = flat["replica.engine"]
    if not isinstance(name, str) or name not in catalog_names("engines"):
        return flat
    usual = catalog_value("engines", Engine, name).model_dump(mode="json", by_alias=True)
    start = "replica.engine."
    return {
        key: value
        for key, value in flat.items()
        if not (key.startswith(start) and usual.get(key.removeprefix(start)) == value)
    }
