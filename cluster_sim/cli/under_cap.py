"""Output of `capacity` for nodes under a power cap."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from cluster_sim.cli.console import print_line, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.studies.nodes_under_cap import GrowthOption, GrowthTrial, UnderCap


def print_under_cap(answer: UnderCap) -> None:
    """Print one row per number of nodes, and the answer of each option as a sentence."""
    stdout().print(_table(answer))
    print_line(
        "most: all devices at their limits; 10 s: highest mean power over 10 s; over cap: share of time, to the step; slowed: share of time with lowered clocks"
    )
    print_line(
        "searched: how many more nodes fit under the power cap, with as much more traffic; latencies in brackets are changes from the first row"
    )
    for option in answer.options:
        print_line(f"{option.title}: {_sentence(option)}")
    for option in answer.options:
        if option.left_out:
            shares = ", ".join(f"{growth:+.0%}" for growth in option.left_out)
            print_line(
                f"{option.title}: capacity.growth {shares} left out, which adds no whole node to a pool"
            )
        for trial in option.trials:
            if trial.fault:
                print_line(f"failed: {option.title}, {trial.nodes:,} nodes: {trial.fault}")


def _table(answer: UnderCap) -> Table:
    from rich.table import Table

    table = Table(title=f"{answer.name}: nodes under the power cap", title_justify="left")
    table.add_column("")
    latencies = [
        f"{each.name.replace('.', ' ')} p{each.percentile:g} [ms]" for each in answer.objectives
    ]
    headings = (
        "nodes",
        "most/cap",
        "mean/cap",
        "10 s/cap",
        *latencies,
        "over cap",
        "slowed",
        "brakes",
        "SLO",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    names = [each.name for each in answer.objectives]
    for option in answer.options:
        table.add_section()
        for trial in option.trials:
            style = "bold" if trial is option.answer else ""
            first = option.trials[0]
            table.add_row(option.title, *_cells(trial, first, names), style=style)
    return table


def _cells(trial: GrowthTrial, first: GrowthTrial, names: list[str]) -> Iterator[str]:
    """Yield the cells of a trial."""
    yield f"{trial.nodes:,} ({trial.growth:+.0%})"
    if trial.fault:
        yield from ("-",) * (len(names) + 6)
        yield "failed"
        return
    yield from (f"{trial.nameplate:.0%}", f"{trial.mean_power:.0%}", f"{trial.highest:.0%}")
    for name in names:
        yield _latency(trial, first, name)
    yield from (f"{trial.over_cap:.2%}", f"{trial.capped:.1%}", f"{trial.brakes:g}")
    yield "met" if min(trial.margins.values()) >= 0.0 else "missed"


def _latency(trial: GrowthTrial, first: GrowthTrial, name: str) -> str:
    """Return a latency, and its change from the first row."""
    value_s, base_s = trial.latencies_s.get(name), first.latencies_s.get(name)
    if value_s is None:
        return "-"
    text = f"{1e3 * value_s:,.{0 if value_s >= 1.0 else 1}f}"
    if trial is first or not base_s or not isfinite(value_s) or not isfinite(base_s):
        return text
    return f"{text} ({value_s / base_s - 1.0:+.1%})"


def _sentence(option: GrowthOption) -> str:
    answer, first = option.answer, option.trials[0]
    if answer is None:
        return f"{first.nodes:,} nodes {_reason(first)}"
    text = f"{answer.nodes:,} nodes ({answer.growth:+.0%}) meet the SLO without a power brake"
    if answer is option.trials[-1]:
        return f"{text}, as many as capacity.growth has"
    after = option.trials[option.trials.index(answer) + 1]
    return f"{text}; {after.nodes:,} {_reason(after)}"


def _reason(trial: GrowthTrial) -> str:
    """Return why a trial is not good."""
    if trial.fault:
        return "fail"
    if trial.brakes:
        return "need the power brake"
    if not trial.keeps_cap:
        return f"draw up to {trial.highest:.0%} of the cap over 10 s"
    return "miss the SLO"
