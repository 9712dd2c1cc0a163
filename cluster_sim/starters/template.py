"""Text of a first scenario, with comments in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from cluster_sim.schema import catalog_names
from cluster_sim.starters.answers import Answers
from cluster_sim.starters.flow_text import flow_text
from cluster_sim.starters.layouts import Layout
from cluster_sim.starters.recorded import Recorded

_WIDTH = 100
_MAX_VARIANTS = 3


def scenario_text(keys: Mapping[str, Any], answers: Answers, options: Sequence[Layout], file: Path) -> str:  # fmt: skip
    """Return the text of a scenario file.

    Parameters
    ----------
    keys
        Keys of the scenario.
    answers
        Answers that it was made from.
    options
        Layouts that fit; the first is that of the scenario.
    file
        File that it is written to, for the commands in its comments.
    """
    lines = [
        *_head(keys, answers, options[0], file),
        "",
        *_model(keys, answers),
        "",
        *workload_lines(keys["workload"], answers.recorded),
        "",
        *objective_lines(answers),
        "",
        *_cluster(keys, answers, options, file),
        "",
        *_variants(keys["cluster"]["pools"][0], options),
    ]
    while not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def comment_lines(text: str, indent: int = 0) -> list[str]:
    """Return a sentence as lines of comment."""
    return [f"{' ' * indent}# {line}" for line in wrap(text, _WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False)]  # fmt: skip


def line_beside(line: str, comment: str) -> list[str]:
    """Return a line with a comment behind it, or above it where both are too long."""
    if len(line) + len(comment) + 4 <= _WIDTH:
        return [f"{line}  # {comment}"]
    return [*comment_lines(comment, len(line) - len(line.lstrip())), line]


def _head(keys: Mapping[str, Any], answers: Answers, layout: Layout, file: Path) -> Iterator[str]:
    yield from comment_lines(_question(keys, answers, layout))
    yield "#"
    yield from comment_lines(
        f"Written by `cluster-sim init`. Every line may be changed; `cluster-sim check {file}` finds mistakes. Quantities have units."
    )
    yield f"name: {flow_text(keys['name'])}"
    yield from line_beside(
        f"seed: {keys['seed']}", "the same seed gives the same run, byte for byte"
    )
    if "duration" in keys:
        yield from line_beside(
            f"duration: {keys['duration']}",
            "arrivals stop here; the run ends with the last request",
        )
        yield from line_beside(
            f"warmup: {keys['warmup']}",
            "earlier requests load the cluster, and are not in the statistics",
        )


def _question(keys: Mapping[str, Any], answers: Answers, layout: Layout) -> str:
    slo = answers.slo
    noun = keys["cluster"]["pools"][0]["node"]
    is_path = keys["model"] not in catalog_names("models")
    model = layout.scenario.model.name if is_path else keys["model"]
    nodes = f"{layout.nodes} {noun}" if layout.nodes > 1 else f"one {noun}"
    verb = "Do" if layout.nodes > 1 else "Does"
    arrivals = keys["workload"].get("arrivals", {})
    load = f" at {arrivals['rate']}" if "rate" in arrivals else ""
    load += " and in bursts" if "bursts" in arrivals else ""
    return f"{verb} {nodes} serve {model}{load} within TTFT {slo['ttft']} and TPOT {slo['tpot']} at p{slo['percentile']}?"


def _model(keys: Mapping[str, Any], answers: Answers) -> Iterator[str]:
    recorded = answers.recorded
    if recorded.model_id is not None and "model" not in recorded.values:
        if "model" in answers.defaults:
            yield from comment_lines(
                f"TODO: the result names the model '{recorded.model_id}', which the catalog does not know. Name one of `cluster-sim catalog` here, or the path of its config.json."
            )
        else:
            yield from comment_lines(f"The result names the model '{recorded.model_id}'.")
    elif recorded.path is not None and "model" in answers.defaults:
        yield from comment_lines("TODO: the result names no model that was measured; name it here.")
    yield from line_beside(
        f"model: {flow_text(keys['model'])}",
        "a name of `cluster-sim catalog`, or the path of a config.json",
    )


def workload_lines(workload: Mapping[str, Any], recorded: Recorded) -> Iterator[str]:
    """Yield the lines of the section `workload`, with comments."""
    yield "workload:"
    if recorded.has_traffic:
        about = (
            f"As measured by {recorded.client}: {recorded.path}."
            if recorded.is_result
            else f"Recorded traffic (format {recorded.client}): {recorded.path}."
        )
        yield from comment_lines(about, 2)
    if "trace" in workload:
        yield from comment_lines(recorded.notes["arrivals"], 2)
        if recorded.guessed:
            yield from comment_lines(
                "TODO: `columns` were guessed from their names; check them.", 2
            )
        yield f"  trace: {flow_text(workload['trace'])}"
        return
    yield from comment_lines(_about_arrivals(workload["arrivals"], recorded), 2)
    yield f"  arrivals: {flow_text(workload['arrivals'])}"
    about_lengths = recorded.notes.get(
        "lengths", "Lengths; a bare number is the length of every request [tokens]."
    )
    yield from comment_lines(about_lengths, 2)
    for key in ("prompt_tokens", "output_tokens"):
        yield f"  {key}: {flow_text(workload[key])}"


def _about_arrivals(arrivals: Mapping[str, Any], recorded: Recorded) -> str:
    if recorded.has_traffic and recorded.arrivals is None:
        return recorded.notes["arrivals"]
    if recorded.has_traffic and dict(recorded.arrivals or {}) == arrivals:
        return recorded.notes["arrivals"]
    if recorded.has_traffic:
        return "The load is that of the options of `init`, not that of the result."
    if arrivals["process"] == "burst":
        again = "comes again after `every`" if "every" in arrivals["bursts"][0] else "comes once"
        return f"Independent requests at a mean rate, and a burst on top of it, which {again}."
    return "Independent requests at this mean rate (Poisson)."


def objective_lines(answers: Answers) -> Iterator[str]:
    """Yield the line of the objectives, with a comment."""
    if answers.recorded.path is not None and {"ttft", "tpot"} & set(answers.defaults):
        yield from comment_lines(f"TODO: your objectives; the {answers.recorded.noun} has none.")
    else:
        yield from comment_lines("Objectives: each must hold at this percentile of the requests.")
    yield f"slo: {flow_text(answers.slo)}"


def _about_weights(weights: str, answers: Answers) -> str:
    if answers.weights is not None:
        return f"The weights are in {weights}, as the name of the model says."
    return f"The weights are in {weights}: they do not fit on these nodes as published."


def _cluster(
    keys: Mapping[str, Any], answers: Answers, options: Sequence[Layout], file: Path
) -> Iterator[str]:
    pool = keys["cluster"]["pools"][0]
    yield "cluster:"
    yield "  pools:"
    yield f"    - name: {flow_text(pool['name'])}"
    if answers.recorded.is_result:
        missing = "node and layout" if "node" in answers.defaults else "the layout"
        yield from comment_lines(
            f"TODO: the result does not say {missing} that was measured; check tensor_parallel, replicas and engine.",
            6,
        )
    yield from line_beside(
        f"      node: {flow_text(pool['node'])}",
        "a name of `cluster-sim catalog`, or the path of a node file",
    )
    yield f"      nodes: {pool['nodes']}"
    if "replicas" in pool:
        yield from line_beside(
            f"      replicas: {pool['replicas']}", _about_replicas(answers, options[0])
        )
    yield from comment_lines(_about_layout(options[0], answers, file), 6)
    if (weights := options[0].replica.get("weights")) is not None:
        yield from comment_lines(_about_weights(weights, answers), 6)
    yield f"      replica: {flow_text(pool['replica'])}"
    yield from line_beside(
        "  router: {policy: least_requests}",
        "each request goes to the replica with the fewest requests",
    )


def _about_replicas(answers: Answers, layout: Layout) -> str:
    """Return why the number of replicas is given, and what is paid for devices without replica."""
    pool, nodes = layout.pool, layout.scenario.cluster.pools[0]
    why = (
        "one server was measured"
        if answers.recorded.is_result and "replicas" not in answers.values
        else "as given by --replicas"
    )
    free = nodes.nodes * nodes.node.devices - pool.replicas * pool.devices_a_replica
    if not free:
        return why
    paid = "the whole node is" if layout.nodes == 1 else "whole nodes are"
    return (
        f"{why}; {free} {'device stays' if free == 1 else 'devices stay'} idle, but {paid} paid for"
    )


def _about_layout(layout: Layout, answers: Answers, file: Path) -> str:
    pool = layout.pool
    smallest = "it is the smallest replica that holds the weights and the KV cache of this traffic"
    if answers.recorded.is_result:
        which = smallest
    elif layout.shortfall is None:
        which = f"{smallest} and keeps the objectives"
    else:
        which = f"no layout that fits is large enough, and this one has the highest rate: {layout.shortfall}"
    return (
        f"This layout was chosen by `cluster-sim init`: {layout.size}. By arithmetic {which}."
        f" A replica has {pool.kv_tokens:,} tokens of KV cache, and the highest rate of all"
        f" replicas is {_rate(pool.requests_per_s)} (`cluster-sim explain {file}`)."
        " Other layouts may serve this traffic better: compare them."
    )


def _rate(per_s: float) -> str:
    """Return a rate with three significant digits, without an exponent.

    >>> _rate(99.31), _rate(2321.7)
    ('99.3 requests/s', '2,322 requests/s')
    """
    return f"{per_s:,.0f} requests/s" if per_s >= 1000.0 else f"{per_s:.3g} requests/s"


def _variants(pool: Mapping[str, Any], options: Sequence[Layout]) -> Iterator[str]:
    if len(options) == 1:
        return
    yield from comment_lines(
        "To compare layouts, remove the `# ` of the lines below, and use `cluster-sim compare`."
    )
    yield "# variants:"
    yield f"#   {_variant_name(options[0])}: {{}}"
    for layout in options[1 : 1 + _MAX_VARIANTS]:
        other = {key: value for key, value in pool.items() if key != "replica"}
        other |= {"nodes": layout.nodes}
        yield f"#   {_variant_name(layout)}:"
        yield "#     cluster:"
        yield "#       pools:"
        yield f"#         - {flow_text(other).removesuffix('}')},"
        yield f"#           replica: {flow_text(layout.plan)}}}"


def _variant_name(layout: Layout) -> str:
    replica = layout.replica
    if "wafers" in replica:
        return f"{replica['wafers']}-wafers" if replica["wafers"] > 1 else "1-wafer"
    name = f"tp{replica['tensor_parallel']}"
    return f"{name}-pp{replica['pipeline_parallel']}" if "pipeline_parallel" in replica else name
