"""`cluster-sim explain`: a scenario's sizes and limits by arithmetic, without simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, stdout, warn, warn_of, warn_of_traces
from cluster_sim.cli.options import File, Sets, Variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.scenario.scenario import Scenario


def explain(
    file: File,
    *,
    variant: Variants = None,
    set_: Sets = None,
    path: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--path",
            metavar="FROM TO",
            help="Print the hops of one path, such as front_door b200/0/device3.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print only the model's sizes, as JSON."),
    ] = False,
) -> None:
    """Print memory, step times, highest rate, cost and network paths.

    All values follow from arithmetic on the resolved scenario. Nothing is simulated.
    """
    from cluster_sim.analysis.request_lengths import SAMPLE
    from cluster_sim.loading.files import load_variants

    scenarios = load_variants(file, variant or (), set_ or ())
    warn_of(scenarios)
    if as_json:
        _print_models(scenarios)
        return
    if path is None:
        warn_of_traces(scenarios, SAMPLE)
    for scenario in scenarios:
        if path is not None:
            _print_path(scenario, *path)
        else:
            _print_arithmetic(scenario)
            _print_power(scenario)
            _print_usual_paths(scenario)


def _print_models(scenarios: Sequence[Scenario]) -> None:
    """Print the sizes of the models of scenarios as one JSON document."""
    import json

    from cluster_sim.analysis.model_facts import model_facts

    print_line(json.dumps([model_facts(scenario) for scenario in scenarios], indent=2))


def _print_power(scenario: Scenario) -> None:
    """Print between which powers the nodes of a scenario draw, and which share of it a cap is."""
    from cluster_sim.deployment.power_caps import capped_nodes, node_draws

    draws = node_draws(scenario)
    least_w, most_w = sum(draw.least_w for draw in draws), sum(draw.most_w for draw in draws)
    if not all(draw.most_w for draw in draws):
        return  # the power of a node is not known
    print_line(
        f"power of all nodes: {least_w / 1e3:,.1f} kW without work, {most_w / 1e3:,.1f} kW with every device at its limit"
    )
    for key in dict.fromkeys(group.key for group in capped_nodes(scenario)):
        cap_w = sum(group.cap.lowest_w for group in capped_nodes(scenario) if group.key == key)
        print_line(f"site.{key}: {cap_w / 1e3:,.1f} kW in all, {cap_w / most_w:.0%} of the latter")


def _print_arithmetic(scenario: Scenario) -> None:
    """Print the estimates of each pool, and the offered rate as a share of the highest rate."""
    from cluster_sim.analysis.estimate import explain
    from cluster_sim.analysis.hidden_capacity import attempts_in_overload
    from cluster_sim.analysis.model_layers import layers_sentence
    from cluster_sim.analysis.offered_rate import offered_per_s
    from cluster_sim.analysis.oversized import oversized_first
    from cluster_sim.analysis.pool_arithmetic import highest_rate_per_s
    from cluster_sim.analysis.request_lengths import sampled_lengths
    from cluster_sim.cli.estimate_table import estimate_table
    from cluster_sim.results.cost import planned_usd_per_hour

    lengths, pools = sampled_lengths(scenario), explain(scenario)
    console = stdout()
    console.print(
        f"# {scenario.title}: {scenario.model.name}, {lengths.prompt_tokens:,.0f} prompt and {lengths.output_tokens:,.0f} output tokens per request on average",
        highlight=False,
    )
    console.print(layers_sentence(scenario.model), highlight=False)
    if scenario.workload.recorded is not None:
        first = oversized_first(scenario, lengths.prompts, lengths.outputs)
        if (too_long := first.sentence_of_first()) is not None:
            warn(f"{scenario.title}: trace: {too_long}")
    usd_per_hour = [planned_usd_per_hour(scenario, pool) for pool in scenario.cluster.pools]
    console.print(estimate_table(pools, usd_per_hour, lengths.output_tokens))
    highest = highest_rate_per_s(pools)
    if (offered := offered_per_s(scenario)) is not None:
        share = offered / highest
        console.print(
            f"offered: {offered:,.2f} requests/s on average, {share:.0%} of the highest rate",
            highlight=False,
        )
    if scenario.cluster.router.policy == "rules":
        console.print(
            "the router's rules divide the traffic: each highest rate is for the mean request, so a pool that gets longer prompts, or more than its share, may be overloaded",
            highlight=False,
        )
    if (attempts := attempts_in_overload(scenario.workload)) > 1.0:
        console.print(
            f"hidden capacity: {highest / attempts:,.2f} requests/s, the highest rate over {attempts:.3g} attempts per request; at higher rates an overload outlasts its cause",
            highlight=False,
        )


def _print_usual_paths(scenario: Scenario) -> None:
    """Print the network paths that carry most bytes."""
    from rich.table import Table

    from cluster_sim.analysis.network_paths import usual_paths
    from cluster_sim.deployment.fleet import resolve

    topology = resolve(scenario).topology
    table = Table()
    for column in (
        "path",
        "hops",
        "latency [us]",
        "bottleneck [GB/s]",
        "bottleneck link",
        "ECMP paths",
    ):
        is_text = column in ("path", "bottleneck link")
        table.add_column(column, justify="left" if is_text else "right")
    for path in usual_paths(scenario, topology):
        cells = (
            path.what,
            str(path.route.hops),
            f"{1e6 * path.route.latency_s:,.2f}",
            f"{path.route.bottleneck_bytes_per_s / 1e9:,.1f}",
            topology.kind(path.narrowest) if path.narrowest else "-",
            str(path.choices),
        )
        table.add_row(*cells)
    stdout().print(table)


def _print_path(scenario: Scenario, start: str, end: str) -> None:
    """Print the hops of the path between two nodes of the network."""
    from rich.table import Table

    from cluster_sim.analysis.network_paths import path as path_between
    from cluster_sim.deployment.fleet import resolve

    topology = resolve(scenario).topology
    path = path_between(topology, start, end)
    console = stdout()
    console.print(f"# {scenario.title}: {start} to {end}", highlight=False)
    table = Table()
    for column in ("hop", "from", "to", "kind", "bandwidth [GB/s]", "latency [us]"):
        is_text = column in ("from", "to", "kind")
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for hop, edge in enumerate(path.route.edges, 1):
        link = topology.link(edge)
        kind = f"{link.kind}, both directions" if link.duplex == "half" else link.kind
        bandwidth, latency = link.bandwidth_bytes_per_s / 1e9, 1e6 * link.latency_s
        cells = (str(hop), *edge, kind, f"{bandwidth:,.1f}", f"{latency:,.2f}")
        table.add_row(*cells)
    console.print(table)
    narrow = (
        f", bottleneck {path.route.bottleneck_bytes_per_s / 1e9:,.1f} GB/s from {' to '.join(path.narrowest)}"
        if path.narrowest
        else ""
    )
    print_line(f"{path.route.hops} hops, {1e6 * path.route.latency_s:,.2f} us{narrow}")
    if path.choices > 1:
        console.print(
            f"one of {path.choices} ECMP paths; a flow's hash selects its path", highlight=False
        )
