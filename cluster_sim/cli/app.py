"""The command line. Imports what a command needs when it is called, so that `--help` answers at
once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster_sim.cli import studies
from cluster_sim.cli.console import File, Sets
from cluster_sim.cli.console import say_wrote as _say_wrote
from cluster_sim.cli.console import stderr as _stderr
from cluster_sim.cli.console import stdout as _stdout

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster_sim.analysis.estimate import PoolArithmetic, WaferArithmetic
    from cluster_sim.analysis.traffic import Demand
    from cluster_sim.results.results import Results
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.sim.simulate import Progress
    from cluster_sim.validation import MeasuredRun, Prediction

app = typer.Typer(
    name="cluster-sim",
    help="Simulates LLM inference clusters: what happens to traffic, latency and hardware, on GPUs and on wafers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Variants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        metavar="NAME",
        help="Only this variant; may be given again.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="In place of the file's seed.", show_default=False),
]


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,  # read by main
) -> None:
    pass


@app.command()
def run(
    file: File,
    variant: Variants = None,
    set_: Sets = None,
    seed: Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where run folders go; default runs/NAME.",
            show_default=False,
        ),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document, and no table.")
    ] = False,
    export_: Annotated[
        list[str] | None,
        typer.Option(
            "--export",
            metavar="CLIENT",
            help="Write what this client would have: vllm, aiperf, guidellm, mlperf; may be given again.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Show queue, running requests and tokens a second while it runs."
        ),
    ] = False,
) -> None:
    """Simulate every variant; print one table, write a run folder for each."""
    from cluster_sim.loading.files import load_variants, question_of

    _check_clients(export_ or ())
    scenarios = load_variants(file, variant or (), set_ or (), seed)
    _warn(scenarios)
    question = question_of(file) or None
    folder = out or Path("runs") / scenarios[0].name
    summaries: dict[str, dict[str, Any]] = {}
    for scenario in scenarios:
        results = _simulate(scenario, live)
        results = replace(results, info=replace(results.info, question=question))
        for note in results.info.notes:
            print(f"warning: {scenario.title}: {note}", file=sys.stderr)
        written = results.save(folder / scenario.variant if scenario.variant else folder)
        summaries[scenario.variant or scenario.name] = results.summary()
        _say_wrote(written)
        for client in export_ or ():
            _export(results, client, written / client, False)
    if json_:
        import json

        document = (
            {"name": scenarios[0].name, "variants": summaries}
            if scenarios[0].variant
            else next(iter(summaries.values()))
        )
        print(json.dumps(document, indent=2))
    else:
        _print_summaries(scenarios, summaries)


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Scenario files.", show_default=False)
    ],
) -> None:
    """Read and check scenario files, traces included, and files of claims: every fault with its
    file and line.
    """
    from cluster_sim.claims.spec import is_claims, open_claims
    from cluster_sim.errors import Fault, ScenarioError
    from cluster_sim.loading.files import load_variants

    faults: list[Fault] = []
    for file in files:
        try:
            if is_claims(file):
                print(
                    f"{file}: right ({', '.join(claim.name for claim in open_claims(file).described.claims)})"
                )
                continue
            scenarios = load_variants(file)
            _warn(scenarios)
            for trace in {
                scenario.workload.trace for scenario in scenarios if scenario.workload.trace
            }:
                for sentence in trace.check().said():
                    print(f"warning: {trace.path}: {sentence}", file=sys.stderr)
            variants = (
                f" ({', '.join(scenario.variant for scenario in scenarios if scenario.variant)})"
                if scenarios[0].variant
                else ""
            )
            print(f"{file}: right{variants}")
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(faults)


@app.command()
def explain(
    file: File,
    variant: Variants = None,
    set_: Sets = None,
    path: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--path",
            metavar="FROM TO",
            help="Only the way between two places, hop by hop, such as front_door b200/0/device3.",
        ),
    ] = None,
) -> None:
    """The resolved scenario, and what arithmetic alone says of it."""
    from cluster_sim.loading.files import load_variants

    scenarios = load_variants(file, variant or (), set_ or ())
    _warn(scenarios)
    for scenario in scenarios:
        if path is not None:
            _print_path(scenario, *path)
        else:
            _print_arithmetic(scenario)
            _print_usual_paths(scenario)


for command in (
    studies.compare,
    studies.sweep,
    studies.capacity,
    studies.sensitivity,
    studies.claims,
):
    app.command()(command)


@app.command()
def plot(
    figure: Annotated[
        str | None,
        typer.Argument(metavar="FIGURE", help="Its name; --list shows them.", show_default=False),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...",
            help="Run folders, or folders of them; of a study its folder or Parquet file.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="PNG, SVG or PDF; default FIGURE.png.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="COLUMN",
            help="Of a sweep: what is drawn; may be given again.",
            show_default=False,
        ),
    ] = None,
    x: Annotated[
        str | None,
        typer.Option(
            "--x", metavar="COLUMN", help="Of a sweep: the axis across.", show_default=False
        ),
    ] = None,
    y: Annotated[
        str | None,
        typer.Option(
            "--y",
            metavar="COLUMN",
            help="Of a sweep: the axis upwards of a heatmap.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="COLUMN=VALUE",
            help="Of a study: only such rows; may be given again.",
            show_default=False,
        ),
    ] = None,
    style: Annotated[
        str,
        typer.Option(
            "--style",
            metavar="readme|paper|slide",
            help="What it is for: its width, and the size of its text.",
        ),
    ] = "readme",
    list_: Annotated[bool, typer.Option("--list", help="Name the figures.")] = False,
) -> None:
    """Draw one figure from run folders, which are laid over one another, or from the table that a
    study wrote.
    """
    from cluster_sim import figures
    from cluster_sim.errors import ScenarioError, did_you_mean

    if list_ or figure is None:
        for name in (*figures.NAMES, *figures.STUDIES):
            print(name)
        return
    path = out or Path(f"{figure}.png")
    if figure in figures.STUDIES:
        from cluster_sim.figures.study_table import Choice

        if len(runs or ()) != 1:
            raise ScenarioError.at(
                "plot", f"{figure} is drawn from one study; wanted its folder or Parquet file"
            )
        figures.save(
            figures.draw_study(
                figure,
                (runs or [])[0],
                Choice(x, y, tuple(metric or ())),
                dict(map(_condition, where or ())),
                style,
            ),
            path,
        )
    elif figure not in figures.NAMES:
        raise ScenarioError.at(
            "plot",
            f"no figure '{figure}'{did_you_mean(figure, (*figures.NAMES, *figures.STUDIES))}",
        )
    elif not runs:
        raise ScenarioError.at("plot", "wanted at least one run folder")
    elif metric or x or y or where:
        raise ScenarioError.at(
            "plot",
            f"{figure} is drawn from runs; --metric, --x, --y and --where are for {', '.join(figures.STUDIES)}",
        )
    else:
        figures.save(
            figures.draw(figure, [results for folder in runs for results in _load(folder)], style),
            path,
        )
    print(path)


@app.command()
def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Run folders, or folders of them; folders of sweeps; tables of capacity, sensitivity or claims (.parquet, .csv, .json).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The page.")] = Path(
        "report.html"
    ),
    question: Annotated[
        str,
        typer.Option(
            "--question",
            metavar="TEXT",
            help="Default: the comment at the top of the scenario file.",
            show_default=False,
        ),
    ] = "",
    title: Annotated[
        str,
        typer.Option(
            "--title", metavar="TEXT", help="Default: the scenario's name.", show_default=False
        ),
    ] = "",
) -> None:
    """One HTML page that opens offline: verdict, charts, tables, sources and how to reproduce."""
    from cluster_sim.report import page, studies

    of_studies = [path for path in paths if studies.is_study(path)]
    runs = [results for path in paths if path not in of_studies for results in _load(path)]
    print(
        page.write(
            out,
            runs,
            [studies.read(path, place) for place, path in enumerate(of_studies)],
            question,
            title,
        )
    )


def _check_clients(clients: Sequence[str]) -> None:
    if clients:
        from cluster_sim.export import check as check_client

        for client in clients:
            check_client(client)


def _export(results: Results, client: str, folder: Path, detailed: bool) -> None:
    from cluster_sim import export as clients

    for path in clients.export(results, client, folder, detailed):
        _say_wrote(path)


def _condition(text: str) -> tuple[str, str]:
    from cluster_sim.errors import ScenarioError

    column, equals, value = text.partition("=")
    if not equals:
        raise ScenarioError.at(
            f"--where {text}", "wanted COLUMN=VALUE, such as --where variant=b200"
        )
    return column, value


@app.command()
def trace(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Default: NAME.pftrace, as the folder is called.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """What every replica, transfer and request of a run did, as a trace that ui.perfetto.dev opens."""
    from cluster_sim.export.trace import write

    print(write(run, out or Path(f"{run.resolve().name}.pftrace")))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    client: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="CLIENT",
            help="vllm, aiperf, guidellm or mlperf.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Default: RUN/CLIENT.", show_default=False),
    ] = None,
    detailed: Annotated[
        bool,
        typer.Option(
            "--detailed",
            help="With the gaps between the tokens of each request, where the client can write them.",
        ),
    ] = False,
) -> None:
    """What a benchmark client would have written of a run: its files, metrics and percentiles."""
    from cluster_sim.results.results import load_results

    _check_clients([client])
    _export(load_results(run), client, out or run / client, detailed)


@app.command()
def workload(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Scenario files or traces; after the word `fit`, one trace for which a workload is proposed; after `fetch`, names of public traces.",
            show_default=False,
        ),
    ],
    variant: Variants = None,
    set_: Sets = None,
    seed: Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the requests: .parquet, or .jsonl as Mooncake's traces are. Of `fetch` the folder; default: traces.",
            show_default=False,
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw rates and dispersion: PNG, SVG or PDF.",
            show_default=False,
        ),
    ] = None,
    answer_rate: Annotated[
        float,
        typer.Option(
            "--answer-rate",
            min=1e-6,
            metavar="N",
            help="Tokens a second of answers, where requests wait for them.",
        ),
    ] = 50.0,
    json_: Annotated[
        bool,
        typer.Option("--json", help="Print the statistics as one JSON document, and no table."),
    ] = False,
) -> None:
    """The traffic alone: how bursty it is, how long requests are, what prompts share. `workload fit
    TRACE` proposes a process that matches; `workload fetch` names public traces, `workload fetch
    NAME` downloads one."""
    if files[0] == Path("fetch"):
        _fetch([str(name) for name in files[1:]], out or Path("traces"))
        return
    from cluster_sim.analysis import traffic as demand
    from cluster_sim.errors import ScenarioError

    if files == [Path("fit")] and not files[0].exists():
        raise ScenarioError.at(
            "fit", "wanted a trace, or a scenario file, for which a workload is proposed"
        )
    fit, paths = (
        files[0] == Path("fit") and len(files) > 1,
        files[1:] if files[0] == Path("fit") and len(files) > 1 else files,
    )
    traffics = [
        one
        for path in paths
        for one in _demands(path, variant or (), set_ or (), seed, answer_rate)
    ]
    for one in traffics:
        for note in one.notes:
            print(f"warning: {one.name}: {note}", file=sys.stderr)
    if len(traffics) != 1 and (fit or out is not None):
        raise ScenarioError.at(
            "fit" if fit else "--out",
            f"takes one traffic; came {len(traffics)}: {', '.join(one.name for one in traffics)}",
        )
    if out is not None:
        demand.write(traffics[0], out)
        _say_wrote(out)
    if figure is not None:
        from cluster_sim import figures
        from cluster_sim.figures.arrivals import of_traffic

        figures.save(of_traffic({one.name: one.arrival_s for one in traffics}), figure)
        _say_wrote(figure)
    if fit:
        _print_proposal(traffics[0])
    elif json_:
        import json

        print(
            json.dumps(
                {one.name: one.summary() for one in traffics}
                if len(traffics) > 1
                else traffics[0].summary(),
                indent=2,
            )
        )
    else:
        _print_demands(traffics)


@app.command()
def validate(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="CSV of measurements; default: the published figures of the catalog.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write every prediction beside its measurement, as CSV.",
            show_default=False,
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw predicted against measured: PNG, SVG or PDF.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 2,
) -> None:
    """Simulate measured serving runs as they were run; print the errors by data set, hardware and
    model.
    """
    from cluster_sim import validation

    measurements = validation.read_measurements(data or validation.REFERENCE)
    predictions = _predict(measurements.runs, workers)
    if out is not None:
        _write(out, validation.as_csv(predictions))
        _say_wrote(out)
    if figure is not None:
        from cluster_sim import figures
        from cluster_sim.figures.parity import parity

        figures.save(parity(validation.points(predictions)), figure)
        _say_wrote(figure)
    _print_errors(predictions, measurements.left_out)


@app.command()
def catalog(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One entry, whole.", show_default=False)
    ] = None,
) -> None:
    """What is in the catalog; with NAME every figure of that entry, its source and its confidence."""
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.errors import ScenarioError, did_you_mean
    from cluster_sim.schema import CATALOG, catalog_names, figures, read_yaml

    kinds = ("devices", "nodes", "prices", "links", "models", "engines", "workloads", "traces")
    entries = {entry: kind for kind in kinds for entry in catalog_names(kind)}
    if name is None:
        for kind in kinds:
            print(f"{kind}: {', '.join(catalog_names(kind))}")
        return
    if name not in entries:
        raise ScenarioError.at("catalog", f"no entry '{name}'{did_you_mean(name, sorted(entries))}")
    data = read_yaml(CATALOG / entries[name] / f"{name}.yaml").data
    rows = list(figures(data))
    table = Table(title=f"{data.get('name', name)} ({entries[name]})", title_justify="left")
    for column in ("figure", "value", "range", "source", "confidence", "note"):
        table.add_column(column, overflow="fold")
    said = ""
    for row in rows:
        note = "as above" if row.note and row.note == said else row.note
        table.add_row(
            *map(
                Text,
                (
                    row.path,
                    row.value,
                    " to ".join(row.range or ()),
                    row.source,
                    row.confidence,
                    note,
                ),
            )
        )
        said = row.note
    _stdout().print(table)
    counts = [
        f"{sum(row.confidence == level for row in rows)} of {level} confidence"
        for level in ("high", "medium", "low")
    ]
    estimates = sum("est" in [key.strip() for key in row.source.split(",")] for row in rows)
    print(f"{len(rows)} figures: {', '.join(counts)}; {estimates} rest on an estimate")
    sources = read_yaml(CATALOG / "sources.yaml").data
    for key in sorted(
        {key.strip() for row in rows for key in row.source.split(",") if key.strip()}
    ):
        _stdout().print(
            f"{key}: {sources.get(key, 'unknown')}", highlight=False, soft_wrap=True, markup=False
        )


@app.command()
def calibrate(
    kernels: Annotated[
        Path,
        typer.Argument(
            metavar="KERNELS",
            help="Measured kernels or collectives, Parquet or CSV, with the columns of aiconfigurator's tables, or op, ranks, size_bytes, latency_ms.",
            show_default=False,
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="NAME",
            help="A device of the catalog, or the path of a device file.",
            show_default=False,
        ),
    ],
    system: Annotated[
        str | None,
        typer.Option(
            "--system", help="Which system's rows; default: the device's name.", show_default=False
        ),
    ] = None,
    collector: Annotated[
        str,
        typer.Option(
            "--collector", metavar="PREFIX", help="Only rows whose version begins so, such as vllm."
        ),
    ] = "",
    processors: Annotated[
        int | None,
        typer.Option(
            "--processors",
            min=1,
            help="Streaming multiprocessors; default: as in the device's file.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Keep the fits apart as this engine's own, such as vLLM.",
        ),
    ] = "",
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="NAME",
            help="A similar device: its constants hold where few kernels do not tell.",
            show_default=False,
        ),
    ] = None,
    widest_fp8: Annotated[
        int,
        typer.Option(
            "--widest-fp8",
            metavar="VALUES",
            min=1,
            help="Widest attention heads over an fp8 cache that count.",
            show_default=False,
        ),
    ] = 10**6,
    power: Annotated[
        bool,
        typer.Option(
            "--power",
            help="Board power in place of times: its constants and errors by kind of kernel.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the device with the fitted kernels here.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fit a device's kernel constants to measured kernels; print cross-validated errors beside the
    naive roofline's.
    """
    from rich.table import Table

    from cluster_sim.calibration.kernel_tables import read_kernels
    from cluster_sim.calibration.kernels import FitOptions, with_kernels
    from cluster_sim.calibration.kernels import calibrate as fit
    from cluster_sim.errors import ScenarioError
    from cluster_sim.hardware.device import device_named
    from cluster_sim.schema import yaml_text

    described = device_named(device)
    tables = read_kernels(kernels, system or Path(device).stem.replace("-", "_"), collector)
    if power:
        _print_kernel_power(kernels, described.name, tables)
        return
    known = (
        next(iter(described.kernels.gemm.values())).processors
        if described.kernels and described.kernels.gemm
        else None
    )
    if (
        processors is None
        and known is None
        and any("gemm_dtype" in rows.column_names for rows in tables)
    ):
        raise ScenarioError.at(
            "--processors", f"is missing: the file of {described.name} does not say how many it has"
        )
    choice = FitOptions(
        processors or known or 1, engine, device_named(like) if like else None, widest_fp8
    )
    table = Table(title=described.name, title_justify="left")
    for column in (
        "kernel",
        "rows",
        "median |error|",
        "p90 |error|",
        "roofline median",
        "roofline p90",
    ):
        table.add_column(column, justify="left" if column == "kernel" else "right")
    found = []
    for one in fit(tables, described, choice):
        print(f"fitted {one.kind}", file=sys.stderr)
        found.append(one.fits)
        table.add_row(
            one.kind, f"{one.rows:,}", *(f"{share:.1%}" for share in (*one.errors, *one.naive))
        )
    if not found:
        few = f"holds fewer than {choice.fewest} usable kernels of any kind that {described.name} runs, and fewer than 24 collectives"
        raise ScenarioError.at(str(kernels), few)
    _stdout().print(table)
    if out is not None:
        _write(
            out,
            f"# Kernels fitted to {sum(map(len, tables)):,} rows of {kernels.name}.\n{yaml_text(with_kernels(described, found))}",
        )


