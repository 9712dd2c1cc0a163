"""`cluster-sim init`: a first scenario with comments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster_sim.cli.console import (
    check_is_new,
    complain,
    print_line,
    say_next,
    say_wrote,
    write_text,
)
from cluster_sim.cli.trace_options import Columns, TimeUnitOption, TraceOptions

if TYPE_CHECKING:
    from cluster_sim.starters import Recorded


def _text(flag: str, metavar: str, help_: str) -> object:
    return typer.Option(flag, metavar=metavar, help=help_, show_default=False)


_Text = str | None


def init(  # noqa: PLR0913 - a parameter is an option of the command
    *,
    model: Annotated[
        _Text,
        _text("--model", "M", "Use this catalog model or config.json; default: llama-3.3-70b."),
    ] = None,
    node: Annotated[
        _Text, _text("--node", "N", "Use this catalog node or node file; default: dgx-h200.")
    ] = None,
    nodes: Annotated[
        _Text, _text("--nodes", "K", "Use K nodes; default: as many as the model needs.")
    ] = None,
    replicas: Annotated[
        _Text, _text("--replicas", "K", "Use K replicas; default: as many as the nodes hold.")
    ] = None,
    tensor_parallel: Annotated[
        _Text,
        _text(
            "--tensor-parallel", "K", "Use K devices per replica; default: the fewest that suffice."
        ),
    ] = None,
    rate: Annotated[
        _Text, _text("--rate", "R", "Set the mean rate without the bursts; default: '2 /s'.")
    ] = None,
    burst: Annotated[
        _Text, _text("--burst", "B", "Add on top of --rate, as '20 /s for 1 min every 10 min'.")
    ] = None,
    prompt_tokens: Annotated[
        _Text,
        _text("--prompt-tokens", "T", "Set the prompt length: a number or a distribution."),
    ] = None,
    output_tokens: Annotated[
        _Text,
        _text("--output-tokens", "T", "Set the output length: a number or a distribution."),
    ] = None,
    ttft: Annotated[
        _Text, _text("--ttft", "T", "Set the limit of the time to first token; default: '1 s'.")
    ] = None,
    tpot: Annotated[
        _Text, _text("--tpot", "T", "Set the limit of the time per output token; default: '50 ms'.")
    ] = None,
    percentile: Annotated[
        _Text, _text("--percentile", "P", "Set the percentile of both limits; default: 99.")
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Start from a trace, a client's result, serve arguments or a manifest.",
            show_default=False,
        ),
    ] = None,
    columns: Columns = None,
    time_unit: TimeUnitOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Write the scenario to this file.")
    ] = Path("first.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a first scenario with comments: your model, nodes and traffic.

    On a terminal the command asks for missing options. Otherwise it takes defaults and names them.
    Lengths are written as in a scenario file.
    """
    from cluster_sim.starters import answers_of, first_scenario, recorded

    check_is_new(out, force=force)
    table = _table(TraceOptions(columns, time_unit), result)
    given = {
        "model": model,
        "node": node,
        "nodes": nodes,
        "replicas": replicas,
        "tensor-parallel": tensor_parallel,
        "rate": rate,
        "burst": burst,
        "prompt-tokens": prompt_tokens,
        "output-tokens": output_tokens,
        "ttft": ttft,
        "tpot": tpot,
        "percentile": percentile,
    }
    measured = None if result is None else recorded(result, table)
    answers_of(given, measured)  # faults of options come before questions
    if sys.stdin.isatty() and sys.stdout.isatty():
        given = _asked(given, measured)
    answers = answers_of(given, measured)
    first = first_scenario(answers, out)
    write_text(out, first.text)
    say_wrote(out)
    for note in first.notes:
        complain(f"note: {note}")
    commands = [
        ("check", f"{out}", "reads it and finds every fault"),
        ("explain", f"{out}", "memory, step times and the highest rate, without a simulation"),
        ("run", f"{out}", "simulates it"),
    ]
    if measured is not None and measured.is_comparable:
        commands[1] = ("compare", f"{out} --measured {measured.path}", "simulation beside result")
    say_next(*commands)


def _table(options: TraceOptions, result: Path | None) -> dict[str, Any]:
    """Return the keys of `workload.trace` that the options state.

    Raises ScenarioError for options without a file.
    """
    from cluster_sim.errors import ScenarioError

    if options.are_given and result is None:
        raise ScenarioError.at(
            options.name, "got no file; expected --from with a table of requests"
        )
    return options.keys()


def _asked(given: dict[str, str | None], measured: Recorded | None) -> dict[str, str | None]:
    """Return the options with answers from the terminal for those that are missing.

    An empty answer takes the default, and so does the end of input for all that follow.
    """
    from cluster_sim.errors import ScenarioError
    from cluster_sim.starters import OPTIONS

    answers = dict(given)
    print_line("Enter takes the value in brackets.")
    for name, option in OPTIONS.items():
        is_known = measured is not None and (name in measured.values or measured.stands_for(name))
        if answers[name] is not None or is_known or not option.is_asked:
            continue
        default = "" if option.default is None else f" [{option.default}]"
        while True:
            try:
                answer = input(f"{option.question}{default}: ").strip()
            except EOFError:
                print_line("")
                return answers
            if not answer:
                answers[name] = option.default
                break
            try:
                option.value(answer)
            except ScenarioError as error:
                complain("; ".join(fault.what for fault in error.faults))
                continue
            answers[name] = answer
            break
    return answers
