"""Old spellings of commands, replaced by their present spellings.

`workload FILE` is `workload show FILE`, `calibrate KERNELS` is `calibrate kernels KERNELS` and
`calibrate KERNELS --power` is `calibrate power KERNELS`. Options may precede the name of the
command: `workload --seed 3 fit TRACE`.
"""

from __future__ import annotations

from collections.abc import Sequence

_FLAGS = ("--json", "--power")
"""Options of the old commands that have no value."""


def as_spelt_today(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command line with old spellings replaced.

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
    """Return the arguments of a group with its command first; the default is commands[0]."""
    place = _first_word(rest)
    if place is not None and rest[place] in commands:
        return [rest[place], *rest[:place], *rest[place + 1 :]]
    return [commands[0], *rest]


def _first_word(arguments: Sequence[str]) -> int | None:
    """Return the index of the first argument that is no option and no value of an option."""
    place = 0
    while place < len(arguments):
        argument = arguments[place]
        if not argument.startswith("-"):
            return place
        place += 1 if "=" in argument or argument in _FLAGS else 2
    return None
