"""Reference of a run folder: the columns of its tables, and the names of its summary."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from cluster_sim.results import attempt_columns, columns
from cluster_sim.results.metrics import families
from cluster_sim.results.metrics.metric import Metric, Scope
from cluster_sim.results.metrics.table import FAMILIES
from cluster_sim.results.table_files import DESCRIBED
from site_pages.page import Page, code, docstrings_below, prose, table

FOLDER: Final = "reference/run_folder"
"""Folder of the pages within the site."""
SECTION: Final = ("Reference", "Run folder")
KINDS: Final = {"numbers": "", "texts": "text", "truths": "true or false"}
"""Kinds of values of a column in words; empty for numbers."""


def pages() -> list[Page]:
    """Return the pages of the tables and of the summary."""
    return [
        Page(f"{FOLDER}/tables.md", "Tables", "\n\n".join(_tables()), SECTION),
        Page(f"{FOLDER}/summary.md", "Summary", "\n\n".join(_summary()), SECTION),
    ]


def _tables() -> Iterator[str]:
    """Yield the paragraphs about the tables."""
    texts: dict[str, str] = {}
    for module in (columns, attempt_columns):
        texts |= docstrings_below(Path(str(module.__file__)))
    yield "# Tables of a run folder"
    yield "Each table is one Parquet file. A column without a unit is a count, a share or a text."
    for name, described in DESCRIBED.items():
        yield f"## {code(name)} {{ #{name} }}"
        yield from (prose(part) for part in texts.get(name.upper(), "").split("\n\n"))
        rows = [
            [
                f"{code(each.name)}{{ #{name}.{each.name} }}",
                with_unit(prose(each.meaning), each.unit, KINDS[each.holds]),
            ]
            for each in described
        ]
        yield table(("column", "meaning"), rows)
    yield "## Kinds of events { #event_kinds }"
    yield prose(texts["EVENT_KINDS"])
    kinds = columns.EVENT_KINDS.items()
    yield table(("kind", "meaning"), [[code(kind), prose(text)] for kind, text in kinds])


def _summary() -> Iterator[str]:
    """Yield the paragraphs about the names of the summary."""
    yield "# Names of the summary"
    yield (
        "`summary.json` has these names for the whole run. Its parts `pools` and `classes` have them"
        " for each pool and each class of traffic, unless the table says otherwise."
    )
    titles = _titles()
    for family in FAMILIES:
        yield f"## {prose(titles[family])}"
        rows = [[f"{code(each.name)}{{ #{each.name} }}", _meaning(each)] for each in family]
        yield table(("name", "meaning"), rows)


def _titles() -> dict[tuple[Metric, ...], str]:
    """Return the title of each family of metrics: the first sentence of its module."""
    modules = [
        import_module(f"{families.__name__}.{found.name}")
        for found in pkgutil.iter_modules(families.__path__)
    ]
    return {
        module.METRICS: (module.__doc__ or "").strip().split("\n")[0].rstrip(".")
        for module in modules
        if hasattr(module, "METRICS")
    }


def _meaning(metric: Metric) -> str:
    """Return the sentence of a metric, with the parts of a run for which it exists."""
    scopes = {Scope.RUN: "the run", Scope.POOL: "pools", Scope.CLASS: "classes"}
    kinds = [word for scope, word in scopes.items() if scope in metric.scope]
    only = "" if len(kinds) == len(scopes) else f"for {' and '.join(kinds)} only"
    return with_unit(prose(metric.description), metric.unit, only)


def with_unit(text: str, unit: str, more: str) -> str:
    """Return a sentence with the unit of its value, and more about the value, on a second line.

    Parameters
    ----------
    text
        Sentence in Markdown.
    unit
        Unit of the value; empty for none.
    more
        Words about the value; empty for none.
    """
    about = " · ".join(part for part in (f"unit {prose(unit)}" if unit else "", more) if part)
    return f"{text}<br><small>{about}</small>" if about else text
