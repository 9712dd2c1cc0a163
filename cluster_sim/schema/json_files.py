"""JSON files -> plain values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.schema.yaml_files import read_text


def read_json(path: Path) -> Any:
    """Return the content of a JSON file that a user named.

    Raises ScenarioError if it cannot be read, or is not valid JSON.
    """
    # files of some editors begin with a byte order mark
    return parse_json(read_text(path).removeprefix("\ufeff"), str(path))


def parse_json(text: str, file: str) -> Any:
    """Return the value in a text of JSON.

    Parameters
    ----------
    text
        Text of the file.
    file
        Name of the file, for messages.

    Raises
    ------
    ScenarioError
        The text is not valid JSON, is nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        what = f"is not valid JSON: {fault.msg[0].lower()}{fault.msg[1:]}"
        raise ScenarioError.at(f"{file}:{fault.lineno}", what) from fault
    except RecursionError as fault:
        raise ScenarioError.at(file, "is nested too deeply") from fault
    except ValueError as fault:
        raise ScenarioError.at(file, "holds a number that is too long") from fault
