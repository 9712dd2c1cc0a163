"""Documents that can be followed: short lines, links that lead somewhere, commands that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cluster_sim.cli.app import app
from cluster_sim.schema import catalog_kinds
from tests.words.texts import ROOT, markdown_files

DOCUMENTS = [path for path in markdown_files() if path.name != "CONTRIBUTING.md"]
GENERATED = (ROOT / "docs" / "reference", ROOT / "docs" / "gallery")
"""Folders of pages that the build of the site generates; it checks links to them itself."""
of_each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


@of_each_document
def test_no_line_is_longer_than_160_characters(path: Path) -> None:
    long = [n for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 160]
    assert long == []


def test_the_readme_has_at_most_150_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@of_each_document
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if link.startswith("http"):
            continue
        name, _, heading = link.partition("#")
        file = (path.parent / name).resolve() if name else path
        if any(folder in file.parents for folder in GENERATED):
            continue
        assert file.exists(), link
        if heading:
            assert heading in _anchors(file), link


@of_each_document
def test_scenarios_and_examples_that_are_named_exist(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r"scenarios/(\w+)\.yaml|example:(\w+)", text):
        assert (ROOT / "scenarios" / f"{''.join(name)}.yaml").exists(), name


@pytest.mark.slow
@of_each_document
def test_commands_and_options_that_are_shown_exist(path: Path) -> None:
    for line in _commands(path.read_text()):
        _check(line)


def _anchors(file: Path) -> set[str]:
    """Return the anchors of a file's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def _commands(text: str) -> Iterator[str]:
    """Yield the command lines in code blocks and code spans."""
    text = text.replace("\\\n", " ")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            yield from (
                part for part in line.split("&&") if part.strip().startswith("cluster-sim ")
            )
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`(cluster-sim [^`]+)`", prose)


def _check(line: str) -> None:
    """Fail unless the command, its subcommands and its options exist."""
    words = shlex.split(line.replace("…", ""), comments=True)[1:]
    command: Any = typer.main.get_command(app)  # Typer brings a Click of its own
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:  # `workload FILE` is `workload show FILE`
            assert command.name in ("workload", "calibrate"), line
            return
        command, words = found, words[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    for word in words:
        if word.startswith("-") and not word.lstrip("-").isdigit():
            assert word.partition("=")[0] in {*options, "--help"}, line


def test_catalog_names_in_the_readmes_commands_exist() -> None:
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"--(?:model|node) ([\w.\-]+)|cluster-sim catalog ([\w.\-]+)", text)
    assert named
    assert {"".join(name) for name in named} <= catalog_kinds().keys()
