"""A changed trace, and what is right to make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fuzz.traces import (
    Form,
    TraceRow,
    content_of,
)

Rows = Sequence[TraceRow]


@dataclass(frozen=True)
class Case:
    """A changed file, and what is right to make of it."""

    content: bytes
    rows: Rows
    """Requests that a right reading gives."""
    keys: dict[str, Any]
    """Keys beside the path."""
    refused_at: int | None = None
    """Line at which it must be refused, 0 for any; None where it may be read."""
    must_be_read: bool = False
    """Whether a refusal is a fault."""
    must_be_noted: bool = False
    """Whether a reading is a fault that says nothing."""
    scales: tuple[float, ...] = (1.0,)
    """Numbers by which the times of a right reading may be multiplied."""


Meaning = Callable[[Random, Form, Rows], Case | None]
"""A change; None where it does not apply to a form."""


def case_of(form: Form, data: Any, rows: Rows, **changes: Any) -> Case:
    return Case(content_of(form, data), rows, form.keys, **changes)


def untouched(rng: Random, form: Form, rows: Rows) -> Case:
    return case_of(form, form.write(rows), rows, must_be_read=True)


def case_of_text(form: Form, text: str, rows: Rows, **changes: Any) -> Case:
    return Case(text.encode(), rows, form.keys, **changes)
