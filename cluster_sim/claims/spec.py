"""Published claims as data: what is said, by whom, and which figures would bear it out under which
reading.

A file of claims names quantities, each a figure of a run, of arithmetic, of the catalog, of a
measurement or of a source, and says what each claim comes to as an expression of them.
"""

from __future__ import annotations

import ast
import operator
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cluster_sim.analysis.roofline_limits import LIMITS
from cluster_sim.errors import Fault, ScenarioError, did_you_mean, shown
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import (
    CATALOG,
    Description,
    Document,
    Trail,
    catalog_names,
    describe,
    figures,
    find,
    looking_in,
    read_yaml,
    under,
)
from cluster_sim.units import parse

Count = Annotated[int, Field(gt=0)]
Outcome = Literal["holds", "holds if", "does not hold", "no figure"]

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_KINDS = ("devices", "nodes", "prices", "links", "models", "engines")


def names_in(expression: str) -> list[str]:
    """The quantities that an expression names. Raises ValueError where it is none.

    >>> names_in("1e6 * (cs3 - gpu) / gpu")
    ['cs3', 'gpu']
    """
    return list(dict.fromkeys(_names(_tree(expression))))


def value_of(expression: str, numbers: Mapping[str, float]) -> float:
    """What an expression comes to. Raises ZeroDivisionError, and KeyError for a name that `numbers`
    lack.

    >>> value_of("8760 * (1 - 1 / gain)", {"gain": 2.0})
    4380.0
    """
    return _value(_tree(expression), numbers)


def _tree(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        raise ValueError(_no_expression(expression)) from fault


def _no_expression(expression: str) -> str:
    return f"came {shown(expression)}; wanted names of quantities and numbers with + - * / and parentheses"


def _names(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            yield name
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            yield from _names(left)
            yield from _names(right)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            yield from _names(inner)
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return
        case _:
            raise ValueError(_no_expression(ast.unparse(node)))


def _value(node: ast.expr, numbers: Mapping[str, float]) -> float:
    match node:
        case ast.Name(id=name):
            return numbers[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, numbers), _value(right, numbers))
        case ast.UnaryOp(operand=inner):
            return -_value(inner, numbers)
    assert isinstance(node, ast.Constant)
    return float(node.value)  # type: ignore[arg-type]  # reading has seen to it


def _as_text(came: Any) -> Any:
    return str(came) if isinstance(came, (int, float)) and not isinstance(came, bool) else came


def _is_expression(text: str) -> str:
    names_in(text)
    return text


Expression = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_expression)]


class _OfScenario(Description):
    scenario: str
    """Path of the scenario file, from the folder of this one."""
    variant: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    """Other values by dotted key, as --set takes them."""


class OfRun(_OfScenario):
    """A field of the summary of a run."""

    of: Literal["run"] = "run"
    metric: str
    """Those of pools and classes with dots: pools.cs3.kv_peak_fraction."""
    replications: Count = 1
    """Seeds, of which the mean is taken."""


class OfArithmetic(_OfScenario):
    """What `explain` says of a pool without simulating."""

    of: Literal["arithmetic"] = "arithmetic"
    figure: str
    """Such as requests_per_s, kv_tokens or parts.collectives."""
    pool: str | None = None
    """Default: the first."""


class OfLimit(_OfScenario):
    """What the hardware of one replica allows, by physics alone."""

    of: Literal["limit"] = "limit"
    limit: Literal[
        "bytes_a_token",
        "memory_bandwidth_bytes_per_s",
        "reading_s",
        "memory_tokens_per_s",
        "compute_tokens_per_s",
        "communication_s",
    ]
    pool: str | None = None
    """Default: the first."""


class OfCatalog(Description):
    """A figure of the catalog."""

    of: Literal["catalog"] = "catalog"
    entry: str
    figure: str
    """As `cluster-sim catalog ENTRY` lists it: memory.bandwidth."""
    unit: str | None = None
    """In which it is wanted, such as TB/s; default: a bare number."""


class OfMeasurement(Description):
    """One of the published measurements that the catalog holds."""

    of: Literal["measurement"] = "measurement"
    where: Annotated[dict[str, str | float], Field(min_length=1)]
    """Values of columns that one row alone has; of numbers as they are written there."""


class Stated(Description):
    """A figure from elsewhere."""

    of: Literal["source"] = "source"
    value: float
    source: str


Quantity = Annotated[
    OfRun | OfArithmetic | OfLimit | OfCatalog | OfMeasurement | Stated, Field(discriminator="of")
]


