"""The commands of studies, for the command line. Imports what a command needs when it is called."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import File, Sets, say_wrote, stderr, stdout

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from cluster_sim.claims.judge import Judged, Judgement
    from cluster_sim.studies.capacity import Answer, Option
    from cluster_sim.studies.compare import Comparison, Difference
    from cluster_sim.studies.global_sensitivity import Indices
    from cluster_sim.studies.iso import Iso
    from cluster_sim.studies.sweep import Count

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes; default one a core; 0: only this one.",
        show_default=False,
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="A Dask scheduler in place of processes here, such as tcp://head:8786.",
        show_default=False,
    ),
]

_SAY_EVERY_S = 30.0  # where nobody is watching


def sweep(
    file: File,
    set_: Sets = None,
    workers: Workers = None,
    dask: Dask = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where results go; default sweeps/NAME.",
            show_default=False,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Simulate points again that have failed before.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Show points with their figures as they end.")
    ] = False,
) -> None:
    """Simulate every point of the file's `sweep`; may be killed at any moment and started again."""
    from cluster_sim.loading.files import open_scenarios
    from cluster_sim.studies.sweep import folder_of
    from cluster_sim.studies.sweep import sweep as run

    folder = out or folder_of(open_scenarios(file, set_ or ()))
    if live and sys.stderr.isatty():
        from cluster_sim.cli.live import watching_sweep

        with watching_sweep(stderr()) as (progress, ended):
            table = run(file, folder, set_ or (), workers, dask, retry_failed, progress, ended)
    else:
        with _progress() as progress:
            table = run(file, folder, set_ or (), workers, dask, retry_failed, progress)
    say_wrote(folder / "sweep.parquet")
    failures = [
        row
        for row in table.select(["status", "reason", "point"]).to_pylist()
        if row["status"] == "failed"
    ]
    console = stdout()
    console.print(
        f"{table.num_rows:,} points, {table.num_rows - len(failures):,} done, {len(failures):,} failed",
        highlight=False,
    )
    for row in failures[:10]:
        console.print(
            f"failed: {row['point']}: {row['reason']}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if len(failures) > 10:
        console.print(
            f"and {len(failures) - 10:,} more; `reason` in the table says why", highlight=False
        )


def compare(
    file: File,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Only these, the first to compare with.",
            show_default=False,
        ),
    ] = None,
    set_: Sets = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="In place of the file's seed.", show_default=False),
    ] = None,
    replications: Annotated[
        int,
        typer.Option(
            "--replications",
            min=1,
            help="Seeds; with 1 the error bars come from batches of one run.",
        ),
    ] = 10,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="FIELD",
            help="A field of the summary; may be given again.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.9999, help="Of the intervals.")
    ] = 0.95,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision",
            metavar="SHARE",
            min=1e-6,
            help="Go on until intervals reach no further than this share of the mean.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=3, help="Replications after which --precision gives up.")
    ] = 200,
    keep_warmup: Annotated[
        bool,
        typer.Option("--keep-warmup", help="Leave nothing out where the file gives no warm-up."),
    ] = False,
    iso: Annotated[
        str | None,
        typer.Option(
            "--iso",
            metavar="cost|power|throughput|slo",
            help="Copy each cluster until all have the same of this.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="QUANTITY",
            help="With --iso: how much, such as '1000 USD/h'; default as the first.",
            show_default=False,
        ),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            "--measured",
            metavar="FILE",
            help="A result of vllm bench serve or AIPerf, to lay beside the file or a run folder.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="With --iso: write the table here, as Parquet.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Variants on identical traffic: paired differences with confidence intervals.

    With --iso, clusters of equal cost, power, output or rate; with --measured, a real benchmark
    beside the simulation.
    """
    if iso is not None:
        from cluster_sim.studies.iso import iso as equal

        with _counter("runs") as progress:
            made = equal(
                file, iso, at, replications, variant or (), set_ or (), seed, workers, progress
            )
        _print_iso(made)
        if out is not None:
            _write_table(made.table, out)
        return
    if at is not None or out is not None:
        from cluster_sim.errors import ScenarioError

        raise ScenarioError.at("--at" if at is not None else "--out", "goes with --iso only")
    if measured is not None:
        _print_beside(file, measured, variant or (), set_ or (), seed, metric or ())
        return
    from cluster_sim.studies.compare import compare as run

    with _counter("replications") as progress:
        found = run(
            file,
            replications,
            metric or (),
            variant or (),
            set_ or (),
            seed,
            confidence,
            precision,
            most,
            not keep_warmup,
            workers,
            progress,
        )
    console = stdout()
    for name in found.variants[1:]:
        console.print(_differences(found, name, confidence))
    traffic = (
        f"{found.replications} replications" if found.replications > 1 else "one run in batches"
    )
    console.print(
        f"{traffic} on common random numbers; warm-up left out: {found.warmup_s or 0.0:,.1f} s",
        highlight=False,
    )
    for note in found.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)


_ISO_ROWS: tuple[tuple[str, str, float], ...] = (
    ("USD/h", "usd_per_hour", 1.0),
    ("  90 % interval, from", "p5_usd_per_hour", 1.0),
    ("  to", "p95_usd_per_hour", 1.0),
    ("mean power [kW]", "mean_power_w", 1e-3),
    ("requests/s", "request_throughput", 1.0),
    ("output tokens/s", "output_throughput", 1.0),
    ("output tokens a day [millions]", "output_throughput", 0.0864),
    ("USD per million output tokens", "usd_per_million_output_tokens", 1.0),
    ("  90 % interval, from", "p5_usd_per_million_output_tokens", 1.0),
    ("  to", "p95_usd_per_million_output_tokens", 1.0),
    ("energy per output token [J]", "energy_j_per_output_token", 1.0),
    ("TTFT p95 [ms]", "p95_ttft_ms", 1.0),
    ("TPOT p95 [ms]", "p95_tpot_ms", 1.0),
    ("share within SLO", "slo_attainment", 1.0),
)
"""(label, field, what one of it is in the label's unit)."""


def _digits(value: float) -> str:
    """Four of them, or all of a large whole number."""
    return f"{value:,.0f}" if abs(value) >= 1000.0 else f"{value:.4g}"


def _print_iso(found: Iso) -> None:
    from rich.table import Table
    from rich.text import Text

    what = {
        "cost": "cost",
        "power": "power",
        "throughput": "output tokens",
        "slo": "requests within the SLO",
    }[found.basis]
    table = Table(
        title=f"{found.name}: equal {what}, {found.level:,.6g} {found.unit}", title_justify="left"
    )
    table.add_column("")
    for one in found.scaled:
        table.add_column(Text(one.name), justify="right")
    table.add_row("copies of the cluster", *(_digits(one.copies) for one in found.scaled))
    table.add_row("nodes", *(_digits(one.nodes) for one in found.scaled))
    if any(one.users is not None for one in found.scaled):
        table.add_row(
            "users at once",
            *("-" if one.users is None else _digits(one.users) for one in found.scaled),
        )
    for label, key, unit in _ISO_ROWS:
        if any(key in one.fields for one in found.scaled):
            table.add_row(
                Text(label),
                *(
                    _digits(unit * one.fields[key]) if key in one.fields else "-"
                    for one in found.scaled
                ),
            )
    console = stdout()
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)


def _print_beside(
    file: Path,
    measured: Path,
    variants: Sequence[str],
    sets: Sequence[str],
    seed: int | None,
    metrics: Sequence[str],
) -> None:
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.export import read
    from cluster_sim.studies.benchmark_comparison import beside, runs_of

    benchmark = read(measured)
    found = beside(benchmark, list(runs_of(file, variants, sets, seed)), metrics)
    table = Table(
        title=Text(f"{measured.name}, measured by {benchmark.client}, beside the simulation"),
        title_justify="left",
    )
    for heading in (
        "",
        "measured",
        *(heading for name in found.names for heading in (name, "error")),
    ):
        table.add_column(Text(heading), justify="right" if heading else "left")
    for row in found.rows:
        cells = (
            cell
            for value, error in zip(row.simulated, row.errors, strict=True)
            for cell in (f"{value:,.5g}", "-" if error != error else f"{error:+.1%}")
        )
        table.add_row(row.metric, f"{row.measured:,.5g}", *cells)
    console = stdout()
    console.print(table)
    console.print(
        "Both by the client's own metrics and percentiles; an error is simulated less measured, over measured.",
        highlight=False,
    )
    if found.without:
        console.print(
            f"not simulated: {', '.join(found.without)}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def _differences(found: Comparison, name: str, confidence: float) -> Table:
    from rich.table import Table

    first = found.variants[0]
    table = Table(title=f"{found.name}: {name} less {first}", title_justify="left")
    table.add_column("")
    for heading in (
        first,
        name,
        "difference",
        f"t {confidence:.0%}",
        f"bootstrap {confidence:.0%}",
        "p",
        "verdict",
        "runs saved",
    ):
        table.add_column(heading, justify="right")
    for one in found.differences:
        if one.variant == name:
            ends = (
                f"{interval.low:+,.3g} to {interval.high:+,.3g}"
                for interval in (one.t, one.bootstrap)
            )
            values = (f"{one.first_mean:,.4g}", f"{one.mean:,.4g}", f"{one.difference:+,.4g}")
            table.add_row(
                one.metric,
                *values,
                *ends,
                f"{one.chance:.2g}",
                _verdict(one),
                "-" if one.saved == float("inf") else f"x {one.saved:,.1f}",
            )
    return table


def _verdict(one: Difference) -> str:
    if one.t.low == one.t.high == 0.0:
        return "identical"
    return ("higher" if one.difference > 0 else "lower") if one.significant else "not significant"


def capacity(
    file: File,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Only this variant; may be given again.",
            show_default=False,
        ),
    ] = None,
    set_: Sets = None,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write every trial here, as Parquet.", show_default=False
        ),
    ] = None,
) -> None:
    """The smallest cluster, or the highest rate, that meets the SLO; with the next ones on either
    side.
    """
    from cluster_sim.studies.capacity import capacity as run

    with _counter("options") as progress:
        answer = run(file, set_ or (), variant or (), workers, progress)
    console = stdout()
    console.print(_trials(answer))
    for option in answer.options:
        console.print(_sentence(answer, option), highlight=False, soft_wrap=True, markup=False)
    if len({option.values.get("variant") for option in answer.options}) > 1 and not any(
        trial.usd_per_hour for _, trial in answer.front
    ):
        console.print(
            "nodes of all kinds are counted alike; prices of all pools, or capacity.usd_per_node_hour, would compare them by cost",
            highlight=False,
            soft_wrap=True,
        )
    if out is not None:
        _write_table(answer.table, out)


