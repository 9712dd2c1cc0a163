"""Output that others end or cannot show: readers that leave, and streams that are not UTF-8."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from typing import NoReturn

_SPELLINGS = {
    "…": "...",
    "·": "*",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "°": "deg ",
    "µ": "u",
    "μ": "u",
    "²": "2",
    "³": "3",
    "τ": "tau",
    "ρ": "rho",
    "√": "sqrt ",
}
"""How signs of our own texts are spelled in ASCII."""
_HANDLER = "cluster-sim"


def _spelled(fault: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for signs that a stream cannot show: our spelling, or their number."""
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    signs = fault.object[fault.start : fault.end]
    spelled = (_SPELLINGS.get(sign) or sign.encode("unicode_escape").decode() for sign in signs)
    return "".join(spelled), fault.end


def spell_what_cannot_be_shown() -> None:
    """Make stdout and stderr take every text, whatever their encoding."""
    if sys.stdout is None:  # closed by whoever has started the command
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open until the end
    codecs.register_error(_HANDLER, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def flush() -> None:
    """Hand everything that was printed to its readers.

    Raises BrokenPipeError where they have left, and OSError where it cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def drop_the_rest() -> None:
    """Write what is still to be printed nowhere, so that Python does not fail on it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def end_without_a_reader() -> NoReturn:
    """End as other tools do when the reader of their output has left: quietly, by SIGPIPE."""
    drop_the_rest()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(1)  # a system without such signals, or that holds them back
