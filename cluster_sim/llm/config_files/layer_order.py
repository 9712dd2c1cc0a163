"""LayerOrder: kind of attention and feed-forward part of each layer of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Keys = dict[str, Any]


class LayerOrder:
    """Kind of attention and feed-forward part of each layer of a file.

    A Model only counts its layers by kind, but lists of modules name layers by number.
    """

    def __init__(self) -> None:
        self.attention: list[int | None] = []
        """Index of each layer's kind in `Model.attention`; empty if all layers have the first kind.
        """
        self.dense: list[int | None] = []
        """Index of each layer's part in `Model.dense_parts`; empty if all layers without experts
        have the first part."""
        self.experts: list[bool] = []
        """Whether each layer has experts; empty if all layers after `Experts.dense_layers` have
        experts."""

    def attending(self, layers: Sequence[Keys | None]) -> list[Keys]:
        """Return `attention_layers` from the keys of each layer's kind, and keep their order.

        None stands for a layer without attention and without state.
        """
        kinds, self.attention = _gathered(layers)
        return kinds

    def feeding(self, layers: Sequence[Keys | None]) -> list[Keys]:
        """Return `dense` from the keys of each layer's dense part, and keep their order."""
        parts, self.dense = _gathered(layers)
        return parts


def _gathered(layers: Sequence[Keys | None]) -> tuple[list[Keys], list[int | None]]:
    """Return the distinct entries of `layers` with their counts, and the index of each layer's entry.

    >>> _gathered([{"ffn": 8}, None, {"ffn": 4}, {"ffn": 8}])
    ([{'layers': 2, 'ffn': 8}, {'layers': 1, 'ffn': 4}], [0, None, 1, 0])
    """
    kinds: list[Keys] = []
    order: list[int | None] = []
    for layer in layers:
        if layer is not None and layer not in kinds:
            kinds.append(layer)
        order.append(None if layer is None else kinds.index(layer))
    return [{"layers": order.count(place)} | kind for place, kind in enumerate(kinds)], order
