"""ReadFrom: keys of a file from which a property of a model was read."""

from __future__ import annotations

from typing import Literal

from cluster_sim.schema import Description

Topic = Literal[
    "layers", "hidden", "attention", "feed_forward", "vocabulary", "max_context", "precision"
]
"""Topic of keys that describe a model."""


class ReadFrom(Description):
    """Keys of a file that describe one aspect of a model."""

    topic: Topic
    """Aspect of the model that the keys describe."""
    keys: tuple[str, ...]
    """Names of the keys, or of files beside the file. A name is marked if the file omits it and the
    default of its family is used."""
