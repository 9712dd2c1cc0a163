"""Phrases that are not used any more, and what is written in their place.

A phrase is a regular expression without regard to case. Code spans, keys and names of files are
taken out of a text before it is searched.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_COUNTED = (
    "tokens|requests|prompts|bytes|seconds|milliseconds|joules|watts|dollars|blocks|sequences|"
    "values|times|steps|hours|minutes|days|FLOP|operations|messages|heads|hops|rows|draws|units|arrivals|"
    "samples|answers|turns|sessions|experts|layers|kernels|USD|GB|MB|TB|GiB|MiB|J|Wh|kWh|W|kW|ms|s|µs|h|once|"
    "twice|energy|price|cost|bandwidth|memory|output|power"
)
_EACH = (
    "machine|token|step|second|minute|hour|day|week|month|year|request|device|GPU|rank|node|replica|wafer|"
    "layer|sequence|head|expert|stage|watt|dollar|core|block|prompt|session|user|client|run|hop|rack"
)


class Retired(NamedTuple):
    """A phrase that is not used any more."""

    phrase: str
    """Regular expression, without regard to case."""
    instead: str
    """Words that are used now."""


RETIRED = (
    Retired(r"\bKV room\b|\broom (for|of) (the |its |their |whose )?KV\b", "KV cache capacity"),
    Retired(r"\bhand(s|ed|ing)?[- ]?overs?\b", "KV transfer, disaggregated prefill"),
    Retired(r"\bbatch(es)?'? places?\b|\bplaces? (of|in) (the|a|its|each) batch", "batch slots"),
    Retired(r"\b(reads?|reading) (the|a|its|their|whole|each|long)? ?prompts?\b", "prefill"),
    Retired(r"\bwarmth\b", "heat, temperature"),
    Retired(r"\bwithout end\b|\bfor ever\b|\bforever\b", "indefinitely"),
    Retired(r"\bcame '|\bcame \{|; wanted\b|\bwanted (a|an|one|the)\b", "got …; expected …"),
    Retired(r"\bthe same of\b", "the noun that is meant"),
    Retired(r"\bwhat binds\b|\bbinds first\b", "the limiting resource"),
    Retired(r"\bis right\b|: right\b", "OK, correct"),
    Retired(r"\b(equal|parallel|several|many) ways\b", "ECMP paths"),
    Retired(r"\blanes?\b(?! width)", "links, streams"),
    Retired(r"\bstations?\b", "operating point"),
    Retired(r"\bhot spots?\b|\bspots? of\b", "hotspot, location"),
    Retired(r"\bpace\b", "rate"),
    Retired(rf"\b({_COUNTED}) (an?) ({_EACH})\b", "per"),
)


def _patterns() -> list[tuple[re.Pattern[str], Retired]]:
    return [(re.compile(retired.phrase, re.IGNORECASE), retired) for retired in RETIRED]


_PATTERNS = _patterns()
_ANY = re.compile("|".join(retired.phrase for retired in RETIRED), re.IGNORECASE)
_CODE = re.compile(r"```.*?```|``[^`]*``|`[^`\n]*`|<code>.*?</code>|https?://\S+", re.DOTALL)
_KEY = re.compile(r"\b\w+_\w+\b|\b[\w/]+\.(?:yaml|png|py|md|json|csv|parquet)\b")
BAD_STARTS = (
    "Of", "That", "Which", "At", "As", "The same", "With", "From", "In", "By", "On", "To", "Than",
    "What", "How", "Who", "Whom", "Where", "When", "While", "Then", "It", "Its", "They", "Their", "These",
    "Those", "There", "And", "Or", "But", "Not", "So", "Because", "If", "Until", "Since", "After", "Before",
)  # fmt: skip
"""Words with which no docstring and no description begins: what follows has no subject."""


_BAD_START = re.compile(rf"({'|'.join(BAD_STARTS)})\b(?!')")


def retired_in(text: str) -> list[str]:
    """Return what is retired in a text: phrase -> words that are used now."""
    plain = " ".join(text.split())
    if not _ANY.search(plain):  # most texts; faster than phrase by phrase
        return []
    plain = _KEY.sub(" ", _CODE.sub(" ", plain))
    return [
        f"{match.group(0)!r} -> {retired.instead}"
        for pattern, retired in _PATTERNS
        for match in pattern.finditer(plain)
    ]


def bad_start(text: str) -> str | None:
    """Return the words with which a text begins though none should; None where it begins well."""
    match = _BAD_START.match(text)
    return match and match.group(1)
