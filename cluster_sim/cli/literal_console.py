"""The console of every command: it shows texts as they are."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cluster_sim.errors import visible


class LiteralConsole(Console):
    """Console on which a string stands for itself, in lines, tables and titles alike.

    Square brackets are no markup and `:smile:` is no picture. Control characters are spelled by
    their number, so that no name reaches the terminal as a command.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Leave it to the command line how it ends when the reader has left."""
        raise BrokenPipeError

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as text to show; options as rich's own method takes them."""
        return super().render_str(visible(text), **options)
