"""Texts of the package and of its documents, each with the place where it is written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Text(NamedTuple):
    """Some words that somebody reads."""

    place: str
    """File and line, or path in the JSON Schema."""
    words: str
    """Words."""


def docstrings(path: Path) -> Iterator[Text]:
    """Yield the docstrings of a module: of itself, of classes and functions, and below fields."""
    for node in _syntax(path).docstrings:
        yield Text(_place(path, node.lineno), node.value.strip())


def strings(path: Path) -> Iterator[Text]:
    """Yield the texts in the code of a module: messages, labels, help. Identifiers are left out."""
    syntax = _syntax(path)
    passed = {id(node) for node in syntax.docstrings}
    for node in syntax.texts:
        if isinstance(node, ast.JoinedStr):
            passed.update(id(part) for part in node.values)
            words = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node.value, str) and id(node) not in passed:
            words = node.value
        else:
            continue
        if " " in words.strip():
            yield Text(_place(path, node.lineno), words)


def comments(path: Path) -> Iterator[Text]:
    """Yield the comments of a Python or YAML file; lines that follow each other are one text."""
    block: list[str] = []
    first = 0
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate([*lines, ""], start=1):
        found = re.search(r"(?:^|\s)#(?!:)\s?(.*)$", line)
        if found and "'" not in line[: found.start()] and '"' not in line[: found.start()]:
            first = first if block else number
            block.append(found.group(1))
        elif block:
            yield Text(_place(path, first), " ".join(block))
            block = []


def paragraphs(path: Path) -> Iterator[Text]:
    """Yield the paragraphs of a Markdown file, code blocks left out."""
    text = re.sub(
        r"^```.*?^```", lambda code: "\n" * code.group(0).count("\n"), path.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )  # fmt: skip
    number = 1
    for block in text.split("\n\n"):
        if block.strip():
            yield Text(_place(path, number), block.strip())
        number += block.count("\n") + 2


def markdown_files() -> list[Path]:
    """Return the project's Markdown files. The changelog's released sections are history."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


class _Syntax(NamedTuple):
    """The nodes of a module that are texts, in the order of `ast.walk`."""

    docstrings: list[ast.Constant]
    """Texts that are statements: docstrings of the module, of classes, functions and fields."""
    texts: list[ast.Constant | ast.JoinedStr]
    """Constants and f-strings of the whole module, with the docstrings."""


@lru_cache(maxsize=4)
def _syntax(path: Path) -> _Syntax:
    """Return the texts of a module, kept for the next question about it."""
    syntax = _Syntax([], [])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            syntax.texts.append(node)
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as words):
                    syntax.docstrings.append(words)
    return syntax


def _place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"
