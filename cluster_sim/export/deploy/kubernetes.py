"""Parts of Kubernetes manifests that llm-d and Dynamo share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster_sim.export.deploy import shell
from cluster_sim.export.deploy.served import Served
from cluster_sim.schema import parse_yaml, yaml_text

_GPUS = {"NVIDIA": "nvidia.com/gpu", "AMD": "amd.com/gpu"}
"""Names of the resource by the maker of the device."""
_SHELLS = ("sh", "bash")
_SEPARATOR = re.compile(r"^---\s*$", re.MULTILINE)
_MANIFEST = re.compile(r"^kind:\s*\S", re.MULTILINE)


def resources(served: Served) -> dict[str, Any]:
    """Return the devices of one node of a replica, as a container asks for them."""
    deployment = served.deployment
    count = min(deployment.devices_per_replica, deployment.pool.node.devices)
    maker, _, model = deployment.device.name.partition(" ")
    is_gpu = maker in _GPUS and "LPU" not in model
    return {"limits": {_GPUS[maker]: str(count)}} if is_gpu else {}


def object_names(pools: Sequence[Served]) -> list[str]:
    """Return a name for each pool that Kubernetes accepts; no two are equal.

    Source: Kubernetes, Object Names and IDs: at most 63 lower-case letters, digits and hyphens.
    """
    found: list[str] = []
    for served in pools:
        plain = re.sub(r"[^a-z0-9]+", "-", served.deployment.name.lower()).strip("-")
        name = plain[:50].strip("-") or "pool"
        while name in found:
            name = f"{name}-{len(found)}"
        found.append(name)
    return found


def manifest(documents: Sequence[dict[str, Any]]) -> str:
    """Return objects as one text of YAML."""
    return "---\n".join(yaml_text(document) for document in documents)


def is_manifest(text: str) -> bool:
    """Return whether a text is a manifest and not a script."""
    return _MANIFEST.search(text) is not None


def documents(text: str, where: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a manifest."""
    for part in _SEPARATOR.split(text):
        if any(line.strip() and not line.startswith("#") for line in part.splitlines()):
            yield parse_yaml(part, where).data


def mappings(value: Any) -> list[dict[str, Any]]:
    """Return the mappings of a list; none if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def commands_of(container: Mapping[str, Any], where: str) -> list[list[str]]:
    """Return the words of each command that a container runs, also of a script that it runs."""
    parts = (container.get(key) for key in ("command", "args"))
    words = [str(word) for part in parts if isinstance(part, list) for word in part]
    if len(words) > 2 and words[0].rpartition("/")[2] in _SHELLS and words[1].endswith("c"):
        return shell.commands(words[2], where)[0]
    return [words]


def inside(value: Any, *keys: str) -> Any:
    """Return a value inside mappings; None if a key is missing.

    >>> inside({"spec": {"replicas": 2}}, "spec", "replicas"), inside({}, "spec", "replicas")
    (2, None)
    """
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
