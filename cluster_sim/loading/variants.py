"""Variants of a scenario file."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.errors import Fault, ScenarioError, did_you_mean, shown
from cluster_sim.schema import Document, file_name_fault, overridden, same_folder


def variant_names(document: Document) -> Iterator[str]:
    """Yield the names of a file's variants. Raise ScenarioError if they are not a mapping."""
    variants = document.data.get("variants")
    if variants is None:
        return
    if not isinstance(variants, dict) or not variants:
        raise ScenarioError.at(
            document.place(("variants",)),
            "variants: expected a mapping of names to changes",
        )
    for name, changes in variants.items():
        if changes is not None and not isinstance(changes, dict):
            raise ScenarioError.at(
                document.place(("variants", name)),
                f"variants.{name}: expected a mapping of changed keys, or {{}}",
            )
    if (alike := same_folder(map(str, variants))) is not None:
        first, second = map(shown, alike)
        raise ScenarioError.at(
            document.place(("variants", alike[1])),
            f"variants: {second} and {first} are the same folder on file systems that ignore case; expected names that differ in more than case",
        )
    yield from map(str, variants)


def name_faults(document: Document) -> Iterator[Fault]:
    """Yield the faults of the names of one scenario, which become names of folders."""
    for key in ("name", "variant"):
        name = document.data.get(key)
        if isinstance(name, str) and (fault := file_name_fault(name)) is not None:
            yield Fault(document.place((key,)), f"{key}: {shown(name)} {fault}")


def one_variant(document: Document, variant: str | None) -> Document:
    """Return the content of a file for one variant, merged over the rest; None for the rest alone."""
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
