"""Spellings of commands that became groups of commands, read as their spellings of today.

`workload FILE` is `workload show FILE`, `calibrate KERNELS` is `calibrate kernels KERNELS` and
`calibrate KERNELS --power` is `calibrate power KERNELS`. Options may stand before the word that
names the command: `workload --seed 3 fit TRACE`.
"""

from __future__ import annotations

from collections.abc import Sequence

_FLAGS = ("--json", "--power")
"""Options of the old commands that take no value."""


def as_spelt_today(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command line, old spellings replaced.

    >>> as_spelt_today(["workload", "chat.yaml", "--json"])
    ['workload', 'show', 'chat.yaml', '--json']
    >>> as_spelt_today(["calibrate", "kernels.csv", "--device", "b200-sxm", "--power"])
    ['calibrate', 'power', 'kernels.csv', '--device', 'b200-sxm']
    """
    match list(arguments):
        case ["workload" | "calibrate" as group]:
            return [group]
        case ["workload" | "calibrate" as group, "--help"]:
            return [group, "--help"]
        case ["workload", *rest]:
            return ["workload", *_with_command(rest, ("show", "fit", "fetch"))]
        case ["calibrate", *rest] if "--power" in rest:
            rest.remove("--power")
            return ["calibrate", "power", *rest]
        case ["calibrate", *rest]:
            return ["calibrate", *_with_command(rest, ("kernels", "power"))]
        case spelt:
            return spelt


def _with_command(rest: list[str], commands: Sequence[str]) -> list[str]:
    """Return arguments of a group with its command in front; the first is the default."""
    place = _first_word(rest)
    if place is not None and rest[place] in commands:
        return [rest[place], *rest[:place], *rest[place + 1 :]]
    return [commands[0], *rest]


def _first_word(arguments: Sequence[str]) -> int | None:
    """Return where the first argument is that is no option, nor the value of one."""
    place = 0
    while place < len(arguments):
        argument = arguments[place]
        if not argument.startswith("-"):
            return place
        place += 1 if "=" in argument or argument in _FLAGS else 2
    return None
