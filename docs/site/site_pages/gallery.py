"""Gallery: each scenario that ships with the package, with its question and its pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from cluster_sim.loading.examples import Example, examples
from cluster_sim.schema import example_path
from site_pages.page import ROOT, Page, code, prose
from site_pages.pictures import Picture, pictures

_TITLES: Final = {
    "run": "One run for each variant",
    "sweep": "Sweeps",
    "capacity": "Searches for a capacity",
    "plan": "Searches for a deployment",
    "claims": "Claims",
}
"""Headings of the scenarios by the command that answers them."""


def pages() -> list[Page]:
    """Return the page of all scenarios, and a page with the file of each."""
    shipped = examples()
    whole = Page("gallery.md", "Gallery", "\n\n".join(_gallery(shipped)), ())
    return [whole, *map(_page, shipped)]


def _gallery(shipped: list[Example]) -> Iterator[str]:
    yield "# Gallery"
    yield (
        "Each scenario asks one question. Its name leads to its file."
        " `cluster-sim examples NAME` copies it."
    )
    heading = ""
    for example in shipped:
        if heading != (heading := _TITLES[example.command]):
            yield f"## {heading}"
        yield f"### [{code(example.name)}](gallery/{example.name}.md) {{ #{example.name} }}"
        yield prose(example.question)
        yield f"**Answer:** {prose(example.answer)}"
        for picture in _of(example)[:1]:
            yield _shown(picture, "plots")
        yield f"```\n{_command(example)}\n```"


def _page(example: Example) -> Page:
    """Return the page with the file of one scenario."""
    text = example_path(example.name).read_text(encoding="utf-8")
    lines = [f"# {code(example.name)}", "[Gallery](../gallery.md)", prose(example.question)]
    lines += [f"**Answer:** {prose(example.answer)}"]
    lines += [part for part in _head(text)[2:] if part]
    lines += [f"```\n{_command(example)}\n```"]
    lines += [_shown(picture, "../plots") for picture in _of(example)]
    lines += ["## The file", f"```yaml\n{text.rstrip()}\n```"]
    lines += [f"[Download](../scenarios/{example.name}.yaml)"]
    return Page(f"gallery/{example.name}.md", example.name, "\n\n".join(lines))


def _command(example: Example) -> str:
    return f"cluster-sim {example.command} example:{example.name}"


def _of(example: Example) -> list[Picture]:
    return [picture for picture in pictures() if picture.scenario == example.name]


def _shown(picture: Picture, folder: str) -> str:
    """Return a picture in Markdown, with the name of its figure as its text."""
    text = picture.figure or picture.path.stem
    path = picture.path.relative_to(ROOT / "plots").as_posix()
    return f"![{prose(text.replace('_', ' '))}]({folder}/{path})"


def _head(text: str) -> list[str]:
    """Return the paragraphs of the comment at the head of a file; tables in it keep their form."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    plain = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
    return [_paragraph(part) for part in plain.split("\n\n")]


def _paragraph(text: str) -> str:
    """Return one paragraph of a comment: a list, a table, or prose."""
    if text.startswith("- "):
        return "\n".join(f"- {_linked(prose(item))}" for item in f"\n{text}".split("\n- ")[1:])
    is_table = any(line.startswith("  ") for line in text.split("\n"))
    return f"```text\n{text}\n```" if is_table else _linked(prose(text))


def _linked(text: str) -> str:
    """Return a paragraph in which names of documents are links to their pages."""
    return re.sub(r"docs/[\w\\]+\.md", _link, text)


def _link(name: re.Match[str]) -> str:
    page = name[0].replace("\\", "").removeprefix("docs/")
    return f"[{page.removesuffix('.md').replace('_', ' ')}](../{page})"
