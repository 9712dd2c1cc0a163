"""`cluster-sim workload show`: statistics of traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.commands.workload.traffics import (
    DEFAULT_ANSWER_RATE,
    AnswerRate,
    Out,
    Plot,
    TrafficReader,
    write_and_draw,
)
from cluster_sim.cli.console import stdout
from cluster_sim.cli.options import Seed, Sets, Variants
from cluster_sim.cli.tables import Rows, formatted, rows_of, side_by_side
from cluster_sim.cli.trace_options import Columns, TimeUnitOption, TraceOptions

_WINDOWS_S = (1, 10, 60, 600)
_LENGTHS = (
    ("mean", "mean"),
    ("p10", "p10"),
    ("p50", "p50"),
    ("p90", "p90"),
    ("p99", "p99"),
    ("longest", "max"),
)
ROWS: Rows = (
    ("requests", "requests", ",.0f"),
    ("sessions", "sessions", ",.0f"),
    ("span [s]", "span_s", ",.1f"),
    ("rate [1/s]", "rate_per_s", ",.4g"),
    ("mean rate of the process [1/s]", "mean_rate_per_s", ",.4g"),
    ("CV of gaps", "cv", ",.3g"),
    *((f"dispersion at {window} s", f"dispersion_{window}s", ",.3g") for window in _WINDOWS_S),
    *((f"peak to mean at {window} s", f"peak_to_mean_{window}s", ",.3g") for window in _WINDOWS_S),
    *(
        (f"{what} tokens, {label}", f"{key}_{what}_tokens", ",.0f")
        for what in ("prompt", "output")
        for label, key in _LENGTHS
    ),
    ("prompt tokens, total", "total_prompt_tokens", ",.0f"),
    ("prompt tokens with history, total", "total_context_tokens", ",.0f"),
    ("output tokens, total", "total_output_tokens", ",.0f"),
    ("rank correlation of prompt and output tokens", "length_correlation", ".2f"),
    ("prompt tokens in shared prefixes", "prefix_reuse", ".1%"),
)


def show(  # noqa: PLR0913 - a parameter is an option of the command
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Scenario files or traces.", show_default=False),
    ],
    *,
    variant: Variants = None,
    set_: Sets = None,
    seed: Seed = None,
    out: Out = None,
    plot: Plot = None,
    answer_rate: AnswerRate = DEFAULT_ANSWER_RATE,
    columns: Columns = None,
    time_unit: TimeUnitOption = None,
    json_: Annotated[
        bool,
        typer.Option("--json", help="Print the statistics as one JSON document, no table."),
    ] = False,
) -> None:
    """Show statistics of traffic: rates, bursts, lengths, prefixes."""
    traffics = TrafficReader(variant or (), set_ or (), seed, answer_rate).traffics(
        files, TraceOptions(columns, time_unit)
    )
    write_and_draw(traffics, out, plot)
    names = [traffic.name for traffic in traffics]
    summaries = [traffic.summary() for traffic in traffics]
    if json_:
        several = dict(zip(names, summaries, strict=True))
        print(json.dumps(several if len(traffics) > 1 else summaries[0], indent=2))
    else:
        stdout().print(side_by_side(names, rows_of(ROWS, summaries, formatted)))
