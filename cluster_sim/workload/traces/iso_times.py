"""Conversion of dates and times of ISO 8601 to nanoseconds since 1970 in UTC."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class IsoTimes(NamedTuple):
    """Times of a column of texts."""

    ns: np.ndarray
    """Times since 1970 in UTC [ns]."""
    without_zone: int
    """Number of times without an offset, which are read as UTC."""


_ZONE = r":[0-9]{2}.*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
"""Pattern of a time with an offset from UTC at its end."""


def iso_times(texts: Any) -> IsoTimes:
    """Return the times of an array of texts such as `2023-11-16 18:17:03.9799600+02:00`.

    A T or a space separates date and time. Decimals follow a point or a comma; nine of them count.
    The offset is optional: Z, +02:00, -0500, +02. Case does not matter. The form 20231116T181703 is
    accepted, and so is the form of Go: an offset, the name of the zone, and a monotonic reading.
    Arrow parses the times; forms that Arrow does not accept are converted first.

    Raises
    ------
    ValueError
        If a text is not such a time, or the time is before 1678 or after 2261.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    naive, aware = pa.timestamp("ns"), pa.timestamp("ns", "UTC")
    for kind in (naive, aware):
        try:
            ns = texts.cast(kind).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            continue
        return IsoTimes(ns, len(ns) if kind is naive else 0)
    plain = pc.utf8_trim_whitespace(texts)
    for pattern, by in (
        (
            r"^([0-9]{4})([0-9]{2})([0-9]{2})[Tt]([0-9]{2})([0-9]{2})([0-9]{2})",
            r"\1-\2-\3T\4:\5:\6",
        ),
        (r"^([0-9]{4}-[0-9]{2}-[0-9]{2})t", r"\1T"),
        (r"( [+-][0-9]{4}) ([A-Z]{2,5}|[+-][0-9]{2,4})( m=[+-][0-9.]+)?$", r"\1"),
        (r"(:[0-9]{2})[.,]([0-9]{1,9})[0-9]*", r"\1.\2"),
        (r"[ ]*(z|UTC|GMT)$", "Z"),
        (r"[ ]+(Z|[+-][0-9]{2}(:?[0-9]{2})?)$", r"\1"),
    ):
        plain = pc.replace_substring_regex(plain, pattern, by)
    has_zone = pc.match_substring_regex(plain, _ZONE)
    ns = np.empty(len(texts), dtype=np.int64)
    zoned = has_zone.to_numpy(zero_copy_only=False)
    ns[zoned] = plain.filter(has_zone).cast(aware).cast(pa.int64()).to_numpy()
    ns[~zoned] = plain.filter(pc.invert(has_zone)).cast(naive).cast(pa.int64()).to_numpy()
    return IsoTimes(ns, int(np.sum(~zoned)))


def is_other_date(text: str) -> bool:
    """Return whether a text has digits but is neither a time of ISO 8601 nor a number.

    >>> is_other_date("10/25/2026 1:30 PM"), is_other_date("2026-10-25 13:30"), is_other_date("x")
    (True, False, False)
    """
    import pyarrow as pa

    if not any(map(str.isdigit, text)):
        return False
    try:
        float(text)
    except ValueError:
        try:
            iso_times(pa.array([text]))
        except ValueError:
            return True
    return False
