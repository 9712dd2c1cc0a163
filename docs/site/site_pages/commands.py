"""Reference of the command line: one page per command, with its subcommands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import typer.main

from cluster_sim.cli.app import COMMANDS, app
from site_pages.page import Page, code, prose, table

FOLDER: Final = "reference/commands"
"""Folder of the pages within the site."""
SECTION: Final = ("Reference", "Commands")
_Command = Any
"""Command of Typer, which has its classes from click or from its own copy of click."""


def pages() -> list[Page]:
    """Return the pages of all commands."""
    whole: _Command = typer.main.get_command(app)
    return [
        Page(
            f"{FOLDER}/{name}.md",
            name,
            "\n\n".join(_lines(whole.commands[name], f"cluster-sim {name}", 1)),
            SECTION,
        )
        for name in COMMANDS
    ]


def paths() -> list[str]:
    """Return all commands and subcommands, such as `workload fit`."""
    whole: _Command = typer.main.get_command(app)
    return [
        path.removeprefix("cluster-sim ")
        for name in COMMANDS
        for path in _paths(whole.commands[name], f"cluster-sim {name}")
    ]


def _paths(command: _Command, path: str) -> Iterator[str]:
    yield path
    for name, part in getattr(command, "commands", {}).items():
        yield from _paths(part, f"{path} {name}")


def _lines(command: _Command, path: str, level: int) -> Iterator[str]:
    """Yield the paragraphs about a command and its subcommands."""
    yield f"{'#' * level} {code(path)}"
    yield from (prose(paragraph) for paragraph in (command.help or "").split("\n\n"))
    parts = getattr(command, "commands", {})
    if not parts:
        arguments = [each for each in command.params if not each.opts[0].startswith("-")]
        options = [each for each in command.params if each.opts[0].startswith("-")]
        words = [path, *map(_in_usage, arguments), *(["[OPTIONS]"] if options else [])]
        yield f"```\n{' '.join(words)}\n```"
        if rows := [_row(each, each.metavar or each.name.upper()) for each in arguments]:
            yield table(("argument", "meaning"), rows)
        if rows := [_row(each, _spelt(each)) for each in options]:
            yield table(("option", "meaning"), rows)
    for name, part in parts.items():
        yield from _lines(part, f"{path} {name}", level + 1)


def _in_usage(argument: _Command) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _spelt(option: _Command) -> str:
    """Return an option as a command line has it, with the name of its value."""
    names = ", ".join((*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" {option.metavar or option.name.rstrip('_').upper()}"
    return f"{names}{value}"


def _row(parameter: _Command, spelt: str) -> list[str]:
    """Return the row of an argument or of an option: its spelling and its meaning."""
    default = parameter.default
    is_told = parameter.show_default and default not in (None, False, ())
    about = [f"default {code(str(default))}"] if is_told else []
    if parameter.required:
        about.append("**required**")
    return [code(spelt), "<br>".join((prose(parameter.help or ""), *about))]
