"""TwoBatchFrom: sizes from which an engine overlaps two halves of a batch, as a file has them."""

from __future__ import annotations

from cluster_sim.physics.step_overlap import SplitFrom
from cluster_sim.schema import Description
from cluster_sim.typing import Count


class TwoBatchFrom(Description):
    """Minimum sizes of steps that run as two batches. Smaller steps run as one batch."""

    decode_tokens: Count
    """Minimum number of tokens per rank of a step that only decodes, such as vLLM's
    `--dbo-decode-token-threshold`."""
    prompt_tokens: Count
    """Minimum number of tokens per rank of a step with prompts, such as vLLM's
    `--dbo-prefill-token-threshold`."""

    @property
    def split_from(self) -> SplitFrom:
        """Sizes as physics takes them."""
        return SplitFrom(max(self.decode_tokens, 2), max(self.prompt_tokens, 2))