@app.command()
def schema(
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Default: print it.", show_default=False),
    ] = None,
) -> None:
    """The JSON Schema of scenario files, for editors."""
    import json

    from cluster_sim.loading.files import json_schema

    text = json.dumps(json_schema(), indent=2)
    if out is None:
        print(text)
    else:
        _write(out, text + "\n")


def main() -> None:
    """Entry point: 0 done, 1 the simulation failed, 2 the input is at fault."""
    from cluster_sim.errors import ScenarioError

    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=arguments, prog_name="cluster-sim")
    except ScenarioError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # the contract with users: no traceback unless they ask for it
        if debug:
            raise
        print(
            f"the simulation failed: {type(error).__name__}: {error} (--debug shows where)",
            file=sys.stderr,
        )
        sys.exit(1)


def _warn(scenarios: list[Scenario]) -> None:
    for warning in dict.fromkeys(
        warning for scenario in scenarios for warning in scenario.warnings()
    ):
        print(f"warning: {warning}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    from cluster_sim.errors import ScenarioError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be written: {fault.strerror}") from fault


def _load(folder: Path) -> list[Results]:
    """The run in `folder`, or the runs in the folders inside it."""
    from cluster_sim.results.results import load_results

    inside = (
        sorted(path.parent for path in folder.glob("*/manifest.json"))
        if not (folder / "manifest.json").is_file()
        else []
    )
    return [load_results(path) for path in inside or [folder]]


