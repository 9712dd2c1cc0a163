"""A generated page, and the pieces of Markdown that pages are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[3]
"""Folder of the repository."""


class Page(NamedTuple):
    """A page that the build writes."""

    uri: str
    """Path of its Markdown file within the site, such as `reference/figures.md`."""
    title: str
    """Title in the navigation."""
    text: str
    """Content in Markdown, which begins with a heading of the first level."""
    section: tuple[str, ...] = ()
    """Sections of the navigation that hold the page; empty for a page that another page links to."""


def prose(text: str) -> str:
    r"""Return plain text as Markdown: signs outside of code spans are escaped.

    Examples
    --------
    >>> prose("Factor *x* of `a_b` [1/s].")
    'Factor \\*x\\* of `a_b` \\[1/s\\].'
    """
    spans = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(
        span if span.startswith("`") and len(span) > 1 else _escaped(span) for span in spans
    )


def _escaped(text: str) -> str:
    text = re.sub(r"([\\*_\[\]`])", r"\\\1", text)
    for sign, spelt in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;")):
        text = text.replace(sign, spelt)
    return text


def cell(text: str) -> str:
    """Return Markdown as a cell of a table, which is one line."""
    return text.replace("\n", " ")


def code(text: str) -> str:
    """Return text as a code span; nothing for no text.

    Examples
    --------
    >>> code("rate"), code("")
    ('`rate`', '')
    """
    return f"`{text}`" if text else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown.

    Parameters
    ----------
    headings
        Titles of the columns.
    rows
        Cells of each row, in Markdown.

    Examples
    --------
    >>> print(table(["key", "meaning"], [["`seed`", "Seed."]]), end="")
    | key | meaning |
    |---|---|
    | `seed` | Seed. |
    """
    lines = [
        list(headings),
        ["---"] * len(headings),
        *([cell(each) for each in row] for row in rows),
    ]
    marks = ["| " + " | ".join(line) + " |" for line in lines]
    marks[1] = "|" + "---|" * len(headings)
    return "\n".join(marks) + "\n"


def docstrings_below(path: Path) -> dict[str, str]:
    """Return the docstring below each constant of a module, by the name of the constant.

    Parameters
    ----------
    path
        File of the module.
    """
    import ast

    texts: dict[str, str] = {}
    name = ""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                texts[name] = text
                name = ""
            case _:
                name = ""
    return texts