def _trials(answer: Answer) -> Table:
    from rich.table import Table
    from rich.text import Text

    asked = (
        f"{answer.rate_per_s:,.6g} requests/s"
        if answer.rate_per_s is not None
        else "the highest rate"
    )
    table = Table(
        title=f"{answer.name}: {asked} at p{answer.percentile:g}; * none beats it in cost and latency at once",
        title_justify="left",
    )
    names = list(
        dict.fromkeys(
            name for option in answer.options for trial in option.trials for name in trial.margins
        )
    )
    table.add_column("")
    for heading in (
        "nodes",
        "replicas",
        "requests/s",
        *(f"{name} [ms]" for name in names),
        "margin",
        "USD/h",
        "",
    ):
        table.add_column(Text(heading), justify="right")
    front = [id(trial) for _, trial in answer.front]
    for option in answer.options:
        table.add_section()
        for trial in (option.smaller, option.answer, option.bigger):
            if trial is None:
                continue
            latencies = (
                f"{1e3 * trial.latencies_s[name]:,.4g}" if name in trial.latencies_s else "-"
                for name in names
            )
            cost = "-" if trial.usd_per_hour is None else f"{trial.usd_per_hour:,.2f}"
            cells = (
                f"{trial.nodes:,}",
                f"{trial.replicas:,}",
                f"{trial.rate_per_s:,.4g}",
                *latencies,
                f"{trial.margin:+.1%}",
                cost,
            )
            table.add_row(
                Text(option.title),
                *cells,
                "*" if id(trial) in front else "",
                style="bold" if trial is option.answer else "",
            )
    return table


