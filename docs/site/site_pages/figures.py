"""Reference of the figures: what each shows, what it needs, and a picture."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.figures.purposes import PURPOSES, RUN_FOLDERS
from site_pages.page import Page, code, prose
from site_pages.pictures import pictures


def pages() -> list[Page]:
    """Return the page of all figures."""
    return [Page("reference/figures.md", "Figures", "\n\n".join(_lines()), ("Reference",))]


def _lines() -> Iterator[str]:
    yield "# Figures"
    yield (
        "`cluster-sim plot NAME PATH` draws one figure. PATH is what the figure needs."
        " `--style paper` draws it for a column of a paper."
    )
    for name, purpose in PURPOSES.items():
        yield f"## {code(name)} {{ #{name} }}"
        yield f"{prose(purpose.sentence)}. It needs: {prose(purpose.reads)}."
        path = "runs/NAME" if purpose.reads == RUN_FOLDERS else "PATH"
        yield f"```\ncluster-sim plot {name} {path}\n```"
        for picture in pictures():
            if picture.figure == name:
                about = f"[{code(picture.scenario)}](../gallery/{picture.scenario}.md)"
                yield f"![{prose(purpose.sentence)}](../plots/{picture.path.name})"
                if picture.scenario:
                    yield f"The picture shows the scenario {about}."
                break
