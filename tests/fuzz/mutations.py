"""Random damage to values, texts and bytes: what slips of the pen, editors, copies and disks do.

Everything is drawn from the generator that is handed in, so that a seed gives the same damage.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

Trail = tuple[str | int, ...]

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1.5, 1e-300, 1e300, 10**6, 22_000_000_000, 10**30, 2**63,
    math.nan, math.inf, -math.inf, "", " ", "x", "é", "日本", "\u202e", "a\x07b", "a\nb", "\x1b[31m", "[bold]",
    "[/x]", "$x^2$", "../../x", "/tmp/x", "~", "~nobody/x", "CON", "null", "1", "1e400", "0x10", "2024-01-01",
    "0 s", "-1 s", "1 s", "1e-300 s", "1e300 s", "nan s", "inf /s", "5 kg", "1 /s", "1e9 /s", "8 TB/s", "1 B", "0 B",
    "1 W", "-300 degC", "30 degC", "1 USD/h", "1/0", "1/3", "x" * 100_000, [], {}, [[]], [1, 2], ["x"], {"a": 1},
    {"value": 1}, "llama-3.1-8b", "dgx-h100", "cs-3", "vllm", "poisson", "fixed",
)  # fmt: skip
"""Values that are rarely meant where they stand."""

FACTORS = (0.0, -1.0, 1e-12, 1e-3, 0.1, 0.5, 2.0, 10.0, 1e3, 1e6, 1e12)
_QUANTITY = re.compile(r"([-+]?\d+\.?\d*(?:e[-+]?\d+)?)( ?)(\D*)", re.I)
_UNITS = ("s", "ms", "min", "h", "/s", "B", "GB", "TB/s", "W", "degC", "K", "USD/h", "kg", "")


def places(data: Any, trail: Trail = ()) -> Iterator[Trail]:
    """Every place in a value, the whole of it left out."""
    if isinstance(data, dict):
        items: Any = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    else:
        return
    for key, value in items:
        yield (*trail, key)
        yield from places(value, (*trail, key))


def at(data: Any, trail: Trail) -> Any:
    for step in trail:
        data = data[step]
    return data


def damaged_data(rng: Random, data: Any) -> Any:
    """A copy with one to three changes.

    Four in ten times they are gentle: numbers that are other, so that most of it still holds.
    """
    data = deepcopy(data)
    changes = (_scale_gently,) if rng.random() < 0.4 else _CHANGES
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        known = list(places(data))
        if not known:
            break
        trail = rng.choice(known)
        change = rng.choice(changes)
        change(rng, data, at(data, trail[:-1]), trail[-1])
    return data


def _set_odd(rng: Random, data: Any, parent: Any, key: Any) -> None:
    parent[key] = deepcopy(rng.choice(ODD))


def _scale(
    rng: Random, data: Any, parent: Any, key: Any, factors: tuple[float, ...] = FACTORS
) -> None:
    """Change the number of a leaf, or of a quantity; a mapping's leaves have their own places."""
    value, factor = parent[key], rng.choice(factors)
    if isinstance(value, bool) or value is None:
        parent[key] = not value
    elif isinstance(value, int):
        scaled = value * factor
        parent[key] = int(scaled) if rng.random() < 0.8 else scaled
    elif isinstance(value, float):
        parent[key] = value * factor
    elif isinstance(value, str) and (found := _QUANTITY.fullmatch(value)):
        if factors is FACTORS and rng.random() < 0.3:
            parent[key] = f"{found[1]} {rng.choice(_UNITS)}"
        else:
            parent[key] = f"{float(found[1]) * factor:g}{found[2]}{found[3]}"
    else:
        _set_odd(rng, data, parent, key)


def _scale_gently(rng: Random, data: Any, parent: Any, key: Any) -> None:
    """Change one of the numbers by a factor that a planner might try."""
    leaves = [trail for trail in places(data) if _QUANTITY.fullmatch(str(at(data, trail)))]
    if leaves:
        trail = rng.choice(leaves)
        _scale(rng, data, at(data, trail[:-1]), trail[-1], factors=(0.0, 0.1, 0.5, 0.9, 2.0, 10.0))


def _delete(rng: Random, data: Any, parent: Any, key: Any) -> None:
    del parent[key]


def _double(rng: Random, data: Any, parent: Any, key: Any) -> None:
    if isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), deepcopy(parent[key]))
    else:
        parent[f"{key}{rng.choice(('s', '_', ' 2', '.x'))}"] = deepcopy(parent[key])


