"""Reference of the catalog: one page per kind, and one per entry with its figures and sources."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from cluster_sim.schema import (
    KINDS,
    catalog_data,
    catalog_figures,
    catalog_names,
    catalog_sources,
)
from cluster_sim.schema.sourced_figures import Figure
from site_pages.page import Page, code, prose, table

FOLDER: Final = "reference/catalog"
"""Folder of the pages within the site."""
SECTION: Final = ("Reference", "Catalog")
_ABOUT: Final = (
    "The second column counts the figures of an entry by their confidence; the third one counts"
    " those that rest on an estimate."
)
_WHOLE: Final = """\
The catalog holds what is known about models, machines, engines and prices. Each figure has a
source, and most have a confidence:

- **high**: published by the maker, or measured by several people.
- **medium**: measured or reported once, or derived from published figures.
- **low**: an estimate, or a figure that others contradict.

A figure whose source is `est` is an estimate, whatever its confidence. `cluster-sim catalog NAME`
shows the figures of one entry, and the last line of a run names the figures of low confidence that
its result rests on. `cluster-sim sensitivity FILE` shows which of them change the result, and
`--metric usd_per_million_output_tokens` which change the cost."""
_LEVELS: Final = ("high", "medium", "low")


def pages() -> list[Page]:
    """Return the pages of all kinds and entries."""
    return [_whole(), *(page for kind in KINDS for page in _pages_of(kind))]


def _whole() -> Page:
    """Return the page of all kinds, which says how figures are marked."""
    rows = []
    for kind in KINDS:
        figures = [each for name in catalog_names(kind) for each in catalog_figures(kind, name)]
        title = kind.replace("_", " ")
        rows.append(
            [
                f"[{title}](catalog/{kind}.md)",
                str(len(catalog_names(kind))),
                str(len(figures)),
                str(sum(each.is_estimate for each in figures)),
                str(sum(each.confidence == "low" for each in figures)),
            ]
        )
    headings = ("kind", "entries", "figures", "estimates", "low confidence")
    return Page(
        f"{FOLDER}.md", "All kinds", f"# Catalog\n\n{_WHOLE}\n\n{table(headings, rows)}", SECTION
    )


def _pages_of(kind: str) -> list[Page]:
    names = catalog_names(kind)
    entries = [_entry(kind, name) for name in names]
    headings = ("entry", "high, medium, low", "est.")
    rows = [_row(kind, name) for name in names]
    title = kind.replace("_", " ").capitalize()
    text = f"# Catalog: {kind.replace('_', ' ')}\n\n{_ABOUT}\n\n{table(headings, rows)}"
    return [Page(f"{FOLDER}/{kind}.md", title, text, SECTION), *entries]


def _row(kind: str, name: str) -> list[str]:
    """Return the row of an entry: its name, and how sure its figures are."""
    figures = catalog_figures(kind, name)
    counts = [sum(each.confidence == level for each in figures) for level in _LEVELS]
    estimates = sum(each.is_estimate for each in figures)
    title = _title(kind, name)
    about = f"<br>{prose(title)}" if title != name else ""
    link = f"[{code(name)}]({kind}/{name}.md){about}"
    return [link, ", ".join(map(str, counts)), str(estimates)]


def _title(kind: str, name: str) -> str:
    data = catalog_data(kind, name)
    return str(data.get("name", name)) if isinstance(data, dict) else name


def _entry(kind: str, name: str) -> Page:
    """Return the page of an entry: its figures and the citations of its sources."""
    figures = list(catalog_figures(kind, name))
    sources = catalog_sources()
    cited = sorted({key for figure in figures for key in figure.sources})
    lines = [f"# {code(name)}"]
    if _title(kind, name) != name:
        lines.append(prose(_title(kind, name)))
    lines.append(f"[Catalog](../../catalog.md) / [{kind.replace('_', ' ')}](../{kind}.md)")
    lines.append(_figures(figures))
    if cited:
        lines.append("## Sources")
        citations = [f"- {code(key)}: {prose(sources.get(key, 'unknown'))}" for key in cited]
        lines.append("\n".join(citations))
    return Page(f"{FOLDER}/{kind}/{name}.md", name, "\n\n".join(lines))


def _figures(figures: Sequence[Figure]) -> str:
    """Return the table of figures.

    It is HTML and not Markdown, which would take a minute for the 12,000 figures of the catalog.
    Search leaves it out, since the names of the figures are the same in every entry.
    """
    rows = "".join(_html_row(figure) for figure in figures)
    head = "<tr><th>figure</th><th>value, confidence and source</th></tr>"
    return (
        f"<table data-search-exclude><thead>{head}</thead>\n<tbody>\n{rows}</tbody></table>"
        if figures
        else ""
    )


def _html_row(figure: Figure) -> str:
    between = f" ({' to '.join(map(escape, figure.range))})" if figure.range else ""
    about = " · ".join(escape(part) for part in (figure.confidence, figure.source) if part)
    note = f"<br>{escape(figure.note)}" if figure.note else ""
    return (
        f"<tr><td><code>{escape(figure.path)}</code></td>"
        f"<td>{escape(figure.value)}{between}<br><small>{about}{note}</small></td></tr>\n"
    )
