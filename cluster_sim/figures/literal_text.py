"""Text of figures: names are drawn literally, without interpreting markup."""

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
from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, NullFormatter

from cluster_sim.errors import visible


def draw_literally(figure: Figure, axes: Sequence[Axes] | None = None) -> Figure:
    """Make every text of a figure literal; return the figure.

    A `$` begins no formula. Control characters, which would break SVG, become escape codes. Fonts of
    this machine are added for characters that the usual font lacks. Call it after everything is
    drawn.

    Parameters
    ----------
    figure
        Figure whose texts are changed.
    axes
        Axes whose texts are changed. Default: all axes of the figure.
    """
    for panel in figure.axes if axes is None else axes:
        for axis in (panel.xaxis, panel.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FuncFormatter):  # set_xticks uses one for names, too
                axis.set_major_formatter(FuncFormatter(partial(_visible_tick, formatter.func)))
            elif isinstance(formatter, LogFormatterMathtext):  # its $10^2$ would be shown literally
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.set_minor_formatter(NullFormatter())
    for text in _texts(figure, axes):
        text.set_parse_math(False)
        text.set_text(visible(text.get_text()))
        if others := _other_families(text.get_text()):
            text.set_fontfamily([*text.get_fontfamily(), *others])
    return figure


@contextmanager
def all_letters(figure: Figure) -> Iterator[None]:
    """Write SVG text as text while a figure has letters that no font of this machine has.

    The viewer of the SVG then chooses a font. In other formats such letters are boxes.
    """
    lacking = _lacking("".join(text.get_text() for text in _texts(figure, None)))
    if not lacking or not lacking.difference(*map(_letters, _fonts())):
        yield
        return
    with rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _visible_tick(text_of: Callable[..., str], *tick: float) -> str:
    """Return the text that `text_of` gives for a tick, without control characters."""
    return visible(text_of(*tick))


def _other_families(text: str) -> list[str]:
    """Return font families of this machine with letters of a text that the usual font lacks."""
    lacking = _lacking(text)
    return (
        [family for path, family in _fonts().items() if lacking & _letters(path)] if lacking else []
    )


def _lacking(text: str) -> set[str]:
    """Return the letters of a text that the usual font lacks."""
    return set() if text.isascii() else set(text) - {"\n"} - _letters(findfont(FontProperties()))


@cache
def _fonts() -> dict[str, str]:
    """Return the font families of this machine by the path of one font of each family.

    Fonts of last resort, which show every letter as a box, are omitted.
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
    """Yield the texts of a figure, or of some axes and of the figure's title and legends."""
    owners = [figure] if axes is None else [*axes, *figure.texts, *figure.legends]
    for owner in owners:
        for text in owner.findobj(Text):
            assert isinstance(text, Text)
            yield text
