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
from cluster_sim.export.deploy.kubernetes import inside, object_names, resources
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


def containers(document: Mapping[str, Any]) -> Iterator[Container]:
    """Yield the workers of a graph, without its front end."""
    roles = {type_: role for role, type_ in _TYPES.items()}
    components = inside(document, "spec", "components")
    services = inside(document, "spec", "services") or {}
    if components is None:
        components = [{"name": name} | service for name, service in services.items()]
    for component in components:
        own = inside(component, "extraPodSpec", "mainContainer")
        pods = inside(component, "podTemplate", "spec", "containers") or []
        for container in [own] if own is not None else pods:
            words = [*(container.get("command") or []), *(container.get("args") or [])]
            type_ = component.get("subComponentType") or component.get("type")
            yield Container(
                list(map(str, words)),
                component.get("replicas") or 1,
                str(component.get("name")),
                roles.get(str(type_)),
            )


def router(document: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the router of a graph, as a scenario has it; None if it is stated otherwise."""
    policies = {mode: policy for policy, mode in _ROUTERS.items()}
    for component in inside(document, "spec", "components") or []:
        for container in inside(component, "podTemplate", "spec", "containers") or []:
            for variable in container.get("env") or []:
                if variable.get("name") == _MODE and variable.get("value") in policies:
                    return {"policy": policies[variable["value"]]}
    return None
