"""Format of numbers in sentences and tables."""

from __future__ import annotations

_SCALES = {"": 1.0, "ms": 1e3, "us": 1e6, "kW": 1e-3, "millions": 1e-6}
"""Factor from a number to each unit in which it may be shown."""


class Rounded(float):
    """Number whose default format has three digits; a format may also be a unit, such as ms.

    >>> f"{Rounded(1234.5)} {Rounded(0.01234)} {Rounded(1234.5):.1f} {Rounded(0.0025):ms}"
    '1,234 0.0123 1234.5 2.5 ms'
    """

    def __format__(self, spec: str) -> str:
        """Return the number with three digits, in a unit, or in any format of a float."""
        if spec not in _SCALES:
            return format(float(self), spec)
        number = _SCALES[spec] * float(self)
        text = f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"
        return f"{text} {spec}".rstrip()
