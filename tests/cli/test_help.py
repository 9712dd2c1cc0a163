"""Help of every command: imperative, short, and complete about repetition and units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from cluster_sim.cli.app import app
from tests.words.retired import retired_in

_LONGEST = 70
_VERBS = (
    "Add", "Ask", "Check", "Choose", "Compare", "Continue", "Copy", "Describe", "Draw", "End", "Find",
    "Fit", "Judge", "Keep", "Limit", "List", "Name", "Observe", "Omit", "Open", "Overwrite", "Print",
    "Propose", "Rank", "Read", "Replace", "Run", "Save", "Search", "Set", "Show", "Simulate", "Start",
    "Stop", "Store", "Take", "Use", "Vary", "Write",
)  # fmt: skip
"""Verbs with which help may begin; a new command may add one."""
_WITHOUT_UNIT = (
    "--seed", "--replications", "--most", "--samples", "--workers", "--processors", "--confidence",
    "--precision", "--spread", "--port", "--budget",
)  # fmt: skip
"""Options whose number is a count or a share."""
_UNITS = ("in tokens/s", "values per head", "in s", "in requests/s")


def _walk(command: Any, name: str = "cluster-sim") -> Iterator[tuple[str, Any]]:
    """Yield the command line and its commands with their names."""
    yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, f"{name} {part}")


COMMANDS = dict(_walk(typer.main.get_command(app)))
OPTIONS = {
    f"{name} {option.opts[-1]}": option
    for name, command in COMMANDS.items()
    for option in command.params
    if option.param_type_name == "option"
}
ARGUMENTS = {
    f"{name} {argument.name}": argument
    for name, command in COMMANDS.items()
    for argument in command.params
    if argument.param_type_name == "argument"
}


def _faults(text: str | None) -> list[str]:
    """Return what is wrong with one line of help."""
    if not text:
        return ["is missing"]
    faults = retired_in(text)
    if len(text) > _LONGEST:
        faults.append(f"has {len(text)} characters")
    if not text.endswith("."):
        faults.append("does not end with a full stop")
    return faults


def _begins_with_a_verb(text: str) -> bool:
    return text.split(maxsplit=1)[0].rstrip(",") in _VERBS


def _is_number(option: Any) -> bool:
    """Return whether an option is a number; each has a minimum, here or in its type (older Typer)."""
    holder = option if hasattr(option, "min") else getattr(option, "type", None)
    return getattr(holder, "min", None) is not None


def test_the_walk_meets_groups_and_their_commands() -> None:
    assert {"cluster-sim", "cluster-sim run", "cluster-sim workload fit"} <= set(COMMANDS)
    assert "cluster-sim run --set" in OPTIONS
    assert "cluster-sim run file" in ARGUMENTS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_begins_with_an_imperative_of_at_most_70_characters(name: str) -> None:
    paragraphs = (COMMANDS[name].help or "").split("\n\n")
    assert not _faults(paragraphs[0])
    assert _begins_with_a_verb(paragraphs[0])
    for paragraph in paragraphs[1:]:
        assert not retired_in(paragraph)
        assert paragraph.strip().endswith((".", ":"))


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_an_imperative_of_at_most_70_characters(name: str) -> None:
    text = OPTIONS[name].help
    assert not _faults(text)
    assert _begins_with_a_verb(text)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_is_described_in_at_most_70_characters(name: str) -> None:
    assert not _faults(ARGUMENTS[name].help)


@pytest.mark.parametrize("name", OPTIONS)
def test_exactly_the_options_that_may_be_given_again_are_called_repeatable(name: str) -> None:
    option = OPTIONS[name]
    assert option.multiple == ("repeatable" in option.help)


@pytest.mark.parametrize("name", [name for name in OPTIONS if _is_number(OPTIONS[name])])
def test_a_number_is_a_count_or_a_share_or_its_help_names_the_unit(name: str) -> None:
    is_plain = name.rsplit(maxsplit=1)[1] in _WITHOUT_UNIT
    assert is_plain or any(unit in OPTIONS[name].help for unit in _UNITS)


def test_brackets_that_rich_would_swallow_as_markup_are_not_in_any_help() -> None:
    texts = [option.help for option in [*OPTIONS.values(), *ARGUMENTS.values()]]
    texts += [command.help for command in COMMANDS.values()]
    assert not [text for text in texts if "[" in text.replace("[0]", "")]
