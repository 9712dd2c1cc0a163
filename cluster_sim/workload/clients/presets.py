"""Presets of clients: the defaults of known client libraries."""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import did_you_mean, shown

_SDK: dict[str, Any] = {
    "timeout": {"e2el": "600 s"},
    "retries": 2,
    "backoff": {"first": "0.5 s", "factor": 2.0, "jitter": 0.25, "max": "8 s"},
}
"""Defaults of the Python clients of OpenAI and Anthropic, which one generator makes. They retry
after 408, 409, 429, 5xx and the loss of the connection. Their limit of 5 s for a connection is left
out, because the front door accepts every connection. Source: `_constants.py` and
`_base_client.py` of openai-python and anthropic-sdk-python."""

PRESETS: dict[str, dict[str, Any]] = {"openai": _SDK, "anthropic": _SDK}
"""Keys that each preset sets."""


def with_preset(value: Any) -> Any:
    """Return the keys of clients with those of their `preset` where they are omitted.

    Mappings such as `timeout` are completed, not replaced.

    Raises ValueError for an unknown preset.

    Examples
    --------
    >>> with_preset({"preset": "openai", "retries": 0, "timeout": {"ttft": "5 s"}})["timeout"]
    {'e2el': '600 s', 'ttft': '5 s'}
    """
    if not isinstance(value, dict) or "preset" not in value:
        return value
    name = value["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(
            f"no preset {shown(name)} of clients{did_you_mean(str(name), list(PRESETS))}"
        )
    keys = dict(PRESETS[name])
    for key, given in value.items():
        if key != "preset":
            preset = keys.get(key)
            if isinstance(preset, dict) and isinstance(given, dict):
                keys[key] = {**preset, **given}
            else:
                keys[key] = given
    return keys
