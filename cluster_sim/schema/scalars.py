"""Scalars of YAML: the value of a piece of text in a file."""

from __future__ import annotations

import re
from typing import Any

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)")
_LIKE_A_NUMBER = re.compile(
    r"[-+]?(?:0[boxBOX][0-9a-fA-F_]*|[0-9._]*(?:[eE][-+]?[0-9_]*)?|\.[a-zA-Z]+)"
)
_WORDS = {
    word: value
    for name, value in (("null", None), ("true", True), ("false", False))
    for word in (name, name.capitalize(), name.upper())
}


class NotPlainError(Exception):
    """The text needs the YAML library."""


def plain_scalar(text: str) -> Any:
    """Return the value of a YAML scalar without quotes.

    Raises NotPlainError for a rare form of a number, which the YAML library knows.

    >>> plain_scalar("57_000"), plain_scalar("1e3"), plain_scalar("8 TB/s"), plain_scalar("True")
    (57000, 1000.0, '8 TB/s', True)
    """
    if text in _WORDS:
        return _WORDS[text]
    if not _LIKE_A_NUMBER.fullmatch(text):
        return text
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text)
    raise NotPlainError


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