def _rename(rng: Random, data: Any, parent: Any, key: Any) -> None:
    if isinstance(parent, list):
        rng.shuffle(parent)
        return
    text = str(key)
    here = rng.randrange(len(text) + 1)
    parent[text[:here] + rng.choice(("x", "", " ", "-", "é")) + text[here + 1 :]] = parent.pop(key)


def _swap_type(rng: Random, data: Any, parent: Any, key: Any) -> None:
    value = parent[key]
    other: list[Any] = [str(value), [value], {"a": value}, len(str(value)), {str(value): value}]
    if isinstance(value, dict):
        other += [list(value.values()), list(value)]
    if isinstance(value, list):
        other += [dict(enumerate(map(str, value))), value[:1], value * 3]
    parent[key] = rng.choice(other)


def _transplant(rng: Random, data: Any, parent: Any, key: Any) -> None:
    """Put a copy of another part of the same file here."""
    parent[key] = deepcopy(at(data, rng.choice(list(places(data)))))


def _nest(rng: Random, data: Any, parent: Any, key: Any) -> None:
    value = parent[key]
    for _ in range(rng.choice((1, 3, 40))):
        value = [value] if rng.random() < 0.5 else {"x": value}
    parent[key] = value


_CHANGES: tuple[Callable[[Random, Any, Any, Any], None], ...] = (
    *[_scale] * 5, *[_set_odd] * 5, _delete, _delete, _double, _rename, _swap_type, _transplant, _nest,
)  # fmt: skip


def damaged_bytes(rng: Random, content: bytes) -> bytes:
    """Bytes as an editor, a copy or a disk leaves them."""
    return rng.choice(_TEXT_CHANGES)(rng, content)


def _truncate(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flip(rng: Random, content: bytes) -> bytes:
    flipped = bytearray(content)
    for _ in range(rng.choice((1, 3, 30)) if content else 0):
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _encode(rng: Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    if rng.random() < 0.4:
        return codecs.BOM_UTF8 + content
    return text.encode(rng.choice(("utf-16", "utf-32", "latin-1", "utf-7")), "replace")


def _tabs_and_ends(rng: Random, content: bytes) -> bytes:
    old, new = rng.choice(((b"  ", b"\t"), (b"\n", b"\r\n"), (b"\n", b"\r"), (b"\n", b"\n\n"), (b":", b": "), (b" ", b"\xc2\xa0")))  # fmt: skip
    return content.replace(old, new)


def _insert(rng: Random, content: bytes) -> bytes:
    here = rng.randrange(len(content) + 1)
    what = rng.choice((b"\0", b"{", b"}", b"[", b"]", b'"', b"'", b"&a ", b"*a", b"<<: ", b"!!x ", b"---\n", b"%", b"# ", b",", b"\t", b"\xff", b"9" * 400, b"-", b"\n", "é".encode()))  # fmt: skip
    return content[:here] + what + content[here:]


def _lines(rng: Random, content: bytes) -> bytes:
    """Delete a line, write it twice, or move it."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return b"\n"
    line = lines[here := rng.randrange(len(lines))]
    if rng.random() < 0.7:
        del lines[here]
    if rng.random() < 0.6:
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"".join(lines)


def _bomb(rng: Random, content: bytes) -> bytes:
    levels = rng.choice((3, 30))
    bomb = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    bomb += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return content + "\n".join(bomb).encode() + b"\n"


def _repeat(rng: Random, content: bytes) -> bytes:
    return rng.choice((b"", b"\n", content * 2, b"[" * 5000, content[::-1]))


_TEXT_CHANGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    _truncate, _flip, _flip, _encode, _tabs_and_ends, _insert, _insert, _lines, _lines, _bomb, _repeat,
)  # fmt: skip


_CHARACTERS = (*"0123456789.,-+eE:;\"'{}[] \t\n\r|TZ", "\u00a0", "é", "00", "\n\n", "null", "true", "1e3")  # fmt: skip


def nibbled(rng: Random, content: bytes) -> bytes:
    """A text in which a character or a few are lost, added, another, or written twice."""
    text = content.decode()
    for _ in range(rng.choice((1, 1, 2))):
        here = rng.randrange(len(text) + 1)
        beyond = min(here + rng.randrange(1, 12), len(text))
        match rng.randrange(4):
            case 0:
                text = text[:here] + text[beyond:]
            case 1:
                text = text[:beyond] + text[here:]
            case 2:
                text = text[:here] + rng.choice(_CHARACTERS) + text[here:]
            case _:
                text = text[:here] + rng.choice(_CHARACTERS) + text[here + 1 :]
    return text.encode("utf-8", "surrogatepass")
