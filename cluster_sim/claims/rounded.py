"""Numbers as sentences and tables show them."""

from __future__ import annotations

_SCALES = {"": 1.0, "ms": 1e3, "us": 1e6, "kW": 1e-3, "millions": 1e-6}
"""Factor of each unit that a number may be shown in."""


class Rounded(float):
    """Number that is shown with three digits, in another unit, or as any other format asks.

    >>> f"{Rounded(1234.5)} {Rounded(0.01234)} {Rounded(1234.5):.1f} {Rounded(0.0025):ms}"
    '1,234 0.0123 1234.5 2.5 ms'
    """

    def __format__(self, spec: str) -> str:
        """Return the number with `spec` as any float, or with a unit."""
        if spec not in _SCALES:
            return format(float(self), spec)
        number = _SCALES[spec] * float(self)
        text = f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"
        return f"{text} {spec}".rstrip()