class Reading(Description):
    """One way to understand a claim."""

    name: str
    """As it stands behind `if it means`: one user, without drafts."""
    found: Expression
    """What the simulator, or the catalog, says under it."""
    limit: Expression | None = None
    """The most that the hardware allows under it."""
    measured: tuple[Expression, ...] = ()
    """What has been published of the same."""


class Because(Description):
    """Why, for each way in which it may come out; quantities, `found` and `claimed` stand in
    braces: {cs3_alone:.0f}.
    """

    holds: str = ""
    holds_if: str = ""
    does_not_hold: str = ""


class Claim(Description):
    """What somebody says, with its figure."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    text: str
    source: str | None = None
    """Default: that of all claims of the file."""
    value: Expression | None = None
    """The figure that is claimed; without one, readings are told and not judged."""
    unit: str = ""
    relation: Literal["about", "at_least", "at_most"] = "about"
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """Share of the figure; default: that of all claims of the file."""
    readings: Annotated[tuple[Reading, ...], Field(min_length=1)]
    """The plain one first."""
    because: Because = Field(default_factory=Because)


class Claims(Description):
    """A file of claims.

    A reading bears a claim out where what is found is within the tolerance of what is claimed
    (about), no less than it (at_least) or no more (at_most), less or more by the tolerance, and
    where measurements were published, at least one of them is too. A claim holds where its plain
    reading bears it out, holds if another is meant where only that does, and does not hold where
    none does.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    source: str = ""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    quantities: dict[str, Quantity]
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]


_SCALES = {"": 1.0, "ms": 1e3, "us": 1e6, "kW": 1e-3, "millions": 1e-6}


class Said(float):
    """A number that says itself with three figures, or in a smaller or larger unit with that unit,
    or as any other format asks.

    >>> f"{Said(1234.5)} {Said(0.01234)} {Said(1234.5):.1f} {Said(0.0025):ms}"
    '1,234 0.0123 1234.5 2.5 ms'
    """

    def __format__(self, spec: str) -> str:
        """With `spec` as any float, or with a unit."""
        if spec not in _SCALES:
            return format(float(self), spec)
        number = _SCALES[spec] * float(self)
        text = f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"
        return f"{text} {spec}".rstrip()


@dataclass(frozen=True)
class ClaimsFile:
    """A file of claims, checked, with the scenarios that its quantities ask for."""

    described: Claims
    document: Document
    scenarios: Mapping[str, Scenario]
    """By the name of the quantity."""
    known: Mapping[str, float]
    """Quantities that need no scenario."""

    def place(self, *trail: str | int) -> str:
        """Where the value at `trail` was written, for messages."""
        return self.document.place(trail)


def is_claims(path: str | Path) -> bool:
    """Whether the YAML file at `path` holds claims rather than a scenario. Raises ScenarioError
    where it cannot be read.
    """
    return "claims" in read_yaml(Path(path)).data


def open_claims(path: str | Path) -> ClaimsFile:
    """The file at `path`, its scenarios checked, nothing simulated yet. Raises ScenarioError with
    all that is wrong with it.
    """
    document = read_yaml(Path(path))
    described = describe(Claims, document)
    faults = [
        Fault(document.place(trail), f"{under(trail)}{what}")
        for trail, what in _wrong_names(described)
    ]
    scenarios: dict[str, Scenario] = {}
    known: dict[str, float] = {}
    files: dict[Path, ScenarioFile] = {}
    for name, quantity in described.quantities.items():
        trail: Trail = ("quantities", name)
        try:
            if isinstance(quantity, _OfScenario):
                scenarios[name] = _scenario(quantity, document, trail, files)
            else:
                known[name] = _known(quantity)
        except ScenarioError as error:
            faults += error.faults
        except ValueError as fault:
            faults.append(Fault(document.place(trail), f"{under(trail)}{fault}"))
    if faults:
        raise ScenarioError(list(dict.fromkeys(faults)))
    return ClaimsFile(described, document, scenarios, known)


def _wrong_names(described: Claims) -> Iterator[tuple[Trail, str]]:
    """Names of quantities that there are not."""
    quantities = sorted(described.quantities)
    names = [claim.name for claim in described.claims]
    for place, claim in enumerate(described.claims):
        trail: Trail = ("claims", place)
        if claim.name in names[:place]:
            yield (*trail, "name"), f"two claims are called '{claim.name}'"
        expressions: list[tuple[Trail, str | None]] = [((*trail, "value"), claim.value)]
        for number, reading in enumerate(claim.readings):
            inner: Trail = (*trail, "readings", number)
            expressions += [((*inner, "found"), reading.found), ((*inner, "limit"), reading.limit)]
            expressions += [
                ((*inner, "measured", at), one) for at, one in enumerate(reading.measured)
            ]
        for where, expression in expressions:
            for name in names_in(expression) if expression else ():
                if name not in described.quantities:
                    yield where, f"no quantity '{name}'{did_you_mean(name, quantities)}"
        for outcome in Because.model_fields:
            if fault := _wrong_template(getattr(claim.because, outcome), described.quantities):
                yield (*trail, "because", outcome), fault


