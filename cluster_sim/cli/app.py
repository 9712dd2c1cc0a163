"""The command line: registers the commands and sets their exit codes."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cluster_sim.cli.commands.best import best
from cluster_sim.cli.commands.calibrate import calibrate
from cluster_sim.cli.commands.capacity import capacity
from cluster_sim.cli.commands.catalog import catalog
from cluster_sim.cli.commands.check import check
from cluster_sim.cli.commands.claims import claims
from cluster_sim.cli.commands.compare import compare
from cluster_sim.cli.commands.examples import examples
from cluster_sim.cli.commands.explain import explain
from cluster_sim.cli.commands.export import export
from cluster_sim.cli.commands.init import init
from cluster_sim.cli.commands.plan import plan
from cluster_sim.cli.commands.plot import plot
from cluster_sim.cli.commands.report import report
from cluster_sim.cli.commands.run import run
from cluster_sim.cli.commands.schema import schema
from cluster_sim.cli.commands.sensitivity import sensitivity
from cluster_sim.cli.commands.sweep import sweep
from cluster_sim.cli.commands.trace import trace
from cluster_sim.cli.commands.validate import validate
from cluster_sim.cli.commands.workload import workload
from cluster_sim.cli.console import complain, kept_so_far, warn, written
from cluster_sim.cli.old_spellings import as_spelt_today
from cluster_sim.cli.streams import (
    drop_the_rest,
    end_without_a_reader,
    flush,
    spell_what_cannot_be_shown,
)

COMMANDS: dict[str, Callable[..., None] | typer.Typer] = {
    "init": init,
    "examples": examples,
    "run": run,
    "check": check,
    "explain": explain,
    "compare": compare,
    "sweep": sweep,
    "best": best,
    "capacity": capacity,
    "plan": plan,
    "sensitivity": sensitivity,
    "claims": claims,
    "plot": plot,
    "report": report,
    "trace": trace,
    "export": export,
    "workload": workload,
    "validate": validate,
    "catalog": catalog,
    "calibrate": calibrate,
    "schema": schema,
}
"""Commands and groups of commands by name, in the order of `--help`."""


_UsageError: Any = typer.BadParameter.__bases__[0]
"""Error of a command line. Typer has it from click, or from its own copy of click."""
_SEVERAL = "; plot and report take several run folders, such as `cluster-sim report runs/a runs/b`"
_ONE_FILE = {
    "compare": _SEVERAL,
    "run": "; run each file by a command of its own, or write them as variants of one file",
    "explain": "",
    "sweep": "",
    "capacity": "",
    "plan": "",
    "sensitivity": "",
}
"""Continuation of the message that a command takes one scenario file, by command."""


class _Interrupted(Exception):
    """End of a command by Ctrl-C. This type keeps Typer from ending the process itself."""


class _ReaderLeft(Exception):
    """End of a command whose reader has closed the pipe.

    This type keeps Typer from ending the process itself.
    """


class _AsListed(TyperGroup):
    """Group that lists its commands in the order of COMMANDS; Typer would put groups last."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise _Interrupted(*getattr(interrupt, "__notes__", ())) from None
        except _UsageError as error:
            command = error.ctx.info_name if error.ctx is not None else None
            if "unexpected extra argument" in error.message and command in _ONE_FILE:
                error.message += f". {command} takes one scenario file{_ONE_FILE[command]}"
            raise
        except BrokenPipeError:
            raise _ReaderLeft from None

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)


app = typer.Typer(
    name="cluster-sim",
    help="Simulate LLM inference clusters of GPUs or wafers.\n\nLatency, throughput, power and cost follow from one scenario file.",
    cls=_AsListed,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    if isinstance(command, typer.Typer):
        app.add_typer(command)
    else:
        app.command(name)(command)


def _print_version(value: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value
    """Print the version and end, if `--version` is given."""
    if value:
        from cluster_sim.version import own_version

        print(f"cluster-sim {own_version()}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,  # read by its callback
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,  # `_run` reads it from sys.argv
) -> None:
    pass


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **_: Any) -> None:
    """Print a warning of this package as a sentence, and any other warning as Python does."""
    if category.__module__.startswith("cluster_sim."):
        warn(str(message))
    else:
        print(warnings.formatwarning(message, category, *place[:2]), end="", file=sys.stderr)


def main() -> None:
    """Run the command line and exit: 0 done, 1 the simulation failed, 2 the input is at fault.

    Ctrl-C gives exit code 130. A command whose reader has closed the pipe ends by SIGPIPE.
    """
    spell_what_cannot_be_shown()
    written.clear()
    try:
        try:
            _run()
        finally:
            flush()
    except (BrokenPipeError, _ReaderLeft):
        end_without_a_reader()
    except OSError as fault:  # of the flush; commands report faults of files themselves
        with suppress(OSError):
            complain(f"the output cannot be written: {fault.strerror}")
        drop_the_rest()
        sys.exit(1)


def _run() -> None:
    """Run the command line.

    Raises
    ------
    SystemExit
        The command has ended with an exit code other than 0.
    _ReaderLeft
        The reader of the output has closed the pipe.
    """
    from cluster_sim.errors import OutputError, ScenarioError, SummaryError

    warnings.showwarning = _show_warning
    is_debugged = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=as_spelt_today(arguments), prog_name="cluster-sim")
    except ScenarioError as error:
        if is_debugged:
            raise
        complain(error)
        sys.exit(1 if isinstance(error, OutputError) else 2)
    except SummaryError as error:
        if is_debugged:
            raise
        complain(f"{error} (--debug shows where)")
        sys.exit(1)
    except _ReaderLeft:
        raise
    except (_Interrupted, KeyboardInterrupt) as interrupt:
        kept = "; ".join(map(str, interrupt.args)) or kept_so_far()
        complain(f"interrupted: {kept}")
        sys.exit(130)
    except Exception as error:  # users see no traceback unless they give --debug
        if is_debugged:
            raise
        complain(_failure(error))
        sys.exit(1)


def _failure(error: Exception) -> str:
    """Return the message of an error that the input has not caused."""
    if isinstance(error, OSError) and error.filename is None and error.errno == errno.ENOSPC:
        return f"the output cannot be written: {error.strerror}"
    return f"the simulation failed: {type(error).__name__}: {error} (--debug shows where)"


if __name__ == "__main__":
    main()