def _demands(
    path: Path, variants: Sequence[str], sets: Sequence[str], seed: int | None, answer_rate: float
) -> list[Demand]:
    """The traffic of a trace, or of a scenario file: once for each of its variants whose workloads
    differ.
    """
    from cluster_sim.analysis.traffic import of_scenario, of_trace
    from cluster_sim.loading.files import load_variants
    from cluster_sim.workload.traces import find_trace

    if path.suffix.lower() not in (".yaml", ".yml"):
        return [of_trace(find_trace(path), path.name, seed or 0)]
    different: dict[str, Scenario] = {}
    for scenario in load_variants(path, variants, sets, seed):
        if all(
            other.workload != scenario.workload
            or other.duration_s != scenario.duration_s
            or other.seed != scenario.seed
            for other in different.values()
        ):
            different[scenario.title] = scenario
    return [
        replace(
            of_scenario(one, answer_rate),
            name=one.variant if one.variant and len(different) > 1 else one.name,
        )
        for one in different.values()
    ]


def _fetch(names: list[str], folder: Path) -> None:
    """Download traces and say where they are; without names, say which there are."""
    from cluster_sim.workload.traces.public import fetch, public_trace, public_traces

    if not names:
        for name, trace in public_traces().items():
            print(f"{name}: {trace.name}, {trace.licence}; {trace.attribution}")
    for trace in [public_trace(name) for name in names]:
        with _stderr().status(f"fetching {trace.name}"):
            path = fetch(trace, folder)
        print(f"{trace.name}: {trace.licence}; cite {trace.attribution}", file=sys.stderr)
        print(path)