def _wrong_template(text: str, quantities: Mapping[str, Any]) -> str:
    """What is wrong with a sentence whose numbers stand in braces; empty where nothing is."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        if unknown := sorted(names - quantities.keys() - {"found", "claimed"}):
            return f"no quantity '{unknown[0]}'{did_you_mean(unknown[0], [*sorted(quantities), 'found', 'claimed'])}"
        text.format_map(dict.fromkeys(names, Said(1.0)))
    except ValueError as fault:
        return f"is no sentence with numbers in braces: {fault}"
    return ""


def _scenario(
    quantity: _OfScenario, document: Document, trail: Trail, files: dict[Path, ScenarioFile]
) -> Scenario:
    with looking_in(Path(document.file).parent):
        path = find(quantity.scenario)
    if path is None:
        raise ScenarioError.at(
            document.place((*trail, "scenario")),
            f"{under((*trail, 'scenario'))}no file {shown(quantity.scenario)}",
        )
    file = files.setdefault(path, open_scenarios(path)) if path not in files else files[path]
    if quantity.variant is None and len(file.variants) > 1:
        raise ScenarioError.at(
            document.place(trail),
            f"{under(trail)}{quantity.scenario} has the variants {', '.join(file.variants)}; name one",
        )
    if quantity.variant is not None and quantity.variant not in file.variants:
        what = f"no variant '{quantity.variant}' in {quantity.scenario}{did_you_mean(quantity.variant, file.variants) if file.variants else ''}"
        raise ScenarioError.at(document.place((*trail, "variant")), f"{under(trail)}{what}")
    scenario = file.scenario(quantity.variant, quantity.set, where=document.place((*trail, "set")))
    pool = getattr(quantity, "pool", None)
    if pool is not None and pool not in (names := [one.name for one in scenario.cluster.pools]):
        raise ScenarioError.at(
            document.place((*trail, "pool")),
            f"{under(trail)}no pool '{pool}'{did_you_mean(pool, names)}",
        )
    return scenario


def _known(quantity: OfCatalog | OfMeasurement | Stated) -> float:
    """A quantity that needs no scenario. Raises ValueError where there is no such figure."""
    match quantity:
        case OfCatalog():
            return _of_catalog(quantity)
        case OfMeasurement():
            return _measured(quantity.where)
        case Stated():
            return quantity.value


def _of_catalog(quantity: OfCatalog) -> float:
    kinds = {name: kind for kind in _KINDS for name in catalog_names(kind)}
    if quantity.entry not in kinds:
        raise ValueError(
            f"no entry '{quantity.entry}' in the catalog{did_you_mean(quantity.entry, sorted(kinds))}"
        )
    values = {
        one.path: one.value
        for one in figures(
            read_yaml(CATALOG / kinds[quantity.entry] / f"{quantity.entry}.yaml").data
        )
    }
    if quantity.figure not in values:
        raise ValueError(
            f"no figure '{quantity.figure}' of {quantity.entry}{did_you_mean(quantity.figure, sorted(values))}"
        )
    written = values[quantity.figure]
    if quantity.unit is not None:
        parse(f"1 {quantity.unit}", quantity.unit)  # whether there is such a unit
        return parse(written, quantity.unit)
    try:
        return float(written)
    except ValueError as fault:
        raise ValueError(
            f"{quantity.figure} of {quantity.entry} is '{written}'; wanted 'unit', in which to take it"
        ) from fault


def _measured(where: Mapping[str, str | float]) -> float:
    import csv

    with open(CATALOG / "reference.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if unknown := [column for column in where if column not in rows[0]]:
        raise ValueError(
            f"no column '{unknown[0]}' of measurements{did_you_mean(unknown[0], list(rows[0]))}"
        )
    found = [
        row for row in rows if all(row[column] == str(value) for column, value in where.items())
    ]
    if len(found) != 1:
        raise ValueError(f"{len(found)} measurements are so; wanted one")
    value = float(found[0]["value"])
    assert isfinite(value)
    return value


__all__ = [
    "LIMITS",
    "Claim",
    "Claims",
    "ClaimsFile",
    "OfArithmetic",
    "OfLimit",
    "OfRun",
    "Outcome",
    "Reading",
    "Said",
    "is_claims",
    "open_claims",
    "value_of",
]
