"""Ranges of conditions, and effects of uncertain inputs, of all readings of a file together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cluster_sim.claims.changes import Changes
from cluster_sim.claims.effects import effect_of, listed, share_of
from cluster_sim.claims.judged import Effect, HoldsFor
from cluster_sim.claims.numbers import Numbers
from cluster_sim.claims.ranges import Search, Side, Span, Variable, span_of
from cluster_sim.claims.readings import ReadingOf, ReadValues
from cluster_sim.claims.spec import Parameter
from cluster_sim.errors import ScenarioError
from cluster_sim.studies.runner import Runner
from cluster_sim.studies.uncertain_figures import Uncertain

_HERE = Runner(0)

Found = tuple[HoldsFor | None, tuple[Effect, ...]]
"""Range of the condition of a reading, and effects of its uncertain inputs."""


@dataclass(frozen=True)
class _Task:
    """Search of one variable of one reading."""

    reading: ReadingOf
    numbers: Numbers
    variable: Variable
    changes: Callable[[float], Changes]
    """Function from a value of the variable to changes."""
    search: Search

    def values(self, point: float) -> ReadValues | None:
        """Return the values of the reading; None if they do not exist."""
        numbers = self.numbers.of(self.reading.judged_names, self.changes(point))
        try:
            return None if numbers is None else self.reading.values(numbers)
        except ScenarioError:  # divides by 0
            return None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities and parameters whose values are found at each point."""
        return self.reading.judged_names

    def side(self, point: float) -> Side:
        """Return the side on which the value found lies."""
        values = self.values(point)
        return None if values is None else values.side


def find_all(
    readings: Sequence[ReadingOf],
    parameters: Mapping[str, Parameter],
    numbers: Numbers,
    runner: Runner,
) -> list[Found]:
    """Return the range of the condition, and the effects of inputs, of each reading.

    Parameters
    ----------
    readings
        Readings of claims with a number.
    parameters
        Parameters of the file.
    numbers
        Values, in which those without changes were found.
    runner
        Runner of the first simulations, which are most of them.
    """
    conditions = {
        number: _condition(reading, parameters[reading.reading.over.parameter], numbers)
        for number, reading in enumerate(readings)
        if reading.reading.over is not None
    }
    inputs = [list(_inputs(reading, numbers)) for reading in readings]
    tasks = [*conditions.values(), *(task for own in inputs for _, task in own)]
    spans = dict(zip(map(id, tasks), _solved(tasks, numbers, runner), strict=True))
    ranges = _holds_for(conditions, parameters, spans, numbers)
    return [
        (
            ranges.get(number),
            listed(_effect(figure, task, spans[id(task)]) for figure, task in own),
        )
        for number, own in enumerate(inputs)
    ]


def _solved(tasks: Sequence[_Task], numbers: Numbers, runner: Runner) -> list[Span | None]:
    """Run searches side by side and return their spans."""
    spans: list[Span | None] = [None] * len(tasks)
    points = {place: next(task.search) for place, task in enumerate(tasks)}
    going = dict(enumerate(tasks))
    while going:
        questions = [
            (task.names, task.changes(point))
            for key, task in going.items()
            for point in points[key]
        ]
        numbers.find(questions, runner)
        runner = _HERE  # later rounds are short: starting processes would take longer
        for key, task in list(going.items()):
            try:
                points[key] = task.search.send([task.side(point) for point in points[key]])
            except StopIteration as end:
                spans[key] = end.value
                del going[key]
    return spans


def _condition(reading: ReadingOf, given: Parameter, numbers: Numbers) -> _Task:
    """Return the search of the condition of a reading."""
    assert reading.reading.over is not None
    name = reading.reading.over.parameter
    variable = Variable(given.value, given.low, given.high, given.whole)

    def changes(value: float) -> Changes:
        return Changes() if value == given.value else Changes(parameters=((name, value),))

    return _Task(reading, numbers, variable, changes, span_of(variable))


def _inputs(reading: ReadingOf, numbers: Numbers) -> Iterator[tuple[Uncertain, _Task]]:
    """Yield the uncertain inputs of a reading, each with its search."""
    inputs = {
        name: each for own in reading.judged_names for name, each in numbers.inputs(own).items()
    }
    for figure in inputs.values():
        variable = Variable(share_of(figure), 0.0, 1.0)
        changes = _moved(figure, variable)
        yield figure, _Task(reading, numbers, variable, changes, span_of(variable, 2))


def _effect(figure: Uncertain, task: _Task, span: Span | None) -> Effect | None:
    """Return the effect of an input; None if it is too small to be listed."""
    base, low, high = (task.values(share) for share in (task.variable.value, 0.0, 1.0))
    assert base is not None
    return effect_of(figure, base, (low, high), span)


def _moved(figure: Uncertain, variable: Variable) -> Callable[[float], Changes]:
    """Return the function from a share of a figure's range to changes."""

    def changes(share: float) -> Changes:
        if share == variable.value:
            return Changes()
        return Changes(figures=((figure.name, figure.at(share)),))

    return changes


def _holds_for(
    tasks: Mapping[int, _Task],
    parameters: Mapping[str, Parameter],
    spans: Mapping[int, Span | None],
    numbers: Numbers,
) -> dict[int, HoldsFor]:
    """Return the ranges of conditions as data, by the place of the reading."""
    ends = [
        (task.reading.shown_names, task.changes(end))
        for task in tasks.values()
        for end in (spans[id(task)] or ())[:2]
    ]
    numbers.find(ends, _HERE)
    return {number: _range_of(task, parameters, spans[id(task)]) for number, task in tasks.items()}


def _shown(task: _Task, span: Span) -> tuple[float, ...]:
    """Return the quantity by which a range is shown, at both ends; empty if there is none."""
    over = task.reading.reading.over
    assert over is not None
    if over.shown is None:
        return ()
    trail = ("readings", task.reading.number, "over", "shown")
    ends = (task.numbers.of(task.reading.shown_names, task.changes(end)) for end in span[:2])
    return tuple(
        sorted(task.reading.value(trail, over.shown, end) for end in ends if end is not None)
    )


def _range_of(task: _Task, parameters: Mapping[str, Parameter], span: Span | None) -> HoldsFor:
    """Return the range of a condition as data."""
    over = task.reading.reading.over
    assert over is not None
    given = parameters[over.parameter]
    return HoldsFor(
        parameter=over.parameter,
        unit=given.unit,
        value=given.value,
        searched=(given.low, given.high),
        low=None if span is None else span.low,
        high=None if span is None else span.high,
        is_open_below=span is not None and span.is_open_below,
        is_open_above=span is not None and span.is_open_above,
        shown=() if span is None else _shown(task, span),
        shown_unit=over.unit,
    )
