"""Reader of files of claims. It checks a file without simulating."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_sim.claims.changes import Changes, Needed, parameters_in
from cluster_sim.claims.expressions import names_in
from cluster_sim.claims.quantities import OfScenario, Simulated
from cluster_sim.claims.rounded import Rounded
from cluster_sim.claims.spec import Because, Claim, Claims, names_in_braces
from cluster_sim.errors import Fault, ScenarioError, did_you_mean, shown
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.schema import (
    Document,
    Trail,
    describe,
    find,
    looking_in,
    read_yaml,
    under,
    user_file,
)


@dataclass(frozen=True)
class ClaimsFile:
    """Checked file of claims with the scenarios that its quantities need."""

    described: Claims
    """Content of the file."""
    document: Document
    """Lines of the file, for messages."""
    simulated: Mapping[str, Needed]
    """Quantities that need a scenario, by name."""
    known: Mapping[str, float]
    """Values of parameters and of quantities that need no scenario, by name."""

    def place(self, *trail: str | int) -> str:
        """Return the file and line of the value at a trail of keys, for messages."""
        return self.document.place(trail)

    def chosen(self, names: Sequence[str]) -> dict[int, Claim]:
        """Return the claims of the given names by their position in the file; all without names.

        Raises ScenarioError if the file has no claim of a name.
        """
        known = [claim.name for claim in self.described.claims]
        for name in names:
            if name not in known:
                what = f"no claim '{name}'{did_you_mean(name, known)}"
                raise ScenarioError.at(self.document.file, what)
        return {
            place: claim
            for place, claim in enumerate(self.described.claims)
            if claim.name in (names or known)
        }

    def quantities_of(self, claims: Iterable[Claim]) -> list[str]:
        """Return the names of the quantities that claims use, in the order of the file.

        All quantities are returned if the claims are those of the whole file.
        """
        claims = tuple(claims)
        if claims == self.described.claims:
            return list(self.described.quantities)
        used = {name for claim in claims for name in claim.quantities()}
        return [name for name in self.described.quantities if name in used]


def is_claims(path: str | Path) -> bool:
    """Return whether a YAML file holds claims, and not a scenario.

    Raises
    ------
    ScenarioError
        The file cannot be read.
    """
    return "claims" in read_yaml(user_file(path)).data


def open_claims(path: str | Path) -> ClaimsFile:
    """Read and check a file of claims and all scenarios that it names.

    Parameters
    ----------
    path
        Path of a YAML file of claims.

    Raises
    ------
    ScenarioError
        The file or a scenario has faults. The error lists all faults.
    """
    document = read_yaml(user_file(path))
    described = describe(Claims, document)
    faults = [
        Fault(document.place(trail), f"{under(trail)}{what}")
        for trail, what in _wrong_names(described)
    ]
    simulated: dict[str, Needed] = {}
    parameters = {name: each.value for name, each in described.parameters.items()}
    known: dict[str, float] = {}
    scenarios = _Scenarios(document, parameters)
    for name, quantity in described.quantities.items():
        trail: Trail = ("quantities", name)
        try:
            if isinstance(quantity, OfScenario):
                simulated[name] = scenarios.of(quantity, trail)
            else:
                known[name] = quantity.known()
        except ScenarioError as error:
            faults += error.faults
        except ValueError as fault:
            faults.append(Fault(document.place(trail), f"{under(trail)}{fault}"))
    if faults:
        raise ScenarioError(list(dict.fromkeys(faults)))
    return ClaimsFile(described, document, simulated, parameters | known)


def _wrong_names(described: Claims) -> Iterator[tuple[Trail, str]]:
    """Yield faults of names: names that stand twice, and names of nothing that exists."""
    for name in described.parameters.keys() & described.quantities.keys():
        yield ("parameters", name), f"a quantity is called '{name}', too"
    names = [claim.name for claim in described.claims]
    for place, claim in enumerate(described.claims):
        if claim.name in names[:place]:
            yield ("claims", place, "name"), f"two claims are called '{claim.name}'"
        known = {**described.quantities, **described.parameters}
        for trail, what in (
            *_unknown_quantities(claim, known),
            *_unknown_parameters(claim, described),
        ):
            yield ("claims", place, *trail), what


def _unknown_quantities(claim: Claim, quantities: Mapping[str, Any]) -> Iterator[tuple[Trail, str]]:
    for trail, expression in claim.expressions():
        for name in names_in(expression):
            if name not in quantities:
                yield trail, f"no quantity '{name}'{did_you_mean(name, sorted(quantities))}"
    for outcome in Because.model_fields:
        if fault := _wrong_template(getattr(claim.because, outcome), quantities):
            yield ("because", outcome), fault


def _unknown_parameters(claim: Claim, described: Claims) -> Iterator[tuple[Trail, str]]:
    known = described.parameters
    for number, reading in enumerate(claim.readings):
        if reading.over is not None and (name := reading.over.parameter) not in known:
            trail = ("readings", number, "over", "parameter")
            yield trail, f"no parameter '{name}'{did_you_mean(name, sorted(known))}"


def _wrong_template(text: str, quantities: Mapping[str, Any]) -> str:
    """Return the fault of a sentence with numbers in braces; "" for a sentence without fault."""
    try:
        names = names_in_braces(text)
        if unknown := sorted(names - quantities.keys() - {"found", "claimed"}):
            known = [*sorted(quantities), "found", "claimed"]
            return f"no quantity '{unknown[0]}'{did_you_mean(unknown[0], known)}"
        text.format_map(dict.fromkeys(names, Rounded(1.0)))
    except ValueError as fault:
        return f"got no sentence with numbers in braces, such as {{cs3_alone:.0f}}: {fault}"
    return ""


class _Scenarios:
    """Scenarios that the quantities of a file name. Each scenario file is read once."""

    def __init__(self, document: Document, parameters: Mapping[str, float]) -> None:
        self._document = document
        self._parameters = parameters
        self._files: dict[Path, ScenarioFile] = {}

    def of(self, quantity: Simulated, trail: Trail) -> Needed:
        """Return a quantity with the file of its scenario.

        Parameters
        ----------
        quantity
            Quantity that needs a scenario.
        trail
            Keys that lead to the quantity, for messages.

        Raises
        ------
        ScenarioError
            The file, the variant or the pool does not exist, or the scenario has faults.
        """
        file = self._file(quantity, trail)
        self._check_variant(quantity, trail, file)
        for name in parameters_in(quantity.set):
            if name not in self._parameters:
                hint = did_you_mean(name, sorted(self._parameters))
                raise self._fault(trail, "set", f"no parameter '{name}'{hint}")
        needed = Needed(quantity, file, self._parameters)
        where = self._document.place((*trail, "set"))
        names = [pool.name for pool in needed.changed(Changes(), where).cluster.pools]
        pool = quantity.pool_name()
        if pool is not None and pool not in names:
            raise self._fault(trail, "pool", f"no pool '{pool}'{did_you_mean(pool, names)}")
        return needed

    def _file(self, quantity: Simulated, trail: Trail) -> ScenarioFile:
        with looking_in(Path(self._document.file).parent):
            path = find(quantity.scenario)
        if path is None:
            where = (*trail, "scenario")
            raise ScenarioError.at(
                self._document.place(where),
                f"{under(where)}no file {shown(quantity.scenario)}",
            )
        if path not in self._files:
            self._files[path] = open_scenarios(path)
        return self._files[path]

    def _check_variant(self, quantity: Simulated, trail: Trail, file: ScenarioFile) -> None:
        variant, variants = quantity.variant, file.variants
        if variant is None and len(variants) > 1:
            raise ScenarioError.at(
                self._document.place(trail),
                f"{under(trail)}got no variant of {quantity.scenario}; expected one of {', '.join(variants)}",
            )
        if variant is not None and variant not in variants:
            hint = did_you_mean(variant, variants) if variants else ""
            raise self._fault(
                trail, "variant", f"no variant '{variant}' in {quantity.scenario}{hint}"
            )

    def _fault(self, trail: Trail, key: str, what: str) -> ScenarioError:
        return ScenarioError.at(self._document.place((*trail, key)), f"{under(trail)}{what}")