def _simulate(scenario: Scenario, live: bool = False) -> Results:
    """Simulate with a bar that shows the time left, where somebody is watching; live: with a
    dashboard, or lines where nobody is.
    """
    from cluster_sim.sim.simulate import simulate

    if live:
        from cluster_sim.cli.live import watching

        with watching(scenario, _stderr()) as watch:
            return simulate(scenario, watch=watch)
    if not sys.stderr.isatty():
        return simulate(scenario)
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[left]}"),
        TimeRemainingColumn(),
        console=_stderr(),
        transient=True,
    )
    with bar:
        task = bar.add_task(scenario.title, total=1.0, left="")
        return simulate(scenario, _reporter(bar, task, scenario))


def _print_kernel_power(file: Path, device: str, tables: list[Any]) -> None:
    """What kernels draw, kind by kind: constants, cross-validated errors, and how well the readings
    repeat.
    """
    from rich.table import Table

    from cluster_sim.calibration.power import WORST, calibrate
    from cluster_sim.errors import ScenarioError

    table = Table(title=f"{device}: board power", title_justify="left")
    columns = (
        "kernel",
        "collector",
        "rows",
        "like kernels differ",
        "median |error|",
        "p90",
        "where they repeat",
        "busy",
        "active",
        "start",
        "pJ/B",
        "pJ/FLOP",
    )
    for column in columns:
        table.add_column(column, justify="left" if column in ("kernel", "collector") else "right")
    for one in calibrate(tables):
        print(f"fitted {one.kind}", file=sys.stderr)
        cells = [one.kind, one.collector, f"{one.rows:,}", f"{one.difference:.1%}"]
        if one.errors is not None and one.repeating is not None and one.fit is not None:
            fit = one.fit
            cells += [f"{share:.1%}" for share in (*one.errors, one.repeating.median)]
            cells += [f"{fit.busy_w:.0f} W", f"{fit.active_w:.0f} W", f"{1e6 * fit.start_s:.1f} us"]
            cells += [f"{1e12 * fit.memory_j_per_byte:.0f}", f"{1e12 * fit.flop_j_per_flop:.2f}"]
        table.add_row(*cells)
    if not table.row_count:
        raise ScenarioError.at(
            str(file), "holds too few kernels with power_w, power_limit_w and version"
        )
    _stdout().print(table)
    print(
        f"Of each kind the collector whose like kernels differ least; not fitted where they differ by more than {WORST:.0%}."
    )


