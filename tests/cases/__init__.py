"""Case files that once broke the simulator; each is a test of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

ROBUSTNESS = Path(__file__).resolve().parents[3] / "shared" / "cases" / "robustness"


def robustness_case(name: str) -> Path:
    """The path of a case file; skips the test where it is absent."""
    path = ROBUSTNESS / name
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return path
