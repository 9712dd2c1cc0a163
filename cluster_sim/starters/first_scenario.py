"""A first scenario: its keys, its layout, and the text of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.node import Node
from cluster_sim.loading.files import scenarios_of
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import (
    Document,
    describe,
    looking_in,
    parse_yaml,
)
from cluster_sim.starters.answers import Answers
from cluster_sim.starters.deployed import cluster_of, deployed_text, longest_request
from cluster_sim.starters.flow_text import flow_text
from cluster_sim.starters.layouts import Layout, Wanted, layouts
from cluster_sim.starters.recorded import Recorded
from cluster_sim.starters.scenario_keys import keys_of, named_from, shorter
from cluster_sim.starters.template import scenario_text


@dataclass(frozen=True)
class FirstScenario:
    """A first scenario, checked."""

    text: str
    """Text of its file."""
    layout: Layout | None
    """Layout of the model on the nodes; None if serve arguments state it."""
    notes: tuple[str, ...]
    """Sentences on what was assumed, and on what the user should look at."""


def first_scenario(answers: Answers, file: str | Path) -> FirstScenario:
    """Return a first scenario.

    Parameters
    ----------
    answers
        Model, nodes, traffic and objectives.
    file
        File that the scenario is to be written to. Its name becomes the scenario's.

    Returns
    -------
    FirstScenario
        Text of the scenario, which passes `cluster-sim check`.

    Raises
    ------
    ScenarioError
        No layout of the model on the nodes fits, or a value is no value of a scenario.
    """
    file = Path(file)
    values = dict(answers.values)
    for key in ("model", "node"):
        values[key] = named_from(file, values[key], key)
    if answers.recorded.deployment is not None:
        return _of_deployment(answers, values, file)
    with looking_in(file.parent):
        values |= shorter(answers, values, inf)
        node = describe(Pool, Document({"name": "pool", "node": values["node"]}, "--node")).node
    wanted = _wanted(answers, values)
    keys = keys_of(answers, values, wanted.replicas, file)
    _check_ranks(wanted, node)
    try:
        options = layouts(keys, node, wanted, str(file))
    except ScenarioError as error:
        raise _no_layout(error, values) from error
    chosen = options[0]
    pool = keys["cluster"]["pools"][0] | {"nodes": chosen.nodes, "replica": chosen.plan}
    keys["cluster"] = {"pools": [pool]}
    text = scenario_text(keys, answers, options, file)
    scenarios_of(parse_yaml(text, str(file))).scenario()
    return FirstScenario(text, chosen, tuple(_notes(answers, values, chosen)))


def _of_deployment(answers: Answers, values: dict[str, Any], file: Path) -> FirstScenario:
    """Return the scenario of a deployment, with the traffic of the options."""
    deployment = answers.recorded.deployment
    assert deployment is not None
    stated = answers.recorded.values.get("model")
    is_given = "model" not in answers.defaults and values["model"] != stated
    model, notes = values["model"], list(deployment.notes)
    limit: float = deployment.context or inf
    if deployment.model is not None and not is_given:
        model = deployment.model
        defaults = tuple(name for name in answers.defaults if name != "model")
        answers = replace(answers, defaults=defaults)
        limit = limit if isinstance(model, str) else min(limit, model.get("max_context", inf))
    elif "model" in answers.defaults:
        notes.append(_unknown_model(answers.recorded))
    with looking_in(file.parent):
        cluster = cluster_of(deployment, values["node"])
        values |= shorter(answers, values, min(limit, longest_request(cluster)))
        keys = keys_of(answers, values, None, file) | {"model": model, "cluster": cluster}
        text = deployed_text(keys, answers, file)
        scenarios_of(parse_yaml(text, str(file))).scenario()
    return FirstScenario(text, None, (*notes, *_notes_of_defaults(answers, values)))


def _unknown_model(recorded: Recorded) -> str:
    return f"the catalog has no model '{recorded.model_id}' of the {recorded.noun}; name one with --model NAME, or the path of its config.json"


def _wanted(answers: Answers, values: Mapping[str, Any]) -> Wanted:
    """Return the known properties of the layout; a result of a client is that of one server."""
    is_result = answers.recorded.is_result
    return Wanted(
        values.get("nodes"),
        values.get("replicas", 1 if is_result else None),
        values.get("tensor-parallel"),
        answers.weights,
        is_smallest=is_result,
    )


def _check_ranks(wanted: Wanted, node: Node) -> None:
    """Raise ScenarioError if replicas of the given number of ranks do not fill a node."""
    ranks = wanted.tensor_parallel
    if ranks is None:
        return
    if node.device.wafer is not None:
        raise ScenarioError.at("--tensor-parallel", "wafers have no ranks; omit this option")
    if ranks > node.devices or (wanted.replicas is None and node.devices % ranks):
        raise ScenarioError.at(
            "--tensor-parallel",
            f"got {ranks}; expected a divisor of the {node.devices} devices of a node",
        )


def _no_layout(error: ScenarioError, values: Mapping[str, Any]) -> ScenarioError:
    """Return the error that no layout fits, by the option that can mend it."""
    what = error.faults[0].what
    if not what.startswith("cluster."):
        return ScenarioError.at("init", what)
    key, _, what = what.partition(": ")
    if "tensor-parallel" in values and key.endswith("tensor_parallel"):
        return ScenarioError.at("--tensor-parallel", what)
    if "nodes" not in values:
        return ScenarioError.at("--node", f"{what}; expected another node, or another --model")
    return ScenarioError.at(
        "--nodes", f"{what}; expected more nodes, or no --nodes for as many as the model needs"
    )


def _notes(answers: Answers, values: Mapping[str, Any], chosen: Layout) -> list[str]:
    """Return what was assumed, and what the user should look at."""
    notes = _notes_of_defaults(answers, values)
    recorded = answers.recorded
    if (
        recorded.model_id is not None
        and "model" not in recorded.values
        and "model" in answers.defaults
    ):
        notes.append(_unknown_model(recorded))
    if recorded.is_result and not recorded.is_comparable:
        notes.append(
            f"`compare --measured` does not read {recorded.path}: it reads whole results of vllm bench serve and profile_export_aiperf.json"
        )
    if answers.weights is None and (weights := chosen.replica.get("weights")):
        notes.append(
            f"the weights are in {weights}: the published precision does not fit on these nodes"
        )
    if recorded.guessed:
        names = ", ".join(f"{name} for {role}" for role, name in recorded.guessed.items())
        notes.append(f"columns were guessed from their names: {names}; check `columns`")
    if recorded.is_result:
        notes.append(
            f"the result is taken as that of one server ({chosen.size}); check tensor_parallel, replicas and engine; costs are those of {_nodes(chosen)}"
        )
    if chosen.shortfall is not None:
        which = "this layout" if recorded.is_result else "the layout with the highest rate"
        notes.append(f"{which} may be too small: {chosen.shortfall}")
    return notes


def _notes_of_defaults(answers: Answers, values: Mapping[str, Any]) -> list[str]:
    """Return which defaults were taken, if there are some."""
    taken = ", ".join(f"--{name} {_shown(values[name])}" for name in answers.defaults)
    return [f"defaults were taken: {taken}"] if taken else []


def _nodes(layout: Layout) -> str:
    return "the whole node" if layout.nodes == 1 else f"all {layout.nodes} nodes"


def _shown(value: Any) -> str:
    text = flow_text(value)
    return f"'{text}'" if " " in text else text
