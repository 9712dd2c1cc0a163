"""Scenarios that ship with the package: the question of each, and the text of a copy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cluster_sim.schema import example_names, example_path, examples_folder, read_text

_STUDIES = ("claims", "sweep", "capacity", "plan")
"""Sections of a file, each of which the command of the same name answers."""
_REFERENCE = re.compile(r"(?<=scenario: )(\w+)\.yaml\b")
"""Scenario in the same folder that a file of claims names."""
_TRACE = re.compile(r"(?m)^  trace: .*\bpath:")
"""Trace of a file, which is not shipped."""

_ANSWER = re.compile(r"\A# .*\n#\n# Answer: (.*)")
"""Answer in the head of a file, after the question and an empty line."""


@dataclass(frozen=True)
class Example:
    """One scenario that ships with the package."""

    name: str
    """Name of the scenario, as in `example:NAME`."""
    question: str
    """Question that the scenario answers."""
    answer: str
    """Answer in one sentence, with its main figures."""
    command: str
    """Command that answers it: run, sweep, capacity or claims."""


def examples() -> list[Example]:
    """Return the scenarios that ship with the package, sorted by command and name."""
    order = ("run", *_STUDIES[1:], _STUDIES[0])
    return sorted(map(_example, example_names()), key=lambda example: order.index(example.command))


def example_command(text: str) -> str:
    r"""Return the command that answers the question of a scenario file, from the file's text.

    Examples
    --------
    >>> example_command("name: a\nsweep:\n  axes: {}"), example_command("name: a")
    ('sweep', 'run')
    """
    return next((key for key in _STUDIES if re.search(rf"(?m)^{key}:", text)), "run")


def text_of_copy(name: str, file: str) -> str:
    """Return the text of a copy of a scenario that ships with the package.

    Parameters
    ----------
    name
        Name of the scenario.
    file
        Path of the copy, which the commands in its comments name.

    Returns
    -------
    str
        Text of the scenario. Other scenarios in it are named as `example:NAME`, so that the copy
        works in any folder.

    Raises
    ------
    ScenarioError
        There is no such scenario.
    """
    path = example_path(name)
    text = read_text(path).replace(f"scenarios/{path.name}", file)
    return _REFERENCE.sub(r"example:\1", text)


def _example(name: str) -> Example:
    text = read_text(examples_folder() / f"{name}.yaml")
    question = text.partition("\n")[0].lstrip("# ").rstrip()
    if _TRACE.search(text):
        question += " (The trace is a file of your own; the comments say which.)"
    answer = _ANSWER.search(text)
    return Example(name, question, answer[1] if answer else "", example_command(text))
