"""Plain values as a line of YAML, as people write them in scenario files."""

from __future__ import annotations

import json
import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z0-9/.~][A-Za-z0-9_./ +~-]*(?<! )")
_NOT_TEXT = re.compile(r"(?i)true|false|null|yes|no|on|off|~|[-+.\d_e]+|0[xo][0-9a-f]+")


def flow_text(value: Any) -> str:
    """Return a plain value as one line of YAML.

    Examples
    --------
    >>> flow_text({"process": "poisson", "rate": "2 /s"})
    '{process: poisson, rate: 2 /s}'
    >>> flow_text([1, 2.5, "a: b"])
    '[1, 2.5, "a: b"]'
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow_text(key)}: {flow_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(flow_text, value))}]"
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value)
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        short = f"{value:.10g}"
        return short if float(short) == value else repr(value)
    return json.dumps(value)
