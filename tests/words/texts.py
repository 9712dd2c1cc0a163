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
    for node in _docstring_nodes(_parsed(path)):
        yield Text(_place(path, node.lineno), node.value.strip())


def strings(path: Path) -> Iterator[Text]:
    """Yield the texts in the code of a module: messages, labels, help. Identifiers are left out."""
    tree = _parsed(path)
    passed = {id(node) for node in _docstring_nodes(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            passed.update(id(part) for part in node.values)
            words = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in passed
        ):
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


@lru_cache(maxsize=4)
def _parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module, kept for the next question about it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def _docstring_nodes(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as words):
                    yield words