def _predict(runs: list[MeasuredRun], workers: int) -> list[Prediction]:
    """Simulate them all, with a bar where somebody is watching."""
    from cluster_sim.validation import predict_all

    if not sys.stderr.isatty():
        return predict_all(runs, workers)
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_stderr(),
        transient=True,
    )
    with bar:
        task = bar.add_task("simulating", total=len(runs))
        return predict_all(
            runs, workers, lambda done, total: bar.update(task, completed=done, total=total)
        )


def _reporter(bar: Any, task: Any, scenario: Scenario) -> Progress:
    def report(now_s: float, gone: int) -> None:
        wanted, duration_s = scenario.requests_wanted, scenario.duration_s
        by_count = gone / wanted if wanted else 0.0
        by_time = min(now_s / duration_s, 1.0) if duration_s else 0.0
        bar.update(
            task,
            completed=max(by_count, by_time),
            left=f"{now_s:,.0f} s simulated, {gone:,} requests done",
        )

    return report


_ROWS: tuple[tuple[str, str, str], ...] = (
    ("completed", "completed", ",.0f"),
    ("failed", "failed", ",.0f"),
    ("rejected", "rejected", ",.0f"),
    ("TTFT p50 [ms]", "median_ttft_ms", ",.1f"),
    ("TTFT p99 [ms]", "p99_ttft_ms", ",.1f"),
    ("TTFO p50 [ms]", "median_ttfo_ms", ",.1f"),
    ("TTFO p99 [ms]", "p99_ttfo_ms", ",.1f"),
    ("TPOT p50 [ms]", "median_tpot_ms", ",.2f"),
    ("TPOT p99 [ms]", "p99_tpot_ms", ",.2f"),
    ("E2E p50 [ms]", "median_e2el_ms", ",.0f"),
    ("E2E p99 [ms]", "p99_e2el_ms", ",.0f"),
    ("queue p99 [ms]", "p99_queue_ms", ",.1f"),
    ("wait for a decode replica p99 [ms]", "p99_hand_over_wait_ms", ",.1f"),
    ("KV transfer p99 [ms]", "p99_kv_transfer_ms", ",.2f"),
    ("queue mean [ms]", "mean_queue_ms", ",.1f"),
    ("of E2E, mean: compute [ms]", "mean_compute_ms", ",.1f"),
    ("of E2E, mean: memory bus shared [ms]", "mean_bus_ms", ",.2f"),
    ("of E2E, mean: links shared [ms]", "mean_link_ms", ",.2f"),
    ("requests/s", "request_throughput", ",.2f"),
    ("output tokens/s", "output_throughput", ",.0f"),
    ("within SLO", "slo_attainment", ".1%"),
    ("preemptions", "preemptions", ",.0f"),
    ("prompt tokens found in cache", "prefix_hit_fraction", ".1%"),
    ("prompt tokens fetched from tiers", "offload_hit_fraction", ".1%"),
    ("KV room used, peak", "kv_peak_fraction", ".1%"),
    ("compute used, mean", "compute_utilisation", ".1%"),
    ("memory bandwidth used, mean", "bandwidth_utilisation", ".1%"),
    ("power with PUE, mean [kW]", "mean_power_w", "kilo"),
    ("energy per output token [J]", "energy_j_per_output_token", ",.3g"),
    ("CO2 per million output tokens [g]", "co2_g_per_million_output_tokens", ",.4g"),
    ("USD/h, with 90 % interval", "usd_per_hour", "interval"),
    ("USD per million output tokens", "usd_per_million_output_tokens", "interval"),
    ("USD per million tokens, all alike", "usd_per_million_tokens", ",.3f"),
    ("  of input, by busy time", "attributed_usd_per_million_input_tokens", ",.3f"),
    ("  of output, by busy time", "attributed_usd_per_million_output_tokens", ",.3f"),
    ("USD per request", "usd_per_request", ",.3g"),
    ("USD per session", "usd_per_session", ",.3g"),
    ("hottest die [°C]", "max_die_c", ",.1f"),
    ("hottest memory [°C]", "max_memory_c", ",.1f"),
    ("throttled by heat", "throttled_fraction", ".1%"),
    ("shutdowns", "shutdowns", ",.0f"),
    ("wall time [s]", "wall_s", ",.2f"),
)


