"""Perfetto's track events, written packet by packet.

Source: perfetto.dev/docs/reference/synthetic-track-event, and protos/perfetto/trace of Perfetto
v59, whose field numbers stand below.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import IO, Any

_DOUBLE = Struct("<d").pack
_FIXED64 = Struct("<Q").pack

_BEGIN, _END, _INSTANT, _COUNTER = 1, 2, 3, 4  # TrackEvent.type
_SEQUENCE = 1
_CLEARED, _NEEDED = (
    1,
    2,
)  # TracePacket.sequence_flags: names are told in the first packet and meant by number from then on


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, all but the last marked.

    >>> varint(300)
    b'\\xac\\x02'
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
    bytes([one]) if one < 0x80 else bytes([one & 0x7F | 0x80, one >> 7]) for one in range(0x4000)
]  # most are lengths and numbers of names


def number(field: int, value: int) -> bytes:
    """A field that holds a whole number, negative ones in two's complement of 64 bits."""
    return _SMALL[field << 3] + varint(value & 0xFFFFFFFFFFFFFFFF)


def real(field: int, value: float) -> bytes:
    """A field that holds a double."""
    return _SMALL[field << 3 | 1] + _DOUBLE(value)


def message(field: int, *parts: bytes) -> bytes:
    """A field that holds a message, or a string."""
    data = b"".join(parts)
    return _SMALL[field << 3 | 2] + varint(len(data)) + data


class Writer:
    """Writes a trace: tracks, and on them slices, instants and the values of counters, at times in
    nanoseconds.

    Events of one track are given in the order of time; tracks may take turns as they like. names:
    of events, categories and annotations that come again and again.
    """

    def __init__(self, file: IO[bytes], names: list[str]) -> None:
        self._file = file
        self._tracks = 0
        self._numbers = {name: place + 1 for place, name in enumerate(names)}
        told = [number(1, one) + message(2, name.encode()) for name, one in self._numbers.items()]
        interned = b"".join(message(field, one) for field in (1, 2, 3) for one in told)
        self._heads: dict[tuple[int, int], bytes] = {}
        self._annotations = {name: number(1, one) for name, one in self._numbers.items()}
        self._file.write(
            message(1, number(10, _SEQUENCE), number(13, _CLEARED), message(12, interned))
        )

    def track(self, name: str, parent: int = 0, rank: int = 0, description: str = "") -> int:
        """A new track under another one, or at the top; its number."""
        return self._track(
            name, parent, rank, message(14, description.encode()) if description else b""
        )

    def counter(self, name: str, unit: str, parent: int, rank: int = 0) -> int:
        """A new track of values; its number."""
        return self._track(name, parent, rank, message(8, message(6, unit.encode())))

    def begin(
        self,
        track: int,
        at_ns: int,
        name: str,
        category: str,
        args: Mapping[str, Any],
        flow: int = 0,
    ) -> None:
        """A slice begins, inside those of its track that have begun and not ended."""
        self._event(
            track,
            at_ns,
            _BEGIN,
            self._called(name),
            number(3, self._numbers[category]),
            self._annotated(args),
            _flow(47, flow),
        )

    def end(self, track: int, at_ns: int) -> None:
        """The slice of its track that began last, and has not ended, ends."""
        self._event(track, at_ns, _END)

    def instant(
        self,
        track: int,
        at_ns: int,
        name: str,
        category: str,
        args: Mapping[str, Any],
        flow: int = 0,
        last: bool = False,
    ) -> None:
        """Something happens. last: the arrow of this flow ends here."""
        flows = _flow(48 if last else 47, flow)
        self._event(
            track,
            at_ns,
            _INSTANT,
            self._called(name),
            number(3, self._numbers[category]),
            self._annotated(args),
            flows,
        )

    def value(self, track: int, at_ns: int, value: float) -> None:
        """A counter's value from now on."""
        self._event(track, at_ns, _COUNTER, real(44, value))

    def _track(self, name: str, parent: int, rank: int, more: bytes) -> int:
        self._tracks += 1
        above = number(5, parent) if parent else b""
        ordered = number(11, 3) + number(12, rank)  # EXPLICIT: by rank
        self._packet(
            message(60, number(1, self._tracks), message(2, name.encode()), above, more, ordered)
        )
        return self._tracks

    def _called(self, name: str) -> bytes:
        known = self._numbers.get(name)
        return number(10, known) if known else message(23, name.encode())

    def _annotated(self, args: Mapping[str, Any]) -> bytes:
        return b"".join(
            [
                message(4, self._annotations[name], _value(value))
                for name, value in args.items()
                if value is not None
            ]
        )

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
