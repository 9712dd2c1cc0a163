"""Text of figures: names are drawn as they are written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from cluster_sim.errors import visible


def draw_literally(figure: Figure, axes: Sequence[Axes] | None = None) -> Figure:
    """Let every text of a figure stand for itself; return the figure.

    A `$` begins no formula, and control characters, which would break SVG, are spelled by their
    number. Characters that the font lacks are looked for in the others of this machine. It is
    called when everything is drawn.

    Parameters
    ----------
    axes
        Those of the figure that were drawn on, where the others are somebody else's.
    """
    for panel in figure.axes if axes is None else axes:
        for axis in (panel.xaxis, panel.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FuncFormatter):  # as set_xticks makes of names, too
                axis.set_major_formatter(FuncFormatter(partial(_visible_tick, formatter.func)))
    for text in _texts(figure, axes):
        text.set_parse_math(False)
        text.set_text(visible(text.get_text()))
        if others := _other_families(text.get_text()):
            text.set_fontfamily([*text.get_fontfamily(), *others])
    return figure


@contextmanager
def all_letters(figure: Figure) -> Iterator[None]:
    """Write a figure so that letters which no font of this machine has can be seen elsewhere.

    In SVG its text is then text, for which the one who shows it finds a font. In other formats such
    letters are boxes.
    """
    lacking = _lacking("".join(text.get_text() for text in _texts(figure, None)))
    if not lacking or not lacking.difference(*map(_letters, _fonts())):
        yield
        return
    with rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _visible_tick(text_of: Callable[..., str], *tick: float) -> str:
    """Return the text at a tick, of which `text_of` makes a text of names or of numbers."""
    return visible(text_of(*tick))


def _other_families(text: str) -> list[str]:
    """Return families of this machine that have letters of a text which the usual font lacks."""
    lacking = _lacking(text)
    return (
        [family for path, family in _fonts().items() if lacking & _letters(path)] if lacking else []
    )


def _lacking(text: str) -> set[str]:
    """Return the letters of a text that the usual font lacks."""
    return set() if text.isascii() else set(text) - {"\n"} - _letters(findfont(FontProperties()))


@cache
def _fonts() -> dict[str, str]:
    """Return the families of this machine by the paths of their fonts, one font of each.

    Fonts of last resort, which show every letter as a box, are left out.
    """
    by_family = {
        font.name: font.fname
        for font in fontManager.ttflist
        if (font.style, font.weight) == ("normal", 400)
        and not font.name.startswith(("Last Resort", "LastResort", ".LastResort"))
    }
    return {by_family[family]: family for family in sorted(by_family)}


@cache
def _letters(path: str) -> frozenset[str]:
    """Return the letters that a font has."""
    return frozenset(map(chr, FT2Font(path).get_charmap()))


def _texts(figure: Figure, axes: Sequence[Axes] | None) -> Iterator[Text]:
    """Yield the texts of a figure, or of some axes with those that stand around all axes."""
    owners = [figure] if axes is None else [*axes, *figure.texts, *figure.legends]
    for owner in owners:
        for text in owner.findobj(Text):
            assert isinstance(text, Text)
            yield text
