"""Reference of the tables that studies write: the columns of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cluster_sim.studies import columns
from site_pages.page import Page, code, docstrings_below, prose, table
from site_pages.run_folder import KINDS, with_unit

SECTION: Final = ("Reference", "Tables of studies")


def pages() -> list[Page]:
    """Return the page of all tables of studies."""
    text = "\n\n".join(_lines())
    return [Page("reference/study_tables.md", "Tables of studies", text, SECTION)]


def _lines() -> Iterator[str]:
    texts = docstrings_below(Path(columns.__file__))
    yield "# Tables of studies"
    yield (
        f"Names in capitals stand for several columns. {code(columns.AXIS)} stands for the keys"
        f" that vary; {code(columns.OBJECTIVE)} stands for `ttft`, `tpot`, `itl` and `e2el`, or"
        " `CLASS.ttft` and so on where classes have objectives."
    )
    for name, described in columns.DESCRIBED.items():
        yield f"## {code(name)} {{ #{name} }}"
        yield prose(texts[name.upper()])
        rows = [
            [
                f"{code(each.name)}{{ #{name}.{each.name} }}",
                with_unit(prose(each.meaning), each.unit, KINDS[each.holds]),
            ]
            for each in described
        ]
        yield table(("column", "meaning"), rows)
    yield "Names of the summary are in [their own reference](run_folder/summary.md)."
