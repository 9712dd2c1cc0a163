"""Names that become names of files and folders: allowed names, and their spelling on disk.

A name is text: spaces, brackets, dollars and letters of any script are allowed, on every system to
which a run folder may be copied. A path, or a name that some system reserves, is not allowed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from cluster_sim.errors import is_printable

_MAX_BYTES = 200
"""Maximum number of bytes of a name. File systems allow 255, suffixes and temporary names
included."""
_NOT_EVERYWHERE = '<>:"|?*/\\'
"""Characters that some file system refuses or reads as part of a path."""
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?")
"""Names that Windows reserves for devices, with any suffix."""
_TEXT_WITH_SEPARATORS = re.compile(r"\[[^\[\]]*\]|(?<!\w)\\[A-Za-z]+")
"""Texts that contain separators but are not paths: notes in square brackets, as in `tp[/8]`, and
commands of TeX, as in `$\frac`."""


def file_name_fault(name: str) -> str | None:
    r"""Return why a name cannot be the name of a folder; None for a valid name.

    >>> file_name_fault("b200 [tp/8], 50 %")
    >>> file_name_fault("../elsewhere")
    "is a path; expected the name of a folder, without '/', '\\' and '..'"
    >>> file_name_fault("nul.txt")
    'is reserved on Windows; expected another name'
    """
    if not name.strip():
        return "is empty; expected a name"
    if not all(map(is_printable, name)):
        return "has a control character; expected printable characters"
    if _is_path(name):
        return r"is a path; expected the name of a folder, without '/', '\' and '..'"
    if _RESERVED.fullmatch(name):
        return "is reserved on Windows; expected another name"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a space, or ends with a dot; expected a name without these"
    if (size := len(folder_name(name).encode())) > _MAX_BYTES:
        return f"takes {size:,} bytes as the name of a folder; expected at most {_MAX_BYTES}"
    return None


def _is_path(name: str) -> bool:
    """Return whether a name has several parts like a path, or stands for a folder or a drive."""
    parts = re.split(r"[/\\]", name)
    return (
        re.search(r"[/\\]", _TEXT_WITH_SEPARATORS.sub("", name)) is not None
        or not parts[0].strip()
        or not parts[-1].strip()
        or any(part.strip() in (".", "..") for part in parts)
        or re.match(r"[A-Za-z]:[/\\]", name) is not None
    )


def folder_name(name: str) -> str:
    r"""Return a name as its folder is called, identical on every system.

    Characters that some file system refuses are replaced by their numbers, as in URLs.

    >>> folder_name("b200, tp 8"), folder_name("4:1 <fast>"), folder_name("tp[/8]")
    ('b200, tp 8', '4%3A1 %3Cfast%3E', 'tp[%2F8]')
    """
    return "".join(f"%{ord(sign):02X}" if sign in _NOT_EVERYWHERE else sign for sign in name)


def same_folder(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names whose folders are identical on some file system; None if all differ.

    Systems differ in whether they distinguish upper and lower case, and accents in one character
    from accents in two.
    """
    known: dict[str, str] = {}
    for name in names:
        plain = unicodedata.normalize("NFC", folder_name(name)).casefold()
        if (earlier := known.setdefault(plain, name)) != name:
            return earlier, name
    return None
