"""LinkFits: fits of several kinds of traffic over the same links."""

from __future__ import annotations

from typing import Self

from cluster_sim.schema import Description


class LinkFits(Description):
    """Base of descriptions whose fields are fits of one kind of traffic each, or None."""

    def at(self, links: float) -> Self:
        """Return all fits with a share (above 0) of the bandwidth of the links. Starts stay."""
        fits = ((kind, getattr(self, kind)) for kind in type(self).model_fields)
        return self.model_copy(
            update={kind: fit.at(links) for kind, fit in fits if fit is not None}
        )

    def updated(self, other: Self) -> Self:
        """Return these fits, with the kinds that `other` sets replaced."""
        return self.model_copy(
            update={kind: getattr(other, kind) for kind in other.model_fields_set}
        )
