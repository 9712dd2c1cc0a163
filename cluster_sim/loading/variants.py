"""Variants of a scenario file."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.schema import Document, overridden


def variant_names(document: Document) -> Iterator[str]:
    """Yield the names of a file's variants; raise ScenarioError where they are no mapping."""
    variants = document.data.get("variants")
    if variants is None:
        return
    if not isinstance(variants, dict) or not variants:
        raise ScenarioError.at(
            document.place(("variants",)),
            "variants: wanted a mapping of names to what each changes",
        )
    for name, changes in variants.items():
        if changes is not None and not isinstance(changes, dict):
            raise ScenarioError.at(
                document.place(("variants", name)),
                f"variants.{name}: wanted a mapping of what it changes, or {{}}",
            )
        yield str(name)


def one_variant(document: Document, variant: str | None) -> Document:
    """Return what a file says of one variant, which is merged over the rest; None: the rest."""
    names = list(variant_names(document))
    base = document.without("variants")
    if variant is None:
        return base
    if variant not in names:
        raise ScenarioError.at(
            document.place(("variants",)) if names else document.file,
            f"no variant '{variant}'{did_you_mean(variant, names) if names else '; the file has none'}",
        )
    over = document.at("variants").at(variant)
    base = base.merged(Document(over.data or {}, over.file, over.places))
    return overridden(base, "variant", variant, document.place(("variants", variant)))
