"""Reads Perfetto traces as its trace processor does: packets in the order of time, slices as a
stack on each track.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


@dataclass
class Slice:
    track: int
    name: str
    category: str
    at_ns: int
    end_ns: int
    args: dict[str, Any]
    depth: int
    flows: list[int]
    ends_flow: bool


@dataclass
class Trace:
    tracks: dict[int, tuple[str, int, str]] = field(default_factory=dict)
    """Name, number of the one above or 0, unit of a counter."""
    slices: list[Slice] = field(default_factory=list)
    """In the order of time, instants as slices of no length."""
    counters: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def of(self, category: str) -> list[Slice]:
        return [one for one in self.slices if one.category == category]

    def path(self, track: int) -> str:
        name, above, _ = self.tracks[track]
        return f"{self.path(above)}/{name}" if above else name

    def counter(self, path: str) -> list[tuple[int, float]]:
        (track,) = [one for one in self.tracks if self.path(one) == path and self.tracks[one][2]]
        return self.counters[track]


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a message's fields: whole numbers, eight bytes, or bytes."""
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while place < len(data):
        tag = number()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, number()
        elif kind == 1:
            yield tag >> 3, data[place : place + 8]
            place += 8
        else:
            assert kind == 2
            length = number()
            yield tag >> 3, data[place : place + length]
            place += length


def read(path: Path) -> Trace:
    trace = Trace()
    names: dict[int, str] = {}
    events: list[tuple[int, bytes]] = []
    for number, packet in fields(path.read_bytes()):
        assert number == 1
        parts = dict(fields(packet))
        assert parts[10] == 1
        if 12 in parts:
            assert parts[13] & 1 and not events, "names are told once, at the front"
            names |= {
                dict(fields(one))[1]: dict(fields(one))[2].decode() for _, one in fields(parts[12])
            }
        elif 60 in parts:
            about = dict(fields(parts[60]))
            unit = dict(fields(about[8]))[6].decode() if 8 in about else ""
            trace.tracks[about[1]] = (
                about[2].decode(),
                about.get(5, 0),
                unit or ("1" if 8 in about else ""),
            )
            assert about.get(5, 0) in trace.tracks or not about.get(5)
        else:
            assert parts[13] & 2
            events.append((parts[8], parts[11]))
    events.sort(key=lambda one: one[0])  # stable, as the trace processor's
    open_: dict[int, list[Slice]] = defaultdict(list)
    for at_ns, event in events:
        said: dict[int, list[Any]] = defaultdict(list)
        for number, value in fields(event):
            said[number].append(value)
        track, kind = said[11][0], said[9][0]
        assert track in trace.tracks
        if kind == COUNTER:
            trace.counters[track].append((at_ns, struct.unpack("<d", said[44][0])[0]))
        elif kind == END:
            open_[track].pop().end_ns = at_ns
        else:
            name = said[23][0].decode() if 23 in said else names[said[10][0]]
            args = dict(_annotation(one, names) for one in said[4])
            flows = [struct.unpack("<Q", one)[0] for one in said[47] + said[48]]
            new = Slice(
                track,
                name,
                names[said[3][0]],
                at_ns,
                at_ns,
                args,
                len(open_[track]),
                flows,
                bool(said[48]),
            )
            trace.slices.append(new)
            if kind == BEGIN:
                open_[track].append(new)
    assert not any(open_.values()), "every slice that begins ends"
    return trace


def _annotation(data: bytes, names: dict[int, str]) -> tuple[str, Any]:
    parts = dict(fields(data))
    if 5 in parts:
        return names[parts[1]], struct.unpack("<d", parts[5])[0]
    if 6 in parts:
        return names[parts[1]], parts[6].decode()
    return names[parts[1]], parts[4] - (1 << 64) if parts[4] >> 63 else parts[4]
