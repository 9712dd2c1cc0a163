"""Scalars of YAML: the value of a piece of text in a file."""

from __future__ import annotations

from typing import Any


def scalar(kind: str, text: str) -> Any:
    """Return the value of a YAML scalar.

    A text that is not of its kind stays text, and is refused if a number is expected.
    """
    if kind not in ("null", "bool", "int", "float"):
        return text
    digits = text.replace("_", "").lower()
    try:
        match kind:
            case "null":
                return None
            case "bool":
                return digits in ("true", "yes", "on", "y")
            case "int":
                base = {"0x": 16, "0o": 8, "0b": 2}.get(digits.lstrip("+-")[:2], 10)
                return int(digits, base)
            case "float":
                return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        pass
    return text


def whole(text: str) -> str:
    r"""Return a text in which characters that JSON writes as two escapes are one character.

    Raises UnicodeDecodeError for half of such a character, which no file can hold.

    >>> whole("\ud83d\ude00")
    '😀'
    """
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")
