"""The JSON Schema of scenario files, made once for all tests of a process."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from cluster_sim.loading import json_schema

uses_schema = pytest.mark.xdist_group("schema")
"""Tests that run in one process, which makes the schema once."""


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files. It is shared and must not be changed."""
    return json_schema.json_schema()
