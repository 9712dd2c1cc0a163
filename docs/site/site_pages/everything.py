"""All generated pages, and their places in the navigation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from site_pages import (
    catalog,
    commands,
    figures,
    gallery,
    python_api,
    run_folder,
    scenario_keys,
    study_tables,
)
from site_pages.page import Page


def pages() -> list[Page]:
    """Return all generated pages, in the order of the navigation."""
    rooms = (
        scenario_keys,
        commands,
        run_folder,
        study_tables,
        figures,
        catalog,
        python_api,
        gallery,
    )
    return [page for room in rooms for page in room.pages()]


def with_pages(nav: list[Any], generated: Sequence[Page]) -> list[Any]:
    """Return a navigation to which pages are added at the end of their sections.

    Parameters
    ----------
    nav
        Navigation as `mkdocs.yml` has it: mappings from a title to a path or to a list.
    generated
        Pages to add. A section that the navigation lacks is added at its end.

    Examples
    --------
    >>> with_pages([{"Home": "index.md"}], [Page("a/b.md", "B", "", ("A",))])
    [{'Home': 'index.md'}, {'A': [{'B': 'a/b.md'}]}]
    """
    nav = [*nav]
    for page in generated:
        if page.section:
            _add(nav, page.section, page)
    return nav


def _add(entries: list[Any], section: Sequence[str], page: Page) -> None:
    """Add a page to a list of entries, below the sections that lead to it."""
    if not section or section == (page.title,):
        entries.append({page.title: page.uri})
        return
    for entry in entries:
        if section[0] in entry and isinstance(entry[section[0]], list):
            _add(entry[section[0]], section[1:], page)
            return
    inner: list[Any] = []
    entries.append({section[0]: inner})
    _add(inner, section[1:], page)
