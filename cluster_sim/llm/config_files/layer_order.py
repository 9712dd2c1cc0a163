"""LayerOrder: which layer of a file has which kind of attention and which feed-forward part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Keys = dict[str, Any]


class LayerOrder:
    """Kinds of attention and feed-forward parts of a file, layer by layer.

    A model counts its layers by kind. Lists of modules name layers by number.
    """

    def __init__(self) -> None:
        self.attention: list[int | None] = []
        """Number of each layer's kind in `Model.attention`; empty: all have the first one's shape."""
        self.dense: list[int | None] = []
        """Number of each layer's part in `Model.dense_parts`; empty: layers without experts have the
        first one."""
        self.experts: list[bool] = []
        """Whether each layer has experts; empty: all after `Experts.dense_layers` do."""

    def attending(self, layers: Sequence[Keys | None]) -> list[Keys]:
        """Return `attention_layers` from the keys of each layer's kind, and keep their order.

        A layer of None has neither attention nor a state.
        """
        kinds, self.attention = _gathered(layers)
        return kinds

    def feeding(self, layers: Sequence[Keys | None]) -> list[Keys]:
        """Return `dense` from the keys of each layer's dense part, and keep their order."""
        parts, self.dense = _gathered(layers)
        return parts


def _gathered(layers: Sequence[Keys | None]) -> tuple[list[Keys], list[int | None]]:
    """Return the different ones of `layers` with their numbers, and the place of each layer's.

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