def _sentence(answer: Answer, option: Option) -> str:
    if option.fault:
        return f"{option.title}: {option.fault}"
    if option.answer is None:
        what = (
            "no rate that was tried"
            if answer.rate_per_s is None
            else f"no cluster of up to {max(trial.nodes for trial in option.trials):,} nodes"
        )
        return f"{option.title}: {what} meets the SLO"
    if answer.rate_per_s is None:
        return f"{option.title}: {option.answer.rate_per_s:,.4g} requests/s on {option.answer.nodes:,} nodes"
    return f"{option.title}: {option.answer.nodes:,} nodes"


def sensitivity(
    file: File,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Which one, where the file has several.",
            show_default=False,
        ),
    ] = None,
    set_: Sets = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="FIELD", help="A field of the summary.")
    ] = "p95_ttft_ms",
    confidence: Annotated[
        str,
        typer.Option(
            "--confidence", metavar="low|medium|high", help="Figures of this confidence and below."
        ),
    ] = "low",
    spread: Annotated[
        float,
        typer.Option(
            "--spread",
            metavar="SHARE",
            min=1e-3,
            max=0.99,
            help="How far off a figure without a range may be.",
        ),
    ] = 0.2,
    replications: Annotated[
        int, typer.Option("--replications", min=1, help="Seeds, of which the mean is taken.")
    ] = 1,
    most: Annotated[int, typer.Option("--most", min=1, help="Figures to print.")] = 20,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write every figure here, as Parquet.", show_default=False
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="one-at-a-time|morris|sobol",
            help="How; morris and sobol move all figures at once.",
        ),
    ] = "one-at-a-time",
    samples: Annotated[
        int,
        typer.Option(
            "--samples", min=2, help="Of morris its trajectories, of sobol its base samples."
        ),
    ] = 16,
) -> None:
    """Which uncertain figures of the catalog an outcome hangs on: each at either end of its range,
    or all together.
    """
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.errors import ScenarioError, did_you_mean
    from cluster_sim.studies.sensitivity import CONFIDENCES
    from cluster_sim.studies.sensitivity import sensitivity as run

    if confidence not in CONFIDENCES:
        raise ScenarioError.at(
            "--confidence", f"no confidence '{confidence}'{did_you_mean(confidence, CONFIDENCES)}"
        )
    if method not in ("one-at-a-time", "morris", "sobol"):
        raise ScenarioError.at(
            "--method",
            f"no method '{method}'{did_you_mean(method, ('one-at-a-time', 'morris', 'sobol'))}",
        )
    if method != "one-at-a-time":
        from cluster_sim.studies.global_sensitivity import indices

        with _counter("runs") as progress:
            ranked = indices(
                file,
                method,
                variant,
                metric,
                confidence,
                spread,
                samples,
                replications,
                set_ or (),
                workers,
                progress,
            )
        _print_indices(ranked, most)
        if out is not None:
            _write_table(ranked.table, out)
        return
    with _counter("runs") as progress:
        found = run(
            file, variant, metric, confidence, spread, replications, set_ or (), workers, progress
        )
    console = stdout()
    table = Table(title=f"{found.title}: {metric} is {found.base:,.4g}", title_justify="left")
    for heading in ("figure", "value", "from", "to", "at the low end", "at the high end", "swing"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for one in found.effects[:most]:
        ends = ("-" if value != value else f"{value:,.4g}" for value in (one.at_low, one.at_high))
        cells = (
            one.figure.name,
            one.figure.value,
            str(one.figure.low),
            str(one.figure.high),
            *ends,
            f"{one.swing / found.base:.1%}" if found.base else "-",
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    more = f"{len(found.effects) - most:,} more move it less; " if len(found.effects) > most else ""
    console.print(
        f"{more}{found.without:,} figures of {confidence} confidence or below do not move it",
        highlight=False,
    )
    if out is not None:
        _write_table(found.table, out)


def _print_indices(found: Indices, most: int) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{found.title}: {found.metric} is {found.base:,.4g}; {found.runs:,} runs",
        title_justify="left",
    )
    for heading in ("figure", "value", "from", "to", *found.columns):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for figure, numbers in found.ranked[:most]:
        table.add_row(
            *map(
                Text,
                (
                    figure.name,
                    figure.value,
                    str(figure.low),
                    str(figure.high),
                    *(f"{value:,.3g}" for value in numbers),
                ),
            )
        )
    console = stdout()
    console.print(table)
    console.print(found.meaning, highlight=False, soft_wrap=True)
    for name in found.left_out:
        console.print(
            f"left out, as it may not be anywhere in its range: {name}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def claims(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file of claims.", show_default=False)
    ],
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write claims.csv, .json, .parquet and .png into this folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Published claims beside what the simulator finds under each reading, what physics allows and
    what was measured, with verdicts.
    """
    from cluster_sim.claims.judge import claims as run

    with _counter("runs") as progress:
        judged = run(file, workers, progress)
    console = stdout()
    console.print(_readings(judged))
    for one in judged.judgements:
        console.print(
            f"{one.claim}: {_said_verdict(one)}. {one.reason}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    if out is not None:
        _write_claims(judged, out)


_RELATIONS = {"about": "", "at_least": "at least ", "at_most": "at most "}


def _readings(judged: Judged) -> Table:
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.claims.spec import Said

    table = Table(title=f"{judged.name}: what is found under each reading", title_justify="left")
    for heading in ("claim", "claimed", "reading", "found", "limit", "measured", ""):
        table.add_column(
            Text(heading), justify="left" if heading in ("claim", "reading", "") else "right"
        )
    for one in judged.judgements:
        table.add_section()
        unit = f" {one.unit}" if one.unit else ""
        claimed = (
            "-" if one.claimed is None else f"{_RELATIONS[one.relation]}{Said(one.claimed)}{unit}"
        )
        for place, reading in enumerate(one.found):
            measured = ", ".join(str(f"{Said(value)}") for value in reading.measured) or "-"
            limit = "-" if reading.limit is None else f"{Said(reading.limit)}"
            mark = {True: "agrees", False: "differs", None: ""}[reading.agrees]
            first = (one.claim, claimed) if not place else ("", "")
            table.add_row(
                *map(
                    Text, (*first, reading.reading, f"{Said(reading.found)}", limit, measured, mark)
                )
            )
    return table


def _said_verdict(one: Judgement) -> str:
    return (
        f"holds if it means {one.condition}"
        if one.verdict == "holds if"
        else "no figure is claimed"
        if one.verdict == "no figure"
        else one.verdict
    )


def _write_claims(judged: Judged, out: Path) -> None:
    import json
    from dataclasses import asdict

    import pyarrow.csv

    from cluster_sim import figures
    from cluster_sim.errors import ScenarioError

    found = judged.table
    try:
        out.mkdir(parents=True, exist_ok=True)
        pyarrow.csv.write_csv(found, out / "claims.csv")
        (out / "claims.json").write_text(json.dumps(asdict(judged), indent=2) + "\n")
    except OSError as fault:
        raise ScenarioError.at(str(out), f"cannot be written: {fault.strerror or fault}") from fault
    _write_table(found, out / "claims.parquet")
    figures.save(figures.draw_study("claims", out / "claims.parquet"), out / "claims.png")
    say_wrote(out / "claims.png")


def _write_table(table: pa.Table, out: Path) -> None:
    from cluster_sim.studies.store import write_table

    write_table(table, out)
    say_wrote(out)


@contextmanager
def _counter(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of how many are done, where somebody is watching."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _progress() -> Iterator[Callable[[Count], None]]:
    """A bar where somebody is watching, else a line now and then: done, failed, points a second,
    time left.
    """
    began_s = time.monotonic()

    def words(count: Count) -> str:
        rate = (count.done + count.failed) / max(time.monotonic() - began_s, 1e-9)
        return f"{count.done:,} done, {count.failed:,} failed, {count.known:,} known before, {rate:,.1f} points/s"

    if not sys.stderr.isatty():
        said_s = began_s

        def say(count: Count) -> None:
            nonlocal said_s
            if (now_s := time.monotonic()) - said_s > _SAY_EVERY_S:
                said_s = now_s
                left = count.left_s(now_s - began_s)
                stderr().print(
                    f"{words(count)}, {left:,.0f} s left" if left is not None else words(count),
                    highlight=False,
                )

        yield say
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        BarColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None, words="")
        yield lambda count: bar.update(
            task,
            total=count.total,
            completed=count.known + count.done + count.failed,
            words=words(count),
        )
