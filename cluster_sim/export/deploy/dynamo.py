"""Manifest of Dynamo: one DynamoGraphDeployment with a front end and a component per pool.

Source
------
ai-dynamo 1.6.1: `dynamo/{vllm,sglang,trtllm}/backend_args.py`, `dynamo/common/configuration/groups/router_args.py`.
ai-dynamo/dynamo @04521f47, `examples/backends/{vllm,sglang,trtllm}/deploy/v1beta1`; @0fddc01b,
`deploy/operator/api/v1beta1`. The operator sets the options of servers that span nodes. `v1alpha1`, with `services`,
is read as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster_sim.export.deploy.facts import plain
from cluster_sim.export.deploy.kubernetes import (
    commands_of,
    inside,
    mappings,
    object_names,
    resources,
)
from cluster_sim.export.deploy.llm_d import Container
from cluster_sim.export.deploy.served import Served
from cluster_sim.export.deploy.servers import launch_in_dynamo, target_of
from cluster_sim.scenario.scenario import Scenario

KIND = "DynamoGraphDeployment"
_TYPES = {"both": "worker", "prefill": "prefill", "decode": "decode"}
_ROUTERS = {
    "round_robin": "round-robin",
    "random": "random",
    "power_of_two": "power-of-two",
    "least_requests": "least-loaded",
}
"""Values of `--router-mode` by the policy of the router."""
_MODE = "DYN_ROUTER_MODE"
_IMAGES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrtllm"}


def router_mode(scenario: Scenario) -> str | None:
    """Return the mode of Dynamo's router that is the scenario's policy; None if there is none."""
    router = scenario.cluster.router
    mode = _ROUTERS.get(router.policy)
    return mode if set(plain(router)) <= {"policy"} else None


def graph(pools: Sequence[Served], scenario: Scenario) -> dict[str, Any]:
    """Return the object that starts all pools."""
    image = _image(pools[0])
    front: dict[str, Any] = {"name": "main", "image": image}
    if (mode := router_mode(scenario)) is not None:
        front["env"] = [{"name": _MODE, "value": mode}]
    components = [_component("frontend", "frontend", 1, front)]
    for served, name in zip(pools, object_names(pools), strict=True):
        started = launch_in_dynamo(served)
        container: dict[str, Any] = {
            "name": "main",
            "image": _image(served),
            "command": started.command,
            "args": started.words,
        }
        if found := resources(served):
            container["resources"] = found
        count = served.deployment.replica_count
        name = f"{name}-pool" if name == "frontend" else name
        component = _component(name, _TYPES[served.plan.role], count, container)
        if served.nodes > 1:
            component["multinode"] = {"nodeCount": served.nodes}
        components.append(component)
    [name] = object_names(pools[:1])
    targets = {str(target_of(served)) for served in pools}
    framework = {"backendFramework": targets.pop()} if len(targets) == 1 else {}
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": KIND,
        "metadata": {"name": f"{name}-graph"},
        "spec": framework | {"components": components},
    }


def _component(name: str, type_: str, replicas: int, container: dict[str, Any]) -> dict[str, Any]:
    pod = {"spec": {"containers": [container]}}
    return {"name": name, "type": type_, "replicas": replicas, "podTemplate": pod}


def _image(served: Served) -> str:
    target = target_of(served)
    assert target is not None
    return f"nvcr.io/nvidia/ai-dynamo/{_IMAGES[target]}-runtime:VERSION"


def containers(document: Mapping[str, Any], where: str) -> Iterator[Container]:
    """Yield the workers of a graph, without its front end."""
    roles = {type_: role for role, type_ in _TYPES.items()}
    components = mappings(inside(document, "spec", "components"))
    services = inside(document, "spec", "services")
    if isinstance(services, dict):
        named = services.items()
        components += [{"name": name} | own for name, own in named if isinstance(own, dict)]
    for component in components:
        own = inside(component, "extraPodSpec", "mainContainer")
        for container in mappings([own, *_pods(component)]):
            type_ = component.get("subComponentType") or component.get("type")
            yield Container(
                commands_of(container, where),
                component.get("replicas") or 1,
                str(component.get("name")),
                roles.get(str(type_)),
            )


def router(document: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the router of a graph, as a scenario has it; None if it is stated otherwise."""
    policies = {mode: policy for policy, mode in _ROUTERS.items()}
    for component in mappings(inside(document, "spec", "components")):
        for container in _pods(component):
            for variable in mappings(container.get("env")):
                if variable.get("name") == _MODE and str(variable.get("value")) in policies:
                    return {"policy": policies[str(variable["value"])]}
    return None


def _pods(component: Mapping[str, Any]) -> list[dict[str, Any]]:
    return mappings(inside(component, "podTemplate", "spec", "containers"))
