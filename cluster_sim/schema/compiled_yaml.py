"""YAML 1.2 by PyYAML's compiled parser and emitter.

NOTE: ruamel.yaml reads YAML 1.2 and names faults well, but takes 0.4 s for a device with many
measured kernels; the compiled parser takes 0.02 s. PyYAML knows YAML 1.1 alone, so plain scalars
get the types of YAML 1.2 here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, ClassVar

_TYPES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (
        "float",
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    (
        "int",
        r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+",
        "-+0123456789",
    ),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}"
        r":[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?",
        "0123456789",
    ),
    ("merge", "<<", "<"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("value", "=", "="),
)
"""Types of plain scalars in YAML 1.2: name, pattern and first letters."""
_UNUSUAL = re.compile("[\t\x85\u2028\u2029]|^%|&\\S*:", re.MULTILINE)
"""Marks of texts that YAML 1.1 reads otherwise: tabs, line ends, directives and colons in names of anchors."""


def composed(text: str) -> Any:
    """Return the node of the only document in a text; None if the compiled parser cannot read it.

    Texts with faults, with what versions of YAML read differently, or with deep nesting are left to
    ruamel.yaml, and so is every text if PyYAML was built without its compiled parser.
    """
    import yaml

    if not yaml.__with_libyaml__ or _UNUSUAL.search(text):
        return None
    try:
        loader = _loader()(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def yaml_text(data: Any) -> str:
    r"""Return plain values as YAML 1.2, one key per line, in their order.

    >>> yaml_text({"seed": 3, "pools": [{"node": "dgx-b200", "note": "#1"}]})
    "seed: 3\npools:\n- node: dgx-b200\n  note: '#1'\n"
    """
    import yaml

    text: str = yaml.dump(
        data,
        Dumper=_dumper(),
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=4096,
    )
    return text


@cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.CSafeLoader):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    return _with_types(Loader)


@cache
def _dumper() -> Any:
    import yaml

    base = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper

    class Dumper(base):  # type: ignore[misc, valid-type]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    return _with_types(Dumper)


def _with_types(resolver: Any) -> Any:
    for name, pattern, first in _TYPES:
        resolver.add_implicit_resolver(
            f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$"), list(first)
        )
    return resolver
