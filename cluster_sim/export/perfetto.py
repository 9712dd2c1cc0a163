"""Writer of Perfetto's track events, packet by packet.

Source: perfetto.dev/docs/reference/synthetic-track-event, and protos/perfetto/trace of Perfetto
v59, which defines the field numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType
from typing import IO, Any, NamedTuple

_DOUBLE = Struct("<d").pack
_FIXED64 = Struct("<Q").pack

_BEGIN, _END, _INSTANT, _COUNTER = 1, 2, 3, 4
"""Values of TrackEvent.type."""
_SEQUENCE = 1
_CLEARED, _NEEDED = 1, 2
"""Values of TracePacket.sequence_flags: the first packet defines numbers of names, which later
packets use."""


def varint(value: int) -> bytes:
    r"""Return a whole number as a varint: seven bits per byte, lowest first, and a continuation bit.

    >>> varint(300)
    b'\xac\x02'
    """
    if value < 0x4000:
        return _SMALL[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [
    bytes([small]) if small < 0x80 else bytes([small & 0x7F | 0x80, small >> 7])
    for small in range(0x4000)
]
"""Varints below 16384, which are most lengths and numbers of names."""


def number(field: int, value: int) -> bytes:
    """Return a field with a whole number; a negative number is in two's complement of 64 bits."""
    return _SMALL[field << 3] + varint(value & 0xFFFFFFFFFFFFFFFF)


def real(field: int, value: float) -> bytes:
    """Return a field with a double."""
    return _SMALL[field << 3 | 1] + _DOUBLE(value)


def message(field: int, *parts: bytes) -> bytes:
    """Return a field with a message, or a string."""
    data = b"".join(parts)
    return _SMALL[field << 3 | 2] + varint(len(data)) + data


class TraceEvent(NamedTuple):
    """Content of a slice or an instant, without its time and track."""

    name: str
    """Name that Perfetto shows."""
    category: str
    """Category for SQL queries; one of the names of the writer."""
    args: Mapping[str, Any] = MappingProxyType({})
    """Arguments by name, which is one of the names of the writer; None is omitted."""
    flow: int = 0
    """Number of the arrow that passes through the event; 0 for no arrow."""


class TraceWriter:
    """Writer of a trace: tracks with slices, instants and values of counters.

    Times are in nanoseconds. The events of one track must be written in order of time; events of
    different tracks may be in any order.
    """

    def __init__(self, file: IO[bytes], names: list[str]) -> None:
        """Begin a trace.

        Parameters
        ----------
        file
            File to which the trace is written.
        names
            Frequent names of events, categories and arguments, which are written once.
        """
        self._file = file
        self._tracks = 0
        self._numbers = {name: place + 1 for place, name in enumerate(names)}
        entries = [
            number(1, place) + message(2, name.encode()) for name, place in self._numbers.items()
        ]
        interned = b"".join(message(field, entry) for field in (1, 2, 3) for entry in entries)
        self._heads: dict[tuple[int, int], bytes] = {}
        self._annotations = {name: number(1, place) for name, place in self._numbers.items()}
        self._file.write(
            message(1, number(10, _SEQUENCE), number(13, _CLEARED), message(12, interned))
        )

    def track(self, name: str, parent: int = 0, rank: int = 0, description: str = "") -> int:
        """Add a track below a parent track, or at the top; return its number."""
        return self._track(
            name, parent, rank, message(14, description.encode()) if description else b""
        )

    def counter(self, name: str, unit: str, parent: int, rank: int = 0) -> int:
        """Add the track of a counter; return its number."""
        return self._track(name, parent, rank, message(8, message(6, unit.encode())))

    def begin(self, track: int, at_ns: int, event: TraceEvent) -> None:
        """Begin a slice, nested in the open slices of its track."""
        self._event(track, at_ns, _BEGIN, *self._described(event), _flow(47, event.flow))

    def end(self, track: int, at_ns: int) -> None:
        """End the innermost open slice of a track."""
        self._event(track, at_ns, _END)

    def instant(
        self, track: int, at_ns: int, event: TraceEvent, *, ends_flow: bool = False
    ) -> None:
        """Write an instant; with `ends_flow` the arrow of its flow ends here."""
        flow = _flow(48 if ends_flow else 47, event.flow)
        self._event(track, at_ns, _INSTANT, *self._described(event), flow)

    def value(self, track: int, at_ns: int, value: float) -> None:
        """Set the value of a counter from this time on."""
        self._event(track, at_ns, _COUNTER, real(44, value))

    def _track(self, name: str, parent: int, rank: int, more: bytes) -> int:
        self._tracks += 1
        above = number(5, parent) if parent else b""
        ordered = number(11, 3) + number(12, rank)  # 3 is EXPLICIT: by rank
        self._packet(
            message(60, number(1, self._tracks), message(2, name.encode()), above, more, ordered)
        )
        return self._tracks

    def _described(self, event: TraceEvent) -> tuple[bytes, bytes, bytes]:
        """Return the fields of the name, category and arguments of an event."""
        known = self._numbers.get(event.name)
        name = number(10, known) if known else message(23, event.name.encode())
        args = [
            message(4, self._annotations[key], _value(value))
            for key, value in event.args.items()
            if value is not None
        ]
        return name, number(3, self._numbers[event.category]), b"".join(args)

    def _event(self, track: int, at_ns: int, kind: int, *more: bytes) -> None:
        head = self._heads.get((track, kind))
        if head is None:
            head = self._heads[track, kind] = number(9, kind) + number(11, track)
        self._packet(b"\x40" + varint(at_ns), message(11, head, *more))  # field 8, a number

    def _packet(self, *parts: bytes) -> None:
        self._file.write(message(1, _HEAD, *parts))


_HEAD = number(10, _SEQUENCE) + number(13, _NEEDED)


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return message(6, value.encode())
    return number(4, value) if isinstance(value, int) else real(5, float(value))


def _flow(field: int, flow: int) -> bytes:
    return varint(field << 3 | 1) + _FIXED64(flow) if flow else b""