def _print_summaries(scenarios: list[Scenario], summaries: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=scenarios[0].name, title_justify="left")
    table.add_column("")
    for name in summaries:
        table.add_column(name, justify="right")
    for label, key, form in _ROWS:
        if any(key in summary for summary in summaries.values()):
            table.add_row(
                Text(label), *(_cell(summary, key, form) for summary in summaries.values())
            )
    for name in dict.fromkeys(
        name for summary in summaries.values() for name in summary.get("classes", {})
    ):
        of_class = (summary.get("classes", {}).get(name, {}) for summary in summaries.values())
        table.add_row(Text(f"{name}: TTFT p99 [ms], within SLO"), *map(_of_class, of_class))
    _stdout().print(table)


def _cell(summary: dict[str, Any], key: str, form: str) -> str:
    """One field: as a number, in thousands (kilo), or with its ends (interval)."""
    if key not in summary:
        return "-"
    if form == "interval":
        return f"{summary[key]:,.4g} ({summary[f'p5_{key}']:,.4g} to {summary[f'p95_{key}']:,.4g})"
    return f"{summary[key] / 1e3:,.2f}" if form == "kilo" else format(summary[key], form)


def _of_class(summary: dict[str, Any]) -> str:
    """The line of one class in brief."""
    return ", ".join(
        format(summary[key], form) if key in summary else "-"
        for key, form in (("p99_ttft_ms", ",.1f"), ("slo_attainment", ".1%"))
    )


def _rows_of_wafers(pools: list[PoolArithmetic]) -> list[tuple[str, list[str]]]:
    """How replicas lie on wafers."""

    def row(label: str, said: Callable[[WaferArithmetic], str]) -> tuple[str, list[str]]:
        return label, [said(pool.wafers) if pool.wafers else "-" for pool in pools]

    return [
        row(
            "regions on wafers",
            lambda one: (
                f"{one.regions:,}, {len(one.cuts)} cuts"
                + (f", before {_few(one.cuts)}" if one.cuts else "")
            ),
        ),
        row(
            "cores of a layer",
            lambda one: " to ".join(dict.fromkeys(f"{cores:,}" for cores in one.layer_cores)),
        ),
        row(
            "SRAM filled by weights",
            lambda one: " to ".join(dict.fromkeys(f"{share:.1%}" for share in one.weight_fill)),
        ),
        row(
            "KV tokens of a wafer's layers",
            lambda one: " to ".join(dict.fromkeys(f"{tokens:,}" for tokens in one.kv_tokens)),
        ),
        row(
            "places in the pipeline",
            lambda one: f"{one.slots:,.0f} of {1e6 * one.station_s:,.1f} us",
        ),
    ]


