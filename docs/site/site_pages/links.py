"""Links of the written pages to files outside of `docs/`, which the site needs as its own files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from site_pages.page import ROOT

DOCUMENTS: Final = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}  # fmt: skip
"""Pages of the site that are documents at the top of the repository, by their files there."""
_LINK: Final = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#\s])")
"""Target of a link in Markdown, without an anchor. Targets with a protocol are left out."""
_FENCE: Final = re.compile(r"(?ms)^```.*?^```$")


class Place(NamedTuple):
    """Location of a page in the repository and in the site."""

    source: str
    """Path of its Markdown file in the repository."""
    uri: str
    """Path of its Markdown file in the site."""


def place_of(uri: str) -> Place:
    """Return the location of a page.

    Parameters
    ----------
    uri
        Path of its Markdown file in the site.

    Examples
    --------
    >>> place_of("heat.md"), place_of("index.md").source
    (Place(source='docs/heat.md', uri='heat.md'), 'README.md')
    """
    names = {page: source for source, page in DOCUMENTS.items()}
    return Place(names.get(uri, f"docs/{uri}"), uri)


def uri_of(path: str) -> str:
    """Return the path in the site of a file of the repository.

    Examples
    --------
    >>> uri_of("docs/heat.md"), uri_of("plots/burst_ttft.png"), uri_of("README.md")
    ('heat.md', 'plots/burst_ttft.png', 'index.md')
    """
    return DOCUMENTS.get(path, path.removeprefix("docs/"))


def rewritten(text: str, place: Place) -> str:
    """Return a page with links that lead to the pages and files of the site.

    Parameters
    ----------
    text
        Page in Markdown.
    place
        Location of the page.

    Examples
    --------
    >>> rewritten("![x](../plots/a.png) [y](heat.md#fans)", Place("docs/room.md", "room.md"))
    '![x](plots/a.png) [y](heat.md#fans)'
    >>> rewritten("[y](docs/heat.md)", Place("README.md", "index.md"))
    '[y](heat.md)'
    """
    parts = _FENCE.split(text)
    blocks = [*_FENCE.findall(text), ""]
    return "".join(
        _LINK.sub(lambda link: _target(link[1], place), part) + block
        for part, block in zip(parts, blocks, strict=True)
    )


def _target(link: str, place: Place) -> str:
    """Return the target of a link from the page as it is in the site."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(place.source), link))
    return posixpath.relpath(uri_of(path), posixpath.dirname(place.uri) or ".")


def files() -> Iterator[tuple[str, Path]]:
    """Yield the files outside of `docs/` that pages show or offer, each with its path in the site."""
    for pattern in ("plots/**/*.png", "scenarios/*.yaml"):
        for path in sorted(ROOT.glob(pattern)):
            yield path.relative_to(ROOT).as_posix(), path
    for path in sorted((Path(__file__).parents[1] / "assets").iterdir()):
        yield f"assets/{path.name}", path


def documents() -> Iterator[tuple[str, str]]:
    """Yield the pages from the top of the repository: path in the site, and text."""
    for source, uri in DOCUMENTS.items():
        yield uri, (ROOT / source).read_text(encoding="utf-8")


def written() -> dict[str, str]:
    """Return the written pages by their paths in the site, with links of the site."""
    docs = ROOT / "docs"
    paths = {path.relative_to(docs).as_posix(): path for path in sorted(docs.rglob("*.md"))}
    texts = {uri: path.read_text(encoding="utf-8") for uri, path in paths.items()}
    texts |= dict(documents())
    return {uri: rewritten(text, place_of(uri)) for uri, text in texts.items()}
