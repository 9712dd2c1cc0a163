"""Manifests of llm-d: a Deployment or a LeaderWorkerSet per pool, with labels for its router.

Source
------
llm-d @34272a64, `guides/pd-disaggregation/modelserver/gpu/{vllm,sglang}/base` and
`guides/recipes/modelserver/base`; @02cebcc3, `guides/wide-ep-lws`. llm-d-router, `bylabel`: values of the
label `llm-d.ai/role`. Images are llm-d's own placeholders, which kustomize replaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cluster_sim.export.deploy.arguments import words_of
from cluster_sim.export.deploy.kubernetes import (
    commands_of,
    inside,
    mappings,
    object_names,
    resources,
)
from cluster_sim.export.deploy.option_table import with_known
from cluster_sim.export.deploy.served import Served
from cluster_sim.export.deploy.servers import launch, target_of

ROLES = {"both": "prefill-decode", "prefill": "prefill", "decode": "decode"}
_ROLE, _MODEL, _NAME = "llm-d.ai/role", "llm-d.ai/model", "app.kubernetes.io/name"
_PORT, _BEHIND = 8000, 8200
_RANK = "$(LWS_WORKER_INDEX)"
_LEADER = "$(LWS_LEADER_ADDRESS)"


class Container(NamedTuple):
    """A server of a manifest."""

    commands: list[list[str]]
    """Words of each command."""
    replicas: Any
    """Number of replicas."""
    name: str
    """Name of the object or component."""
    role: str | None
    """Role by the manifest; None if it states none."""


def objects(pools: Sequence[Served]) -> Iterator[dict[str, Any]]:
    """Yield the objects that start all pools."""
    for served, name in zip(pools, object_names(pools), strict=True):
        labels = _labels(served, name)
        head = {"name": name, "labels": labels}
        template = {"metadata": {"labels": {"llm-d.ai/inference-serving": "true"} | labels}}
        if served.nodes == 1:
            yield {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": head,
                "spec": {
                    "replicas": served.deployment.replica_count,
                    "selector": {"matchLabels": {_NAME: name}},
                    "template": template | {"spec": _pod(served, {})},
                },
            }
            continue
        as_worker = {"--headless": True} if target_of(served) == "vllm" else {}
        yield {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "metadata": head,
            "spec": {
                "replicas": served.deployment.replica_count,
                "leaderWorkerTemplate": {
                    "size": served.nodes,
                    "leaderTemplate": template | {"spec": _pod(served, _on_nodes(served))},
                    "workerTemplate": {"spec": _pod(served, _on_nodes(served) | as_worker)},
                },
            },
        }


def _labels(served: Served, name: str) -> dict[str, str]:
    model = served.base_model.rpartition("/")[2]
    return {_NAME: name, _MODEL: model[:63], _ROLE: ROLES[served.plan.role]}


def _pod(served: Served, further: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod with one server; decode servers have the proxy that asks for prefills."""
    started = launch(served)
    is_behind_proxy = served.plan.role == "decode"
    port = _BEHIND if is_behind_proxy else _PORT
    target = target_of(served)
    assert target is not None
    split = 2 if target == "vllm" else len(started.command)
    options = with_known(target, served.plan.engine, {**further, "--port": port})
    words = [word for option in words_of(options) for word in option]
    container: dict[str, Any] = {
        "name": "modelserver",
        "image": "REPLACE_MODEL_SERVER_IMAGE",
        "command": started.command[:split],
        "args": [*started.command[split:], *started.words, *words],
        "ports": [{"name": "modelserver", "containerPort": port}],
    }
    if found := resources(served):
        container["resources"] = found
    if target == "vllm" and served.plan.role != "both":
        address = {"fieldRef": {"fieldPath": "status.podIP"}}
        container["env"] = [{"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": address}]
    pod: dict[str, Any] = {"containers": [container]}
    if is_behind_proxy:
        connector = "nixlv2" if target == "vllm" else "sglang"
        pod["initContainers"] = [
            {
                "name": "routing-proxy",
                "image": "REPLACE_ROUTING_SIDECAR_IMAGE",
                "args": [f"--port={_PORT}", f"--kv-connector={connector}"],
                "ports": [{"name": "sidecar", "containerPort": _PORT}],
                "restartPolicy": "Always",
            }
        ]
    return pod


def _on_nodes(served: Served) -> dict[str, Any]:
    """Return the options of a server that spans nodes, with variables of LeaderWorkerSet."""
    if target_of(served) == "vllm":
        return {"--node-rank": _RANK, "--master-addr": _LEADER}
    return {"--node-rank": _RANK, "--dist-init-addr": f"{_LEADER}:20000"}


def containers(document: Mapping[str, Any], where: str) -> Iterator[Container]:
    """Yield the servers of one object; those of a leader stand for its workers."""
    group = inside(document, "spec", "leaderWorkerTemplate")
    template = inside(document, "spec", "template")
    if group is not None:
        template = inside(group, "leaderTemplate") or inside(group, "workerTemplate")
    role = inside(template, "metadata", "labels", _ROLE)
    role = role or inside(document, "metadata", "labels", _ROLE)
    roles = {label: role for role, label in ROLES.items()} | {"both": "both"}
    for container in mappings(inside(template, "spec", "containers")):
        yield Container(
            commands_of(container, where),
            inside(document, "spec", "replicas") or 1,
            str(inside(document, "metadata", "name")),
            roles.get(str(role)),
        )
