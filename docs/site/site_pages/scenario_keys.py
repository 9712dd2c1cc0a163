"""Reference of scenario files: one page per section, and one per kind of entry in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from site_pages.key_text import facts
from site_pages.page import Page, code, prose, table
from site_pages.schema_tree import Key, Table, tables

FOLDER: Final = "reference/scenario"
"""Folder of the pages within the site."""
SECTION: Final = ("Reference", "Scenario keys")
_HEADINGS: Final = ("key", "meaning")


def pages() -> list[Page]:
    """Return the pages of all keys of scenario files."""
    by_page: dict[str, list[Table]] = {}
    for each in tables():
        by_page.setdefault(each.page, []).append(each)
    return [_page(name, group) for name, group in by_page.items()]


def _page(name: str, group: Sequence[Table]) -> Page:
    """Return the page of one section or of one kind of entry."""
    if not group[0].path:
        text = f"# Scenario\n\n{_body(group[0], name)}"
        return Page(f"{FOLDER}/{name}.md", "Scenario", text, SECTION)
    first = [each for each in group if each.path == name]
    anchor = f" {{ #{first[0].anchor} }}" if len(first) == 1 else ""
    used = sorted({path for each in first for path in each.used_at})
    lines = [f"# {code(name)}{anchor}"]
    if used != [name]:
        lines.append(f"A scenario file may have it at {', '.join(map(code, used))}.")
    for each in sorted(group, key=lambda each: each.path.replace("[]", "").split(".")):
        if not (anchor and each is first[0]):
            tag = f", {code(each.tag)}" if each.tag else ""
            lines.append(f"## {code(each.path)}{tag} {{ #{each.anchor} }}")
        lines.append(_body(each, name))
    return Page(f"{FOLDER}/{name}.md", name, "\n\n".join(lines), SECTION)


def _body(described: Table, page: str) -> str:
    """Return the description of a mapping, and the table of its keys."""
    rows = [_row(described, key, page) for key in described.keys]
    return f"{prose(described.text)}\n\n{table(_HEADINGS, rows)}"


def _row(described: Table, key: Key, page: str) -> list[str]:
    anchor = ".".join(part for part in (described.anchor, key.name) if part)
    name = f"{code(key.name)}{{ #{anchor}.key }}"
    text = prose(meaning_of(key, described))
    about = f"<small>{facts(key.node, is_required=key.is_required)}</small>"
    return [name, "<br>".join(part for part in (text, about, _links(key, page)) if part)]


def meaning_of(key: Key, described: Table) -> str:
    """Return the description of a key; for a key that selects a kind, that of the kind."""
    if text := str(key.node.get("description", "")):
        return text
    kind = described.text.split("\n\n")[0].split(". ")[0].strip().rstrip(".")
    return f"Selects this kind: {kind}." if "const" in key.node else ""


def _links(key: Key, page: str) -> str:
    """Return links to the tables of the mappings that a value may be."""
    links = []
    for each in key.mappings:
        file = "" if each.page == page else f"{each.page}.md"
        label = code(each.tag.partition(": ")[2] or each.path)
        links.append(f"[{label}]({file}#{each.anchor})")
    return f"see {', '.join(links)}" if links else ""