def _few(names: tuple[str, ...]) -> str:
    """The first three, and that there are more."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _print_arithmetic(scenario: Scenario) -> None:
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.analysis.estimate import explain as work_out
    from cluster_sim.analysis.estimate import highest_rate_per_s, offered_per_s, sampled_lengths
    from cluster_sim.results.cost import planned_usd_per_hour

    seen, offered = sampled_lengths(scenario), offered_per_s(scenario)
    pools = work_out(scenario)
    console = _stdout()
    console.print(
        f"# {scenario.title}: {scenario.model.name}, {seen.prompt_tokens:,.0f} prompt and {seen.output_tokens:,.0f} output tokens in the mean",
        highlight=False,
    )
    table = Table()
    table.add_column("")
    for pool in pools:
        table.add_column(pool.name, justify="right")
    parts = sorted({name for pool in pools for name in pool.parts})
    hourly_usd = [planned_usd_per_hour(scenario, pool) for pool in scenario.cluster.pools]
    rows: list[tuple[str, list[str]]] = [
        *(
            [("role", [pool.role for pool in pools])]
            if any(pool.role != "both" for pool in pools)
            else []
        ),
        ("replicas", [f"{pool.replicas} x {pool.devices_a_replica} devices" for pool in pools]),
        (
            "weights a device [GB]",
            [
                f"{pool.weight_bytes / 1e9:,.{1 if pool.weight_bytes >= 1e9 else 3}f}"
                for pool in pools
            ],
        ),
        ("KV a token and device [kB]", [f"{pool.kv_token_bytes / 1e3:,.1f}" for pool in pools]),
        ("KV tokens a replica", [f"{pool.kv_tokens:,}" for pool in pools]),
        (
            "loading the weights [s]",
            ["-" if pool.load_s is None else f"{pool.load_s:,.3g}" for pool in pools],
        ),
        *(_rows_of_wafers(pools) if any(pool.wafers for pool in pools) else []),
        ("step with 1 sequence [ms]", [f"{1e3 * pool.step_at_1_s:,.3f}" for pool in pools]),
        ("sequences when full", [f"{pool.full_batch:,} ({pool.bound_by})" for pool in pools]),
        ("mean step when full [ms]", [f"{1e3 * pool.step_when_full_s:,.3f}" for pool in pools]),
        *(
            (
                f"  of it {part}",
                [f"{pool.parts[part]:.0%}" if part in pool.parts else "-" for pool in pools],
            )
            for part in parts
        ),
        *(
            [
                (
                    "moving the KV of a prompt [ms]",
                    [
                        "-" if pool.kv_transfer_s is None else f"{1e3 * pool.kv_transfer_s:,.3f}"
                        for pool in pools
                    ],
                )
            ]
            if any(pool.kv_transfer_s is not None for pool in pools)
            else []
        ),
        ("highest rate [requests/s]", [f"{pool.requests_per_s:,.2f}" for pool in pools]),
        *(
            [
                (
                    "USD/h at rated power",
                    ["-" if usd is None else f"{usd:,.2f}" for usd in hourly_usd],
                ),
                (
                    "USD per million output tokens at that rate",
                    [
                        _at_highest(pool, usd, seen.output_tokens)
                        for pool, usd in zip(pools, hourly_usd, strict=True)
                    ],
                ),
            ]
            if any(usd is not None for usd in hourly_usd)
            else []
        ),
        (
            "way from the front door",
            [f"{pool.path.hops} hops, {1e6 * pool.path.latency_s:,.1f} us" for pool in pools],
        ),
    ]
    for label, cells in rows:
        table.add_row(Text(label), *cells)
    console.print(table)
    total = highest_rate_per_s(pools)
    if offered is not None:
        console.print(
            f"offered: {offered:,.2f} requests/s in the mean, {offered / total:.0%} of the highest rate",
            highlight=False,
        )


def _at_highest(pool: PoolArithmetic, usd_per_hour: float | None, output_tokens: float) -> str:
    """What a million output tokens cost at the highest rate: no load makes them cheaper. Of a pool
    that hands over it is not known.
    """
    if usd_per_hour is None or pool.role != "both" or not pool.requests_per_s:
        return "-"
    return f"{1e6 * usd_per_hour / (3600.0 * pool.requests_per_s * output_tokens):,.3f}"


def _print_usual_paths(scenario: Scenario) -> None:
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.analysis.network_paths import usual_paths
    from cluster_sim.deployment.fleet import resolve

    topology = resolve(scenario).topology
    table = Table()
    for column in ("way", "hops", "latency [us]", "bottleneck [GB/s]", "which is", "equal ways"):
        table.add_column(Text(column), justify="left" if column in ("way", "which is") else "right")
    for one in usual_paths(scenario, topology):
        narrow = topology.kind(one.narrowest) if one.narrowest else "-"
        cells = (
            str(one.route.hops),
            f"{1e6 * one.route.latency_s:,.2f}",
            f"{one.route.bottleneck_bytes_per_s / 1e9:,.1f}",
            narrow,
            str(one.choices),
        )
        table.add_row(*map(Text, (one.what, *cells)))
    _stdout().print(table)


def _print_path(scenario: Scenario, start: str, end: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.analysis.network_paths import path
    from cluster_sim.deployment.fleet import resolve

    topology = resolve(scenario).topology
    one = path(topology, start, end)
    console = _stdout()
    console.print(f"# {scenario.title}: {start} to {end}", highlight=False, markup=False)
    table = Table()
    for column in ("hop", "from", "to", "kind", "bandwidth [GB/s]", "latency [us]"):
        table.add_column(
            Text(column),
            justify="left" if column in ("from", "to", "kind") else "right",
            overflow="fold",
        )
    for hop, edge in enumerate(one.route.edges, 1):
        link = topology.link(edge)
        both = ", both directions" if link.duplex == "half" else ""
        table.add_row(
            *map(
                Text,
                (
                    str(hop),
                    *edge,
                    link.kind + both,
                    f"{link.bandwidth_bytes_per_s / 1e9:,.1f}",
                    f"{1e6 * link.latency_s:,.2f}",
                ),
            )
        )
    console.print(table)
    narrow = (
        f", bottleneck {one.route.bottleneck_bytes_per_s / 1e9:,.1f} GB/s from {' to '.join(one.narrowest)}"
        if one.narrowest
        else ""
    )
    console.print(
        f"{one.route.hops} hops, {1e6 * one.route.latency_s:,.2f} us{narrow}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if one.choices > 1:
        console.print(
            f"one of {one.choices} equally good ways; the hash of a flow picks", highlight=False
        )


_TRAFFIC_ROWS: tuple[tuple[str, str, str], ...] = (
    ("requests", "requests", ",.0f"),
    ("span [s]", "span_s", ",.1f"),
    ("rate [1/s]", "rate_per_s", ",.4g"),
    ("CV of gaps", "cv", ",.3g"),
    *(
        (f"dispersion at {window} s", f"dispersion_{window}s", ",.3g")
        for window in (1, 10, 60, 600)
    ),
    *(
        (f"peak to mean at {window} s", f"peak_to_mean_{window}s", ",.3g")
        for window in (1, 10, 60, 600)
    ),
    *(
        (f"{what} tokens, {label}", f"{key}_{what}_tokens", ",.0f")
        for what in ("prompt", "output")
        for label, key in (
            ("mean", "mean"),
            ("p10", "p10"),
            ("p50", "p50"),
            ("p90", "p90"),
            ("p99", "p99"),
            ("longest", "max"),
        )
    ),
    ("rank correlation of the two", "length_correlation", ".2f"),
    ("prompt tokens seen before", "prefix_reuse", ".1%"),
)


def _print_demands(traffics: list[Demand]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("")
    summaries = [one.summary() for one in traffics]
    for one in traffics:
        table.add_column(Text(one.name), justify="right")
    for label, key, form in _TRAFFIC_ROWS:
        if any(summary.get(key) is not None for summary in summaries):
            table.add_row(
                Text(label),
                *(
                    "-" if summary.get(key) is None else format(summary[key], form)
                    for summary in summaries
                ),
            )
    _stdout().print(table)


def _print_proposal(traffic: Demand) -> None:
    """A workload as YAML; what it matches stands above it as comments."""
    from cluster_sim.calibration.traffic import SEEDS, propose
    from cluster_sim.schema import yaml_text

    proposal = propose(traffic)
    print(
        f"# Fitted to {len(traffic.arrival_s):,} requests of {traffic.name}; beside each statistic the middle 90 % of {SEEDS} seeds of what is proposed."
    )
    for key, match in proposal.matches.items():
        missed = f", missed by {match.miss:.0%}" if match.miss else ""
        print(f"#   {key:20} {match.trace:10.4g}  [{match.p5:.4g}, {match.p95:.4g}]{missed}")
    print(
        "# Tried, with the mean error of a statistic and a price for each number: "
        + "; ".join(f"{name} {error:.0%}" for name, error in proposal.tried.items())
    )
    print(yaml_text({"workload": proposal.workload}), end="")


def _print_errors(predictions: list[Prediction], left_out: dict[str, int]) -> None:
    from rich.table import Table
    from rich.text import Text

    from cluster_sim.validation import METRICS, TTFT_RULE, errors

    table = Table(title="Errors of predictions against measurements", title_justify="left")
    for heading in ("data set", "hardware", "model", "metric"):
        table.add_column(heading)
    for heading in ("runs", "median |error|", "p90 |error|", "bias"):
        table.add_column(heading, justify="right")
    before: tuple[str, ...] = ()
    for by in (("dataset", "hardware", "model"), ("dataset",), ()):
        table.add_section()
        for row in errors(predictions, by):
            group = (row.dataset, row.hardware, row.model)
            names = group if group != before else ("", "", "")
            cells = (f"{row.count:,}", f"{row.median:.1%}", f"{row.p90:.1%}", f"{row.bias:+.1%}")
            table.add_row(*map(Text, names), METRICS[row.metric], *cells)
            before = group
    console = _stdout()
    console.print(table)
    faults = [prediction for prediction in predictions if prediction.fault]
    lines = [
        f"{len(predictions):,} runs, {len(predictions) - len(faults):,} simulated. {TTFT_RULE}"
    ]
    if faults:
        lines.append(
            f"{len(faults):,} could not be set up; the first: {faults[0].fault.splitlines()[0]}"
        )
    if left_out:
        lines.append(f"{sum(left_out.values()):,} rows left out:")
        lines += [f"  {count:>6,}  {rule}" for rule, count in left_out.items()]
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
