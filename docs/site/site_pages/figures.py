"""Reference of the figures: what each shows, what it needs, and a picture."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.figures.purposes import PURPOSES, RUN_FOLDERS
from site_pages.drawn import drawn
from site_pages.drawn_studies import SCENARIO, drawn_studies
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
        for file, scenario in _picture_of(name):
            yield f"![{prose(purpose.sentence)}]({file})"
            yield f"The picture shows the scenario [{code(scenario)}](../gallery/{scenario}.md)."
        if name in drawn_studies():
            yield f"![{prose(purpose.sentence)}](figures/{name}.png)"
            yield f"The picture shows a study of this scenario:\n\n```yaml\n{SCENARIO}```"


def _picture_of(name: str) -> list[tuple[str, str]]:
    """Return the file of a figure's picture and its scenario; nothing if there is no picture."""
    kept = [each for each in pictures() if each.figure == name and each.scenario]
    made = [each for each in drawn() if each.figure == name]
    files = [(f"../plots/{each.path.name}", each.scenario) for each in kept]
    return [*files, *((f"figures/{each.figure}.png", each.scenario) for each in made)][:1]
