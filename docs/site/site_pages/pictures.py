"""Pictures of `plots/`: the figures that each shows, and the scenario behind it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from cluster_sim.figures.purposes import PURPOSES
from cluster_sim.schema import example_names
from site_pages.page import ROOT

GALLERY: Final = ROOT / "plots" / "gallery"
"""Folder of the pictures that have the names of their scenarios."""


class Picture(NamedTuple):
    """A picture of `plots/`."""

    path: Path
    figure: str
    """Name of the figure; empty if the picture is not drawn by a script beside it."""
    scenario: str
    """Name of the scenario; empty if there is no single one."""


@cache
def pictures() -> tuple[Picture, ...]:
    """Return all pictures, sorted by name.

    A script of `plots/` has the name of its scenario, and of its figures beside their files. Those
    of the gallery come last.
    """
    known: dict[str, Picture] = {}
    for script in sorted((ROOT / "plots").glob("*.py")):
        for picture in _drawn_by(script):
            known[picture.path.name] = picture
    for path in sorted((ROOT / "plots").glob("*.png")):
        if path.name not in known:
            known[path.name] = Picture(path, "", _longest_start(path.stem))
    of_gallery = [Picture(path, "", path.stem) for path in sorted(GALLERY.glob("*.png"))]
    return (*(known[name] for name in sorted(known)), *of_gallery)


def _drawn_by(script: Path) -> list[Picture]:
    """Return the pictures of a script."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    pairs = {
        value.value: key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
        and isinstance(value, ast.Constant)
        and key.value in PURPOSES
    }
    figures = [_first_text(node) for node in ast.walk(tree) if _is_drawing(node)]
    names = [text for text in texts if text.endswith(".png") and text != ".png"]
    names = names or [f"{text}.png" for text in texts]
    stems = [text.removesuffix(".yaml") for text in texts]
    scenarios = [stem for stem in dict.fromkeys(stems) if stem in example_names()]
    scenario = scenarios[0] if len(scenarios) == 1 else ""
    return [
        Picture(
            script.parent / name,
            str(pairs.get(name, "")) or next((each for each in figures if each), ""),
            scenario or _beside(script, name),
        )
        for name in dict.fromkeys(names)
        if (script.parent / name).is_file()
    ]


def _is_drawing(node: ast.AST) -> bool:
    """Return whether a node calls `figures.draw` or `figures.draw_study`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="draw" | "draw_study")):
            return True
    return False


def _first_text(node: ast.AST) -> str:
    """Return the text that is the first argument of a call; nothing if it is no text."""
    match node:
        case ast.Call(args=[ast.Constant(value=str(text)), *_]):
            return text
    return ""


def _beside(script: Path, name: str) -> str:
    """Return the scenario that a dictionary of a script has under the name of a picture."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        match node:
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    match key, value:
                        case ast.Constant(value=str(stem)), ast.Tuple(
                            elts=[ast.Constant(value=str(scenario)), *_]
                        ) if name == f"{stem}.png":
                            return scenario
    return ""


def _longest_start(stem: str) -> str:
    """Return the scenario with whose name the name of a picture begins."""
    return max((name for name in example_names() if stem.startswith(name)), key=len, default="")
