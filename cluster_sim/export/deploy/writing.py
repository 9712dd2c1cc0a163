"""Emitted: a scenario's deployment as serve arguments or a manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.export.deploy import dynamo, kubernetes, llm_d, shell
from cluster_sim.export.deploy.facts import Plain, entry, plain
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.left_over import ALWAYS, cluster_left, comment_lines, keys_left
from cluster_sim.export.deploy.served import Served
from cluster_sim.export.deploy.servers import ENGINES, find, launch, read, target_of
from cluster_sim.export.deploy.stated_model import stated_model
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import yaml_text


class Emitted(NamedTuple):
    """A deployment as the text that starts it."""

    text: str
    """Serve arguments or manifest, with comments."""
    left: tuple[str, ...]
    """Keys of the scenario that the target has no option for."""

    @property
    def lost(self) -> tuple[str, ...]:
        """Keys without an option, but for names, nodes and numbers of replicas, which no server takes."""
        return tuple(key for key in self.left if key.partition("].")[2] not in ALWAYS)


class _Target(NamedTuple):
    """One way to write a deployment."""

    what: str
    """Name of what is written, for the first comment."""
    engines: tuple[str, ...]
    """Targets of the engines that it can start."""
    write: Callable[[Sequence[Served], Scenario], str]
    """Function that returns the text without keys that are left over."""
    carries: tuple[str, ...] = ()
    """Keys that an arguments' target leaves over and this one states."""


def _script(pools: Sequence[Served], scenario: Scenario) -> str:
    return shell.script([(_comment(served), launch(served)) for served in pools])


def _comment(served: Served) -> str:
    """Return what a command is for, and how often it is started."""
    deployment = served.deployment
    count, size = deployment.replica_count, deployment.devices_per_replica
    often = "once" if count == 1 else f"{count} times, once per replica"
    where = f"on {size} devices" if size > 1 else "on one device"
    nodes = ""
    if served.nodes > 1:
        nodes = f" of {served.nodes} nodes, with the address of the first and the rank of each"
    return f"pool {deployment.name}: start this {often}, {where}{nodes}"


def _of_llm_d(pools: Sequence[Served], scenario: Scenario) -> str:
    return kubernetes.manifest(list(llm_d.objects(pools)))


def _of_dynamo(pools: Sequence[Served], scenario: Scenario) -> str:
    return kubernetes.manifest([dynamo.graph(pools, scenario)])


TARGETS = {
    "vllm": _Target("arguments of `vllm serve`", ("vllm",), _script),
    "sglang": _Target("arguments of SGLang", ("sglang",), _script),
    "trtllm": _Target("options of `trtllm-serve`", ("trtllm",), _script),
    "llm-d": _Target("manifests for llm-d", ("vllm", "sglang"), _of_llm_d, ("replicas",)),
    "dynamo": _Target(
        "a DynamoGraphDeployment", ("vllm", "trtllm", "sglang"), _of_dynamo, ("replicas",)
    ),
}
"""Ways to write a deployment, by name."""


def emitted(scenario: Scenario, target: str) -> Emitted:
    """Return the deployment of a scenario as serve arguments or a manifest.

    Every key that the target has an option for is written. The other keys are named in comments,
    from which `init --from` reads them.

    Parameters
    ----------
    scenario
        Scenario with the pools to deploy.
    target
        One of `TARGETS`.

    Raises
    ------
    ScenarioError
        The target is unknown, a pool has wafers, or an engine that the target does not start.
    """
    check_target(target)
    chosen = TARGETS[target]
    deployments = resolve(scenario).deployments
    for number, deployment in enumerate(deployments):
        _check(deployment, f"cluster.pools[{number}]", target)
    pools = [Served(deployment) for deployment in deployments]
    body = chosen.write(pools, scenario)
    left = _left(scenario, pools, chosen.carries)
    if target == "dynamo" and dynamo.router_mode(scenario) is not None:
        del left["cluster.router"]
    omitted = _omitted_router(scenario)
    if omitted:
        left.pop("cluster.router", None)
    lines = [
        f"# {scenario.title}: {chosen.what}, written by cluster-sim.",
        "# The keys below have no option there. `cluster-sim init --from` reads them from these lines.",
        *comment_lines(left),
        *([f"# Omitted: cluster.router, which {omitted}."] if omitted else ()),
    ]
    return Emitted("\n".join([*lines, "", body]), tuple(left))


def _omitted_router(scenario: Scenario) -> str:
    """Return why a deployment cannot state the router of a scenario; empty if it can."""
    router = scenario.cluster.router
    if router.reads_temperatures_every_s is not None:
        return "reads temperatures"
    return "routes by the classes of the workload" if router.asks_for_classes else ""


def check_target(target: str) -> None:
    """Raise ScenarioError for a target that is unknown."""
    if target not in TARGETS:
        raise ScenarioError.at("--emit", f"got '{target}'{did_you_mean(target, tuple(TARGETS))}")


def _check(deployment: Deployment, where: str, target: str) -> None:
    """Raise ScenarioError for a pool that the target cannot start."""
    name = f"pool '{deployment.name}'"
    if deployment.pool.is_wafer or deployment.pool.is_streamed:
        what = (
            f"{name} has wafers, which no serving engine of --emit starts; expected pools of GPUs"
        )
        raise ScenarioError.at(where, what)
    engines = TARGETS[target].engines
    own = target_of(Served(deployment))
    if own not in engines:
        engine = maker(deployment.pool.replica.engine.profile)
        others = [key for key, value in TARGETS.items() if own in value.engines]
        mend = f"; expected --emit {' or '.join(others)}" if others else ""
        listed = " or ".join(ENGINES[each] for each in engines)
        raise ScenarioError.at(
            f"{where}.replica.engine", f"{name} runs {engine}, and {target} starts {listed}{mend}"
        )


def _left(scenario: Scenario, pools: Sequence[Served], carries: Sequence[str]) -> Plain:
    """Return all keys without an option, as dotted keys of the scenario."""
    readings = [_read_again(served) for served in pools]
    left: Plain = {}
    stated = stated_model(readings)
    if stated is None or plain(stated.model) != plain(scenario.model):
        left["model"] = entry("models", scenario.model)
    for number, (served, keys) in enumerate(zip(pools, readings, strict=True)):
        found = keys_left(served.deployment, keys, carries)
        left |= {f"cluster.pools[{number}].{key}": value for key, value in found.items()}
    return left | {f"cluster.{key}": value for key, value in cluster_left(scenario).items()}


def _read_again(served: Served) -> Keys:
    """Return the keys that the arguments of a pool stand for, read from its command."""
    started = launch(served)
    target = find([*started.command, *started.words])
    assert target is not None
    files = {name: yaml_text(content) for name, content in started.files.items()}
    return read(*target, files, served.deployment.name)
