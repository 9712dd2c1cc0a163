"""Print what is retired or badly begun: `python tests/words/check.py PATH…`, or `schema` for a PATH."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.words import schema
from tests.words.retired import bad_start, retired_in
from tests.words.texts import comments, docstrings, paragraphs, strings


def faults(path: Path) -> Iterator[str]:
    """Yield a line for each fault of a Python, YAML or Markdown file."""
    if path.suffix == ".py":
        described = list(docstrings(path))
        for text in described:
            if word := bad_start(text.words):
                yield f"{text.place}: begins with '{word}': {text.words.splitlines()[0]}"
        texts = [*described, *strings(path), *comments(path)]
    elif path.suffix == ".yaml":
        texts = list(comments(path))
    else:
        texts = list(paragraphs(path))
    for text in texts:
        for fault in retired_in(text.words):
            yield f"{text.place}: {fault}: {' '.join(text.words.split())[:110]}"


def files(path: Path) -> list[Path]:
    """Return a file, or the Python, YAML and Markdown files of a folder."""
    kinds = (".py", ".yaml", ".md")
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in kinds)


if __name__ == "__main__":
    lines = schema.faults() if "schema" in sys.argv[1:] else []
    paths = [Path(name).resolve() for name in sys.argv[1:] if name != "schema"]
    lines += [line for path in paths for file in files(path) for line in faults(file)]
    sys.stdout.write("\n".join([*lines, f"{len(lines)} faults\n"]))
