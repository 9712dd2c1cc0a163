"""Values of a first scenario: the options of `init`, their defaults, and their faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cluster_sim.errors import Fault, ScenarioError, shown
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model_names import known_model
from cluster_sim.schema import find, named
from cluster_sim.schema.yaml_files import parse_value
from cluster_sim.starters.recorded import Recorded
from cluster_sim.units import parse

_BURST = re.compile(
    r"(?P<rate>.+?)\s+for\s+(?P<lasts>.+?)(\s+every\s+(?P<every>.+?))?(\s+at\s+(?P<at>.+?))?"
)
_BURST_SHAPE = "'10 /s for 1 min every 10 min', the rate on top of --rate"
_BURST_KEYS = {"rate": "/s", "lasts": "s", "every": "s", "at": "s"}
_LENGTHS_SHAPE = "a number of tokens, or a mapping such as {distribution: lognormal, median: 1000, p99: 6000, max: 8000}"


def _model(text: str) -> str:
    """Return the model's name in the catalog, or the path of its file."""
    if find(text, folders=True) is None and (known := known_model(text)) is not None:
        return known.name
    read_model(text)
    return text


def _node(text: str) -> str:
    named("nodes", text)
    return text


def _whole(what: str) -> Callable[[str], int]:
    """Return a check of a whole number of things."""

    def checked(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= 100_000:
            raise ValueError(f"got {shown(text)}; expected a whole number of {what} from 1 on")
        return int(text)

    return checked


def _positive(unit: str, example: str) -> Callable[[str], str]:
    """Return a check of a positive quantity in `unit`, which is kept as it is written."""

    def checked(text: str) -> str:
        try:
            value = parse(text, unit)
        except ValueError as fault:
            raise ValueError(f"{fault}; expected a quantity such as '{example}'") from fault
        if not value > 0.0:
            raise ValueError(f"got {shown(text)}; expected more than 0 {unit}")
        return text.strip()

    return checked


def _percentile(text: str) -> float | int:
    try:
        value = float(text.strip().removeprefix("p"))
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 100.0:
        raise ValueError(f"got {shown(text)}; expected a percentile such as 95")
    return int(value) if value.is_integer() else value


def _lengths(text: str) -> Any:
    value = parse_value(text, "lengths")
    if isinstance(value, bool) or not isinstance(value, (int, dict)):
        raise ValueError(f"got {shown(value)}; expected {_LENGTHS_SHAPE}")
    return value


def _burst(text: str) -> dict[str, str]:
    """Return a burst's keys: its rate, how long it lasts, and after which time it comes again."""
    if text.lstrip().startswith("{"):
        written = parse_value(text, "burst")
        keys = {key: str(value) for key, value in written.items()}
    else:
        match = _BURST.fullmatch(text.strip())
        keys = (
            {}
            if match is None
            else {key: value for key, value in match.groupdict().items() if value}
        )
    if not {"rate", "lasts"} <= keys.keys() <= _BURST_KEYS.keys():
        raise ValueError(f"got {shown(text)}; expected {_BURST_SHAPE}")
    for key, value in keys.items():
        seconds = parse(value, _BURST_KEYS[key])
        if seconds < 0.0 or (seconds == 0.0 and key != "at"):
            raise ValueError(f"got {key} {shown(value)}; expected more than 0")
    return keys


class Option(NamedTuple):
    """One option of `init`, which is also a question on a terminal."""

    name: str
    """Name of the option, without its hyphens."""
    question: str
    """Question that asks for it."""
    read: Callable[[str], Any]
    """Function that returns its value; raises ValueError for a text that is no such value."""
    default: str | None
    """Text that is taken if it is not given; None if nothing is."""
    is_asked: bool = True
    """Whether a terminal is asked for it."""

    def value(self, text: str) -> Any:
        """Return the value of a text.

        Raises
        ------
        ScenarioError
            The text is no such value.
        """
        try:
            return self.read(text)
        except ScenarioError as error:
            what = "; ".join(fault.what for fault in error.faults)
            raise ScenarioError.at(f"--{self.name}", what) from error
        except ValueError as fault:
            raise ScenarioError.at(f"--{self.name}", str(fault)) from fault


OPTIONS = {
    option.name: option
    for option in (
        Option("model", "Model (a catalog name, or the path of a config.json)", _model, "llama-3.3-70b"),
        Option("node", "Node (a catalog name, or the path of a node file)", _node, "dgx-h200"),
        Option("nodes", "Number of nodes (empty: as many as the model needs)", _whole("nodes"), None),
        Option("replicas", "Number of replicas (empty: as many as the nodes hold)", _whole("replicas"), None, is_asked=False),
        Option("tensor-parallel", "Tensor-parallel ranks of a replica (empty: the smallest that suffices)", _whole("ranks"), None, is_asked=False),
        Option("rate", "Mean rate of requests, without bursts", _positive("/s", "12 /s"), "2 /s"),
        Option("burst", "Bursts on top of this rate, such as 10 /s for 1 min every 10 min (empty: none)", _burst, None),
        Option("prompt-tokens", "Tokens of a prompt", _lengths, "{distribution: lognormal, median: 1000, p99: 6000, max: 8000}", is_asked=False),
        Option("output-tokens", "Tokens of an answer", _lengths, "{distribution: lognormal, median: 250, p99: 1200, max: 2000}", is_asked=False),
        Option("ttft", "Objective: time to first token (TTFT)", _positive("s", "500 ms"), "1 s"),
        Option("tpot", "Objective: time per output token after the first (TPOT)", _positive("s", "25 ms"), "50 ms"),
        Option("percentile", "Percentile of requests at which both must hold", _percentile, "99"),
    )
}  # fmt: skip
"""Options by name, in the order in which they are asked."""


@dataclass(frozen=True)
class Answers:
    """Values of a first scenario."""

    values: Mapping[str, Any]
    """Value of each option that has one, by its name."""
    defaults: tuple[str, ...] = ()
    """Names of the options whose default was taken."""
    recorded: Recorded = field(default_factory=Recorded)
    """Result of a benchmark client that the scenario begins with."""
    weights: str | None = None
    """Precision of the weights, if the model's name gives it."""

    @property
    def slo(self) -> dict[str, Any]:
        """Objectives, as keys of a scenario."""
        return {key: self.values[key] for key in ("ttft", "tpot", "percentile")}


def answers_of(texts: Mapping[str, str | None], recorded: Recorded | None = None) -> Answers:
    """Return the values of options, with defaults for those that are missing.

    Parameters
    ----------
    texts
        Text of each option that is given, by its name; None for one that is not.
    recorded
        Result of a benchmark client, which stands in place of options that are not given.

    Raises
    ------
    ScenarioError
        Some options are faulty; all faults are named.
    """
    recorded = recorded or Recorded()
    values: dict[str, Any] = {}
    defaults: list[str] = []
    faults = [*_contradictions(texts, recorded)]
    for name, option in OPTIONS.items():
        text = texts.get(name)
        try:
            if text is not None:
                values[name] = option.value(text)
            elif name in recorded.values:
                values[name] = recorded.values[name]
            elif option.default is not None and not recorded.stands_for(name):
                values[name] = option.value(option.default)
                defaults.append(name)
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(faults)
    model = texts.get("model")
    known = None if model is None else known_model(model)
    weights = recorded.weights if model is None else known and known.weights
    return Answers(values, tuple(defaults), recorded, weights)


def _contradictions(texts: Mapping[str, str | None], recorded: Recorded) -> Iterator[Fault]:
    """Yield options that the result has in another way."""
    for name in OPTIONS:
        if texts.get(name) is None or not recorded.stands_for(name):
            continue
        if recorded.deployment is not None:
            yield Fault(
                f"--{name}",
                f"{recorded.path} states the layout; omit this option or --from",
            )
        elif recorded.replays:
            yield Fault(
                f"--{name}",
                "the requests of the result are sent again at their times, with their lengths; omit this option or --from",
            )
        elif name == "burst" and texts.get("rate") is None:
            yield Fault(f"--{name}", "the result has a load without bursts; expected --rate too")
