"""Scenario files: merging of variants, overrides, and all checks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.loading.variants import name_faults, one_variant, variant_names
from cluster_sim.scenario.renamed_keys import NEW_NAMES, NEW_NAMES_IN_FILES
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity, Plan, StudySections, Sweep
from cluster_sim.schema import (
    Document,
    describe,
    looking_in,
    overridden,
    override,
    read_text,
    read_yaml,
    under,
    user_file,
    with_new_names,
)

_OF_MODELS = {"model_type", "architectures", "hidden_size", "num_hidden_layers"}
"""Keys of a model's config.json. Every such file has some of them."""
_OF_TRACES = {".csv", ".jsonl", ".parquet", ".gz", ".zst"}
"""Endings of the names of traces. A scenario file has another ending."""

_STUDY = re.compile(rf"\s*({'|'.join(StudySections.model_fields)})\s*[.=[]")
"""Beginning of a text `key=value` that belongs to a study section and not to scenarios."""


def load_scenario(
    path: str | Path,
    variant: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Scenario:
    """Return one scenario of a file.

    Parameters
    ----------
    path
        Scenario file, or `example:NAME` for a scenario that ships with the package.
    variant
        Name of the variant. Default: the only variant, or the file without variants.
    overrides
        Values by dotted key, such as {"cluster.pools[0].nodes": 2}, which are applied last.
        Quantities are texts with their unit, as in the file: {"duration": "5 min"}.
    seed
        Seed that replaces the seed of the file.

    Returns
    -------
    Scenario
        Description of the run. It is frozen, and quantities in it are in SI units.

    Raises
    ------
    ScenarioError
        The file has faults, all of which are named, or it has several variants and none is given.

    Examples
    --------
    >>> import cluster_sim
    >>> scenario = cluster_sim.load_scenario("example:burst_70b", "cs3", {"duration": "5 min"})
    >>> scenario.model.name, scenario.duration_s
    ('Llama 3.3 70B', 300.0)
    """
    document = open_scenarios(path).document
    sets = [(key, value, f"override {key}") for key, value in (overrides or {}).items()]
    names = list(variant_names(document))
    if variant is None and names:
        if len(names) > 1:
            raise ScenarioError.at(
                document.place(("variants",)), f"got no variant; expected one of {', '.join(names)}"
            )
        variant = names[0]
    return _one(document, variant, sets, seed)


def load_variants(
    path: str | Path,
    variants: Sequence[str] = (),
    sets: Sequence[str] = (),
    seed: int | None = None,
) -> list[Scenario]:
    """Return all variants of a file, or the named ones, with `key=value` texts applied.

    A file without variants gives one scenario.

    Parameters
    ----------
    path
        Scenario file, or `example:NAME` for a scenario that ships with the package.
    variants
        Names of the variants. Default: all variants.
    sets
        `key=value` texts, as of the option `--set`, which are applied to each variant.
    seed
        Seed that replaces the seed of the file.

    Returns
    -------
    list of Scenario
        Scenarios in the order of the names or of the file.

    Raises
    ------
    ScenarioError
        Some variants have faults; those of all variants are named.

    Examples
    --------
    >>> import cluster_sim
    >>> scenarios = cluster_sim.load_variants("example:what_saturates", sets=["duration=1 min"])
    >>> [scenario.title for scenario in scenarios]
    ['what-saturates/b200', 'what-saturates/cs3']
    """
    file = open_scenarios(path, sets)
    document = file.document
    names: list[str | None] = list(variants) or list(variant_names(document)) or [None]
    scenarios: list[Scenario] = []
    faults: list[Fault] = []
    for variant in names:
        try:
            scenarios.append(_one(document, variant, [], seed, file.sets))
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(list(dict.fromkeys(faults)))
    return scenarios


def question_of(path: str | Path) -> str:
    """Return the question of a scenario file: the first paragraph of its comment at the top.

    The text is empty if the file does not begin with a comment.
    """
    lines = read_text(user_file(path)).lstrip("\ufeff").splitlines()
    comment = [
        line.lstrip("# ").rstrip() for line in takewhile(lambda line: line.startswith("#"), lines)
    ]
    return " ".join(takewhile(bool, dropwhile(lambda line: not line, comment)))


@dataclass(frozen=True)
class ScenarioFile:
    """A scenario file that is read once, and from which many scenarios are made."""

    document: Document
    sets: tuple[str, ...]
    """Texts `key=value` that apply to all scenarios of the file, without those of its studies."""
    sweep: Sweep | None
    """Section `sweep` of the file."""
    capacity: Capacity | None
    """Section `capacity` of the file."""
    plan: Plan | None = None
    """Section `plan` of the file."""

    @property
    def variants(self) -> list[str]:
        """Names of the variants; empty if the file has none."""
        return list(variant_names(self.document))

    def place(self, *trail: str | int) -> str:
        """Return the location of the value at `trail`, for messages."""
        return self.document.place(trail)

    def written(self, variant: str | None = None, values: Mapping[str, Any] | None = None) -> Any:
        """Return the content of the file for one variant, with catalog names as they are written.

        Parameters
        ----------
        variant
            Name of the variant; None for the plain file.
        values
            Values by dotted key.
        """
        with looking_in(Path(self.document.file).parent):
            base = _set(one_variant(self.document, variant), self.sets)[0]
            for key, value in (values or {}).items():
                base = overridden(base, key, value, f"override: {key}", NEW_NAMES)
            return base.data

    def scenario(
        self,
        variant: str | None = None,
        values: Mapping[str, Any] | None = None,
        seed: int | None = None,
        where: str = "override",
    ) -> Scenario:
        """Return one scenario of the file.

        Parameters
        ----------
        variant
            Name of the variant; None for the plain file.
        values
            Values by dotted key.
        seed
            Seed that replaces the seed of the file.
        where
            Origin of the values, for messages.

        Raises
        ------
        ScenarioError
            The scenario has faults, all of which are listed.
        """
        overrides = [(key, value, f"{where}: {key}") for key, value in (values or {}).items()]
        return _one(self.document, variant, overrides, seed, self.sets)


def open_scenarios(path: str | Path, sets: Sequence[str] = ()) -> ScenarioFile:
    """Return the file at `path`. Its study sections are checked, its scenarios are not yet.

    Parameters
    ----------
    path
        Scenario file, or `example:NAME` for a scenario that ships with the package.
    sets
        `key=value` texts that apply to all scenarios of the file.

    Raises
    ------
    ScenarioError
        The file cannot be read, or its study sections have faults.
    """
    file = user_file(path)
    if file.suffix.lower() in _OF_TRACES and file.is_file():
        raise ScenarioError.at(
            str(path),
            f"got a table; expected a scenario, which replays it as `workload: {{trace: {{path: {path}}}}}`",
        )
    return scenarios_of(read_yaml(file), sets)


def scenarios_of(document: Document, sets: Sequence[str] = ()) -> ScenarioFile:
    """Return the scenarios of a document. Only its study sections are checked yet.

    Parameters
    ----------
    document
        Values of a scenario file, with the line of each.
    sets
        `key=value` texts that apply to all scenarios of the file.

    Raises
    ------
    ScenarioError
        Its study sections have faults, or the document is not a scenario.
    """
    document = with_new_names(document, NEW_NAMES_IN_FILES)
    _no_model(document)
    asked = {key: document.data[key] for key in StudySections.model_fields if key in document.data}
    studies = Document(asked, document.file, document.places)
    of_studies = [text for text in sets if _STUDY.match(text)]
    for text in of_studies:
        studies = override(studies, text, NEW_NAMES)
    questions = describe(StudySections, studies)
    for key in asked:
        document = document.without(key)
    of_scenarios = tuple(text for text in sets if text not in of_studies)
    return ScenarioFile(document, of_scenarios, questions.sweep, questions.capacity, questions.plan)


def _no_model(document: Document) -> None:
    """Raise ScenarioError if a file is a model's config.json instead of a scenario."""
    keys = document.data.keys()
    if _OF_MODELS & keys and not {"cluster", "workload", "variants"} & keys:
        raise ScenarioError.at(
            document.file,
            f"got a model's configuration; expected a scenario, which names it as `model: {document.file}`",
        )


def _one(
    document: Document,
    variant: str | None,
    overrides: Sequence[tuple[str, Any, str]],
    seed: int | None,
    sets: Sequence[str] = (),
) -> Scenario:
    with looking_in(Path(document.file).parent):
        base, faults = _set(one_variant(document, variant), sets)
        for key, value, where in overrides:
            base = overridden(base, key, value, where, NEW_NAMES)
        if seed is not None:
            base = overridden(base, "seed", seed, "--seed")
        faults += name_faults(base)
        try:
            base = with_new_names(base, NEW_NAMES)
            scenario = describe(Scenario, base)
        except ScenarioError as error:
            raise ScenarioError([*faults, *error.faults]) from error
    suffix = f" (variant {variant})" if variant is not None else ""
    try:
        faults += [
            Fault(base.place(trail), f"{under(trail)}{what}{suffix}")
            for trail, what in faults_of(scenario)
        ]
    except (OverflowError, ZeroDivisionError) as error:
        raise ScenarioError.at(
            base.file, f"a number is too large or too small to compute with{suffix}"
        ) from error
    if faults:
        raise ScenarioError(faults)
    return scenario


def _set(base: Document, sets: Sequence[str]) -> tuple[Document, list[Fault]]:
    """Apply `key=value` texts to `base`. Return the faults of texts that do not apply."""
    faults: list[Fault] = []
    for text in sets:
        try:
            base = override(base, text, NEW_NAMES)
        except ScenarioError as error:
            faults += error.faults
    return base, faults
