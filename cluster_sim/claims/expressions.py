"""Expressions of named quantities: numbers and names with `+ - * /` and parentheses."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from cluster_sim.errors import shown

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def names_in(expression: str) -> list[str]:
    """Return the names of the quantities in an expression.

    Raises
    ------
    ValueError
        The text is no expression.

    Examples
    --------
    >>> names_in("1e6 * (cs3 - gpu) / gpu")
    ['cs3', 'gpu']
    """
    return list(dict.fromkeys(_names(_tree(expression))))


def value_of(expression: str, numbers: Mapping[str, float]) -> float:
    """Return the value of an expression.

    Parameters
    ----------
    expression
        Text of the expression.
    numbers
        Value of each quantity, by name.

    Raises
    ------
    KeyError
        A quantity of the expression is not in `numbers`.
    ZeroDivisionError
        The expression divides by 0.

    Examples
    --------
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
    return f"got {shown(expression)}; expected names of quantities and numbers with + - * / and parentheses"


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
    return float(node.value)  # type: ignore[arg-type]  # checked when the file was read


def _as_text(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else value


def _checked(text: str) -> str:
    names_in(text)
    return text


Expression = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked)]
"""Text of an expression, or a number, in a description."""
