"""Print what half and twice of each constant without a source does to a throttling run.

    python benchmarks/governor_constants.py [--scenario scenarios/the_chain.yaml]
        [--variant b200-slow-fans] [--flow 0.4]

Many figures of governors and cooling are estimates: nothing is public. The output is a table in
Markdown with two rows per constant, for docs/heat.md: the mean clock of the devices while heat
throttles them, the lowest clock, the share of the run with throttling, and p99 of TTFT and TPOT.
With `--flow` failed fans move another share of the air than in the file.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np

if TYPE_CHECKING:
    from cluster_sim import Results, Scenario


class Constant(NamedTuple):
    """Constant of a node or of its device."""

    label: str
    path: tuple[str, ...]
    """Names of the fields that lead from the node to the constant."""


CONSTANTS = (
    Constant("period of software", ("device", "governor", "thermal_period_s")),
    Constant("response of software", ("device", "governor", "thermal_response_s")),
    Constant("step of the clock", ("device", "governor", "step_hz")),
    Constant("hysteresis", ("device", "governor", "hysteresis_kelvin")),
    Constant("period of hardware", ("device", "governor", "slowdown_period_s")),
    Constant("hold of hardware", ("device", "governor", "slowdown_hold_s")),
    Constant("heat capacity of the die", ("cooling", "die_j_per_k")),
    Constant("heat capacity of the memory", ("cooling", "memory_j_per_k")),
    Constant("heat capacity of the sink", ("cooling", "sink_j_per_k")),
    Constant("lag of the coolant", ("cooling", "coolant_lag_s")),
    Constant("leakage", ("device", "power", "leakage", "at_60_w")),
    Constant("heat of the memory per byte", ("device", "power", "memory_part_j_per_byte")),
    Constant("loss of bandwidth by refresh", ("device", "refresh", "double_share")),
)


def with_factor(scenario: Scenario, path: tuple[str, ...], factor: float) -> Scenario:
    """Return the scenario with a constant of all of its nodes multiplied.

    Of a share that is left, the loss is multiplied.
    """

    def scaled(description: Any, rest: tuple[str, ...]) -> Any:
        name, *further = rest
        value = getattr(description, name)
        if further:
            new = scaled(value, tuple(further))
        elif name.endswith("_share"):
            new = 1.0 - factor * (1.0 - value)
        else:
            new = factor * value
        return description.model_copy(update={name: new})

    pools = tuple(
        pool.model_copy(update={"node": scaled(pool.node, path)}) for pool in scenario.cluster.pools
    )
    return scenario.model_copy(
        update={"cluster": scenario.cluster.model_copy(update={"pools": pools})}
    )


def with_flow(scenario: Scenario, flow: float) -> Scenario:
    """Return the scenario with another share of the air while fans have failed."""
    assert scenario.site is not None
    events = tuple(event.model_copy(update={"factor": flow}) for event in scenario.site.events)
    return scenario.model_copy(update={"site": scenario.site.model_copy(update={"events": events})})


def headline(results: Results) -> str:
    """Return the cells of a row of the table."""
    summary, thermal = results.summary(), results.thermal
    is_throttled = np.array([reason is not None for reason in thermal["reason"].to_pylist()])
    clocks, alike = thermal["clock"].to_numpy()[is_throttled], thermal["alike"].to_numpy()
    mean = float(np.average(clocks, weights=alike[is_throttled])) if len(clocks) else 1.0
    return (
        f"{summary['max_die_c']:.1f} °C | {mean:.1%} | {summary['lowest_clock_fraction']:.1%}"
        f" | {summary['throttled_fraction']:.1%} | {summary['p99_tpot_ms']:.1f} ms"
        f" | {summary['p99_ttft_ms']:,.0f} ms"
    )


def main() -> None:
    """Print the table."""
    import cluster_sim
    from cluster_sim.physics import cooling

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="scenarios/the_chain.yaml")
    parser.add_argument("--variant", default="b200-slow-fans")
    parser.add_argument("--flow", type=float)
    options = parser.parse_args()
    scenario = cluster_sim.load_scenario(options.scenario, variant=options.variant)
    if options.flow is not None:
        scenario = with_flow(scenario, options.flow)
    print(
        "| constant | times | hottest die | clock while throttled | lowest clock | throttled | TPOT p99 | TTFT p99 |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    print(f"| as in the catalog | 1 | {headline(cluster_sim.simulate(scenario))} |", flush=True)
    for factor in (0.5, 2.0):
        with mock.patch.object(cooling, "_FLOW_ON_SINK", factor * cooling._FLOW_ON_SINK):
            cells = headline(cluster_sim.simulate(scenario.model_copy()))
        print(f"| exponent of the flow at the sink | {factor:g} | {cells} |", flush=True)
    for constant in CONSTANTS:
        for factor in (0.5, 2.0):
            changed = with_factor(scenario, constant.path, factor)
            cells = headline(cluster_sim.simulate(changed))
            print(f"| {constant.label} | {factor:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
